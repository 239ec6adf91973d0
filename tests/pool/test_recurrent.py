"""Recurrent models (RWKV) and hybrid ones (Qwen3.5): their sequences have a state, which can't be
cut or shared in part."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from support.engines import make_runner, run, same_up_to_close_calls
from support.engines import request as ask
from support.tiny_hybrid import write_tiny_hybrid
from support.tiny_rwkv import TOKENS, write_tiny_rwkv

from tasks.models.spec import load_spec
from tasks.pool.engine import Engine
from tasks.pool.loading import need_of
from tasks.pool.protocol import WorkerConfig
from tasks.records import Message
from tasks.settings import Settings

ENDINGS = ("one", "two and more", "three three three", "four", "five", "six of them")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}Assistant:"
    return write_tiny_rwkv(tmp_path_factory.mktemp("model") / "rwkv.gguf", template=template)


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_hybrid(tmp_path_factory.mktemp("model") / "hybrid.gguf")


@pytest.mark.parametrize(("kind", "first"), [("model", 1), ("hybrid", 0)])
def test_answers_together_are_those_given_alone(
    kind: str, first: int, request: pytest.FixtureRequest
) -> None:
    """Sequences come and go, and take each other's seats.

    Args:
        first: the first byte's token.
    """
    model: Path = request.getfixturevalue(kind)
    asked = [
        ask(
            [first + byte for byte in f"The beginning that all share, {ending}".encode()],
            logprobs=2,
        )
        for ending in ENDINGS
    ]
    alone = [run(Engine(make_runner(model, 1)), each)[0] for each in asked]

    together = run(Engine(make_runner(model, 4)), *asked, arrivals=Random(1))

    assert same_up_to_close_calls(alone, together) > 0.5


def test_worlds_tokenizer_takes_the_longest_token_each_time(model: Path, config: Settings) -> None:
    spec = load_spec(str(model), config)

    ids = spec.tokenizer.encode("the lazy dog\n\n 你好é")

    texts = ["the", " ", "lazy dog", "\\n\\n", " 你好", "\\xc3", "\\xa9"]
    assert ids == [TOKENS.index(text) for text in texts]
    assert spec.count([Message("user", "the")]) > 3


def test_its_state_is_counted_in_what_fits(model: Path) -> None:
    """It grows with the sequences, and not with the context."""
    one, longer, more = (
        need_of(WorkerConfig(model_path=str(model), n_ctx=n_ctx, n_seq_max=n_seq_max))
        for n_ctx, n_seq_max in ((512, 1), (2048, 1), (512, 4))
    )

    assert one.buffers > 0
    assert longer.cache == one.cache
    hundredth = 2**20 / 100  # of a MiB, in which llama.cpp tells it of one and of two
    assert more.cache == pytest.approx(4 * one.cache, abs=4 * hundredth)
