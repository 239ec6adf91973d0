"""models.toml: its form, and that what it ships with says where each fact is from."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tasks.errors import ModelError
from tasks.models.known_sizes import QUANTIZATIONS, read_sizes
from tasks.models.registry import KnownModel, read_known
from tasks.models.tensors import n_parameters
from tasks.pool.sizes import size_of
from tasks.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "data" / "models"
KNOWN = read_known(FOLDER / "models.toml")
REAL = {name: model for name, model in KNOWN.items() if name != "demo"}
SHAPED = {name: model for name, model in REAL.items() if model.shape}
SIZES = read_sizes(FOLDER / "sizes.toml")
FACTS = {
    *("source", "parameters", "n_ctx", "languages", "licence", "released", "quantizations"),
    *("files", "shape"),
}
SOURCE = re.compile(r"hf:[\w.-]+/[\w.-]+:(\w+)")


def read(folder: Path, text: str) -> dict[str, KnownModel]:
    path = folder / "models.toml"
    path.write_text(text, encoding="utf-8")
    return read_known(path)


def facts(model: KnownModel) -> set[str]:
    return {name for name in FACTS if getattr(model, name)}


def gigaparameters(size_class: str) -> float:
    return float(size_class.removesuffix("B"))


def test_an_entry_of_a_user_needs_nothing_but_its_origin(tmp_path: Path) -> None:
    known = read(tmp_path, '[mine]\nfile = "mine.gguf"\n')

    assert known["mine"].shape is None
    assert facts(known["mine"]) == set()


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('file = "a"\nsource = "b"', "give either file or source"),
        ('file = "a"\nlicense = "MIT"', r"mine\.license: Extra inputs are not permitted"),
        ('file = "a"\nn_ctx = "many"', r"mine\.n_ctx: Input should be a valid integer"),
        ('file = "a"\nrope_factor = 0', r"mine\.rope_factor: Input should be greater than or eq"),
        ('file = "a"\nrope_factor = inf', r"mine\.rope_factor: Input should be less than or eq"),
        ('file = "a"\nn_ctx = -1', r"mine\.n_ctx: Input should be greater than or equal to 0"),
        ('file = "a"\nshape = { architecture = "llama" }', r"mine\.shape\.n_vocab: Field required"),
    ],
)
def test_what_is_wrong_in_an_entry_is_said_with_its_name(
    tmp_path: Path, entry: str, problem: str
) -> None:
    with pytest.raises(ModelError, match=problem):
        read(tmp_path, f"[mine]\n{entry}\n")


def test_an_editor_of_windows_may_have_saved_it(tmp_path: Path) -> None:
    """With a byte order mark; what is in another encoding is told."""
    path = tmp_path / "models.toml"
    path.write_text('[mine]\nfile = "mine.gguf"\n', encoding="utf-8-sig")
    assert list(read_known(path)) == ["mine"]

    path.write_text('[mine]\nfile = "我.gguf"\n', encoding="gbk")
    with pytest.raises(ModelError, match=r"models\.toml: it is not in UTF-8\. Save it as UTF-8"):
        read_known(path)


def test_what_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"it can't be read \(Is a directory\)"):
        read_known(tmp_path)


@pytest.mark.parametrize("name", KNOWN)
def test_each_fact_has_its_source_and_date_or_is_computed(name: str) -> None:
    model = KNOWN[name]
    proven = {field for each in model.evidence for field in each.of}

    assert proven >= facts(model) - ({"source"} if name == "demo" else set())
    assert proven <= FACTS
    assert all(each.source and each.date for each in model.evidence)


@pytest.mark.parametrize("name", REAL)
def test_a_source_is_a_repository_and_a_quantization_that_it_has(name: str) -> None:
    model = REAL[name]
    source = SOURCE.fullmatch(model.source)

    assert source is not None
    assert source[1] in model.quantizations
    assert not model.files or "{quantization}" in model.files


@pytest.mark.parametrize("name", REAL)
def test_an_entry_says_what_a_user_asks_first(name: str) -> None:
    model = REAL[name]

    assert re.fullmatch(r"[a-z0-9.-]+", name)
    assert model.size_class
    assert model.n_ctx > 0
    assert model.languages
    assert model.quantizations


def test_every_size_up_to_72b_has_one_that_is_recommended() -> None:
    classes = {model.size_class for model in REAL.values()}
    recommended = [model.size_class for model in REAL.values() if model.recommended]
    sizes = sorted(map(gigaparameters, classes))

    assert classes >= {"0.5B", "1.5B", "3B", "4B", "7B", "8B", "14B", "32B", "72B"}
    assert sizes[-1] == 72
    assert all(b <= 2.5 * a for a, b in pairwise(sizes))
    assert sorted(recommended) == sorted(classes)


@pytest.mark.parametrize("name", SHAPED)
def test_a_shape_is_the_models(name: str) -> None:
    """Its weights are counted from it, and they are as many as people say, within a tenth."""
    model = SHAPED[name]
    assert model.shape is not None

    assert n_parameters(model.shape) == model.parameters
    assert model.parameters == pytest.approx(1e9 * gigaparameters(model.size_class), rel=0.1)
    assert model.shape.context_length == model.n_ctx


def test_sizes_are_those_of_all_models_with_a_shape() -> None:
    assert list(SIZES) == list(SHAPED)
    assert all(tuple(sizes) == QUANTIZATIONS for sizes in SIZES.values())


@pytest.mark.parametrize(
    ("name", "quantization"),
    [("qwen2.5-0.5b", "Q4_0"), ("gemma3-4b", "Q4_K_M"), ("qwen3-30b-a3b", "Q5_K_M")],
)
def test_sizes_are_what_llama_cpp_says_now(name: str, quantization: str) -> None:
    """If it says something else, `make models` is due. Buffers may differ between machines."""
    shape = KNOWN[name].shape
    assert shape is not None
    kept, now = SIZES[name][quantization], size_of(shape, quantization)

    assert now.file == kept.file
    assert now.memory_1 == pytest.approx(kept.memory_1, rel=0.02)
    assert now.memory_8 == pytest.approx(kept.memory_8, rel=0.02)
