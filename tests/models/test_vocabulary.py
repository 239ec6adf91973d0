"""Reading a GGUF's header: what comes out, what is kept, and files that are bad or hostile."""

from __future__ import annotations

import random
import struct
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support.gguf_edit import write_vocabulary
from support.gguf_header import Header, text
from support.tiny_model import write_tiny_model
from support.vocabularies import vocabulary_file

from tasks.errors import ModelError
from tasks.models import vocabulary
from tasks.models.rope import Rope, n_ctx_max
from tasks.models.vocabulary import Vocabulary, load_vocabulary


@pytest.fixture
def gguf(material: Path, tmp_path: Path) -> Path:
    return vocabulary_file("llama-spm", material, tmp_path)


def _load(path: Path, home: Path) -> Vocabulary:
    return load_vocabulary(path, path.name, home, "mine")


def test_header_is_read(gguf: Path, tmp_path: Path) -> None:
    found = _load(gguf, tmp_path)

    assert (found.kind, found.rope.n_ctx_train) == ("spm", 4096)
    assert found.quantization == "F16"
    assert (found.text(found.bos), found.text(found.eos), found.add_bos) == ("<s>", "</s>", True)
    assert found.control == {"<unk>": 0, "<s>": 1, "</s>": 2}
    assert len(found.tokens) == 32_000
    assert found.template.startswith("{{ bos_token }}")
    assert found.template_problem == ""


def test_what_a_file_says_of_itself_is_read(tmp_path: Path) -> None:
    rope = {"scaling.type": "yarn", "scaling.factor": 4.0, "scaling.original_context_length": 1024}
    plain = _load(write_tiny_model(tmp_path / "plain.gguf"), tmp_path)
    scaled = _load(write_tiny_model(tmp_path / "scaled.gguf", rope=rope), tmp_path)

    assert list(plain.names) == ["tiny"]
    assert plain.rope == Rope(architecture="llama", n_ctx_train=4096)
    assert scaled.rope == replace(plain.rope, scaling="yarn", factor=4.0, n_ctx_orig=1024)
    assert [plain.text(token) for token in plain.eog] == ["<|endoftext|>", "<|im_end|>"]
    assert plain.between == "<|im_end|>\n<|im_start|>user\n"


@pytest.mark.parametrize(
    ("values", "n_ctx"),
    [
        ({"scaling.type": "none", "scaling.factor": 4.0}, 4096),
        ({"scale_linear": 2.0}, 8192),  # as converters wrote it in 2023
        ({"scaling.type": "linear", "scaling.factor": float("inf")}, 4096),
    ],
)
def test_odd_ways_of_scaling_are_read_as_a_worker_does(
    values: dict[str, str | float], n_ctx: int, tmp_path: Path
) -> None:
    """Else calls would be planned for another context than the loaded model has."""
    found = _load(write_tiny_model(tmp_path / "scaled.gguf", rope=values), tmp_path)

    assert n_ctx_max(found.rope, "auto", 1) == n_ctx


def test_second_load_starts_no_child(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _load(gguf, tmp_path)
    monkeypatch.setattr(sys, "executable", "/nowhere")

    assert _load(gguf, tmp_path) == first


def test_a_large_vocabulary_is_read_once_and_then_from_the_cache(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = vocabulary_file("deepseek-llm", material, tmp_path)
    _load(path, tmp_path)
    monkeypatch.setattr(sys, "executable", "/nowhere")

    assert len(_load(path, tmp_path).tokens) == 102_400


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "mine: bad.gguf is empty. Fetch it again."),
        (b"%PDF-1.7 and more", "mine: bad.gguf is no GGUF file."),
        (b"version https://git-lfs.github.com/spec/v1", "bad.gguf is a Git LFS pointer. Run git"),
        (b"GGUF", "mine: llama.cpp can't read it"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "mine: llama.cpp can't read it"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**40, 0), "mine: llama.cpp can't read it"),
        (b"GGUF" + struct.pack("<IQQ", 99, 0, 0), "mine: llama.cpp can't read it"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "mine: llama.cpp can't read it"),
    ],
)
def test_bad_file_is_a_model_error(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)

    with pytest.raises(ModelError) as caught:
        _load(path, tmp_path)

    assert str(caught.value).startswith("mine: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_truncated_file_is_a_model_error(gguf: Path, tmp_path: Path, share: float) -> None:
    gguf.write_bytes(gguf.read_bytes()[: int(gguf.stat().st_size * share)])

    with pytest.raises(ModelError, match=r"mine: llama\.cpp can't read it"):
        _load(gguf, tmp_path)


def test_damaged_file_is_read_or_a_model_error(gguf: Path, tmp_path: Path) -> None:
    """Whatever llama.cpp does on it, an abort included, happens in the child."""
    whole, dice = gguf.read_bytes(), random.Random(3)
    for n in range(4):
        damaged = bytearray(whole)
        for at in dice.choices(range(8, 3000 if n % 2 else len(whole)), k=20):
            damaged[at] = dice.randrange(256)
        path = tmp_path / f"damaged-{n}.gguf"
        path.write_bytes(damaged)
        with suppress(ModelError):
            _load(path, tmp_path)


def test_an_addition_that_tells_so_late_is_told_as_one(tmp_path: Path) -> None:
    """Behind a vocabulary: beyond what is looked at before the file is read."""
    header = Header.read(write_tiny_model(tmp_path / "tiny.gguf")).with_values(general__type=None)
    path = tmp_path / "late.gguf"
    path.write_bytes(header.with_values(general__type=text("imatrix")).encode())

    with pytest.raises(ModelError) as caught:
        _load(path, tmp_path)

    assert str(caught.value) == (
        "mine: it is no model, but an addition to one (imatrix). Choose the model itself."
    )


def test_abort_of_llama_cpp_is_a_model_error(material: Path, tmp_path: Path) -> None:
    """Two tokens of one text: GGML_ASSERT."""
    path = vocabulary_file("llama-spm", material, tmp_path)
    data = path.read_bytes()
    assert data.count(b"\x05\0\0\0\0\0\0\0\xe2\x96\x81to") == 1
    path.write_bytes(
        data.replace(b"\x05\0\0\0\0\0\0\0\xe2\x96\x81to", b"\x05\0\0\0\0\0\0\0\xe2\x96\x81of")
    )

    with pytest.raises(
        ModelError, match=r"damaged: llama\.cpp ended while reading it \(signal 6\)"
    ):
        _load(path, tmp_path)


def test_fault_of_this_machine_is_not_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, a missing library: fetching the file again would mend nothing."""
    path = write_tiny_model(tmp_path / "whole.gguf")
    (tmp_path / "llama_cpp.py").write_text("raise ImportError('libgomp.so.1: not found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(ModelError) as caught:
        _load(path, tmp_path)

    assert str(caught.value) == (
        "mine: its header could not be read (ImportError: libgomp.so.1: not found). "
        "Mend that, try again."
    )


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 10**11 }}",
    ],
)
def test_template_that_eats_time_or_memory_is_stopped_in_the_child(
    source: str, gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "READ_SECONDS", 2.5)
    path = write_vocabulary(gguf, tmp_path / "hostile.gguf", tokenizer__chat_template=source)

    try:
        problem = _load(path, tmp_path).template_problem
    except ModelError as error:
        problem = error.problem

    assert problem
