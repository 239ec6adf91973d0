"""LoRA adapters: what they compute, whose they are, and that answers are kept apart by them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.engines import make_runner, request, run
from support.tiny_lora import write_lora
from support.tiny_model import write_tiny_model

from tasks.errors import ModelError
from tasks.models.spec import load_spec
from tasks.pool.engine import Engine
from tasks.pool.loading import need_of
from tasks.pool.protocol import Done, WorkerConfig
from tasks.settings import Settings

PROMPT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "base.gguf")


def _answer(model: Path, *lora: tuple[str, float, str]) -> Done:
    return run(Engine(make_runner(model, 1, lora=lora)), request(PROMPT, logprobs=0))[0]


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_adapted_model_answers_like_one_with_the_change_in_its_weights(
    scale: float, model: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "adapter.gguf"
    changes = {name: scale * change for name, change in write_lora(adapter).items()}
    merged = write_tiny_model(tmp_path / "merged.gguf", added=changes)

    adapted, expected = _answer(model, (str(adapter), scale, "")), _answer(merged)

    assert adapted.text == expected.text
    assert [each["logprob"] for each in adapted.logprobs] == pytest.approx(
        [each["logprob"] for each in expected.logprobs], abs=1e-3
    )
    assert adapted.text != _answer(model).text


def test_two_adapters_add_up(model: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.gguf", tmp_path / "other.gguf"
    first, second = write_lora(one, seed=1), write_lora(other, seed=2)
    both = {name: first[name] + 0.5 * second[name] for name in first}
    merged = write_tiny_model(tmp_path / "merged.gguf", added=both)

    assert _answer(model, (str(one), 1, ""), (str(other), 0.5, "")).text == _answer(merged).text


def test_adapter_of_another_model_is_refused_with_the_reason(model: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.gguf"
    write_lora(wide, width=128)

    with pytest.raises(ModelError, match=r"wide\.gguf: llama\.cpp can't load this adapter \(.+\)"):
        _answer(model, (str(wide), 1, ""))
    with pytest.raises(ModelError, match=r"base\.gguf: llama\.cpp can't load this adapter"):
        _answer(model, (str(model), 1, ""))


def test_adapters_count_in_what_fits(model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.gguf"
    write_lora(adapter)
    plain, adapted = (
        need_of(WorkerConfig(model_path=str(model), n_ctx=512, lora=lora))
        for lora in ((), ((str(adapter), 1.0, ""),))
    )

    assert adapted.weights - plain.weights == adapter.stat().st_size


def test_each_adapter_and_scale_makes_answers_of_its_own(model: Path, tmp_path: Path) -> None:
    """By the adapter's content, not by its name."""
    settings = Settings(home=tmp_path / "home", models=tmp_path)
    for n, name in enumerate(("one.gguf", "other.gguf")):
        write_lora(tmp_path / name, seed=n)
    (tmp_path / "copy.gguf").write_bytes((tmp_path / "one.gguf").read_bytes())
    names = ("", "+one.gguf", "+one.gguf@0.5", "+other.gguf", "+copy.gguf")

    plain, one, half, other, copy = (
        load_spec(f"{model}{name}", settings).answers_by for name in names
    )

    assert len({plain, one, half, other}) == 4
    assert copy == one


def test_adapter_of_the_settings_is_used_unless_the_name_says_another(
    model: Path, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path / "home", models=tmp_path, pool_lora="one.gguf@0.5")
    for name in ("one.gguf", "other.gguf"):
        write_lora(tmp_path / name)

    default, named = (load_spec(f"{model}{name}", settings) for name in ("", "+other.gguf"))

    assert [(path, scale) for path, scale, _ in default.lora] == [(str(tmp_path / "one.gguf"), 0.5)]
    assert [(path, scale) for path, scale, _ in named.lora] == [(str(tmp_path / "other.gguf"), 1)]
