"""Sliding windows (Gemma 2 and 3, gpt-oss): cells that have left a sequence's window are written
over, so what another sequence may begin with is not always what the first one once had."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from support.engines import make_runner, request, run, same_up_to_close_calls
from support.tiny_swa import WINDOW, write_tiny_swa

from tasks.pool.engine import Engine

SHARED = "The beginning that all of these prompts share, several times as long as the window: "
ENDINGS = ("one ", "two and more ", "three three three ", "four ", "five ")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_swa(tmp_path_factory.mktemp("model") / "window.gguf")


@pytest.mark.parametrize(
    ("unified", "shares"), [(False, True), (True, False)], ids=["split", "unified"]
)
def test_answers_together_are_those_given_alone(unified: bool, shares: bool, model: Path) -> None:
    """A split cache's prefixes are used again; a unified one's may be lost."""
    prompts = [SHARED + ending * times for times in (1, 5, 9) for ending in ENDINGS]
    asked = [request(prompt, logprobs=2) for prompt in prompts]
    alone = [run(Engine(make_runner(model, 1)), each)[0] for each in asked]

    together = run(
        Engine(make_runner(model, 4, n_ctx=320, kv_unified=unified)), *asked, arrivals=Random(1)
    )

    assert same_up_to_close_calls(alone, together) > 0.5
    assert any(answer.cached_tokens for answer in together) == shares


def test_a_context_within_the_window_loses_nothing(model: Path) -> None:
    short, long = (
        make_runner(model, 2, n_ctx=n_ctx, kv_unified=True) for n_ctx in (WINDOW, 2 * WINDOW)
    )

    assert (short.can_cut, long.can_cut) == (True, False)
