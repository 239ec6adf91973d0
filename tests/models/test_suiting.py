"""Adapters that don't suit a model are refused from headers alone: those that llama.cpp refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.gguf_header import Header, text
from support.tiny_lora import RANK, write_adapter, write_lora
from support.tiny_model import N_EMBD, N_FF, TOKENS, write_tiny_model

from tasks.errors import AdapterError, ModelError
from tasks.models import suiting
from tasks.models.description import describe
from tasks.models.files import resolve
from tasks.models.spec import load_spec
from tasks.models.suiting import refuse_unsuited
from tasks.pool.contexts import LOG
from tasks.pool.fitting import fit
from tasks.pool.loading import Model, load
from tasks.pool.lora import load_adapters
from tasks.pool.protocol import WorkerConfig
from tasks.settings import Settings

Q, DOWN, EMBEDDING = "blk.0.attn_q.weight", "blk.1.ffn_down.weight", "token_embd.weight"
N_VOCAB = len(TOKENS)


def pair(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{name}.lora_a": a, f"{name}.lora_b": b}


GOOD = pair(Q, (RANK, N_EMBD), (N_EMBD, RANK))
SHAPES = {
    "right": GOOD,
    "of-rank-1": pair(Q, (1, N_EMBD), (N_EMBD, 1)),
    "of-one-that-is-not-square": pair(DOWN, (RANK, N_FF), (N_EMBD, RANK)),
    "with-a-norm": GOOD | {"blk.0.attn_norm.weight": (N_EMBD,)},
    "with-a-norm-of-another-size": GOOD | {"blk.9.attn_norm.weight": (3,)},
    "embedding-as-rows": pair(EMBEDDING, (N_VOCAB, RANK), (N_EMBD, RANK)),
    "embedding-like-others": pair(EMBEDDING, (RANK, N_EMBD), (N_VOCAB, RANK)),
    "without-tensors": {},
    "too-wide": pair(Q, (RANK, 2 * N_EMBD), (2 * N_EMBD, RANK)),
    "too-wide-in-a": pair(Q, (RANK, 2 * N_EMBD), (N_EMBD, RANK)),
    "too-wide-in-b": pair(Q, (RANK, N_EMBD), (2 * N_EMBD, RANK)),
    "the-wrong-way": pair(DOWN, (RANK, N_EMBD), (N_FF, RANK)),
    "transposed": pair(Q, (N_EMBD, RANK), (RANK, N_EMBD)),
    "of-two-ranks": pair(Q, (RANK, N_EMBD), (N_EMBD, RANK + 1)),
    "of-a-deeper-model": GOOD | pair("blk.7.attn_q.weight", (RANK, N_EMBD), (N_EMBD, RANK)),
    "of-another-kind-of-block": GOOD | pair("blk.0.ssm_in.weight", (4, N_EMBD), (N_EMBD, 4)),
    "one-half-missing": {f"{Q}.lora_a": (RANK, N_EMBD)},
    "no-lora": GOOD | {Q: (N_EMBD, N_EMBD)},
}


def adapters(folder: Path, model: Path) -> Iterator[Path]:
    for name, shapes in SHAPES.items():
        yield write_adapter(folder / f"{name}.gguf", shapes)
    yield write_adapter(folder / "of-qwen2.gguf", GOOD, architecture="qwen2")
    yield write_adapter(folder / "of-nothing.gguf", GOOD, architecture="quantum")
    yield write_adapter(folder / "control-vector.gguf", GOOD, kind="vector")
    good = (folder / "right.gguf").read_bytes()
    untyped = Header.parse(good).with_values(adapter__type=None)
    for name, content in {
        "cut-in-its-weights": good[:-64],
        "cut-in-its-header": good[:200],
        "empty": b"",
        "html": b"<html>",
        "a-model": model.read_bytes(),
        "of-no-type": untyped.encode(),
    }.items():
        (path := folder / f"{name}.gguf").write_bytes(content)
        yield path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "base.gguf")


def refusal(check: Callable[[], object]) -> str:
    try:
        check()
    except ModelError as error:
        return str(error)
    return ""


def loaded(model: Model, adapter: Path) -> str:
    """Return what a worker says of an adapter once the model is loaded with its weights."""
    return refusal(lambda: load_adapters(model.handle, [(str(adapter), 1.0, "")], LOG))


def test_those_are_refused_that_llama_cpp_refuses_and_in_the_same_words(
    model: Path, tmp_path: Path
) -> None:
    paths = list(adapters(tmp_path, model))
    whole = load(WorkerConfig(model_path=str(model), n_ctx=512, n_gpu_layers=0))
    expected = {path.stem: loaded(whole, path) for path in paths}

    found = {path.stem: refusal(lambda: refuse_unsuited([model], [path])) for path in paths}  # noqa: B023

    assert found == expected
    assert {name for name, said in expected.items() if not said} >= {
        "right", "of-rank-1", "of-one-that-is-not-square", "with-a-norm", "embedding-as-rows",
    }  # fmt: skip
    assert sum(map(bool, expected.values())) > 12


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    write_lora(tmp_path / "wide.gguf", width=2 * N_EMBD)
    write_lora(tmp_path / "right.gguf")
    return Settings(home=tmp_path / "home", models=tmp_path)


@pytest.mark.parametrize("use", [resolve, describe, load_spec, fit])
def test_whoever_asks_for_a_model_hears_of_it(
    use: Callable[[str, Settings], object], model: Path, config: Settings
) -> None:
    with pytest.raises(AdapterError) as caught:
        use(f"{model}+right.gguf+wide.gguf@0.5", config)

    assert str(caught.value) == (
        f"wide.gguf: llama.cpp can't load this adapter (tensor '{Q}' has incorrect shape (hint: "
        "maybe wrong base model?)). Give a LoRA adapter in GGUF that was made for this very model."
    )
    assert use(f"{model}+right.gguf", config)


def test_an_adapter_that_ends_llama_cpp_is_named(model: Path, tmp_path: Path) -> None:
    right = write_adapter(tmp_path / "right.gguf", GOOD)
    bad = write_adapter(tmp_path / "bad.gguf", GOOD, alpha="much")

    with pytest.raises(AdapterError, match=r"^bad\.gguf: llama\.cpp ended while reading it"):
        refuse_unsuited([model], [right, bad, right])


def test_nothing_is_said_of_adapters_where_the_model_is_no_good(
    model: Path, tmp_path: Path
) -> None:
    """Whoever loads that says what is wrong with it."""
    odd = Header.read(model).with_values(general__architecture=text("quantum"))
    (path := tmp_path / "odd.gguf").write_bytes(odd.encode())

    refuse_unsuited([path], [write_adapter(tmp_path / "wide.gguf", SHAPES["too-wide"])])


def test_the_same_files_are_looked_into_once(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = write_adapter(tmp_path / "right.gguf", GOOD)
    refuse_unsuited([model], [right])
    with monkeypatch.context() as patched:
        patched.setattr(suiting.subprocess, "run", pytest.fail)
        refuse_unsuited([model], [right])
        refuse_unsuited([model], [])
    write_adapter(right, SHAPES["too-wide"])

    with pytest.raises(AdapterError):
        refuse_unsuited([model], [right])
