"""From a name to files: paths, split files, models.toml, a hub; and a file's identity."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.gguf_header import Header, text
from support.split_model import write_split_model

from tasks.errors import ModelError
from tasks.models.files import (
    ModelFiles,
    absolute_name,
    identify,
    remembered_identity,
    resolve,
    to_fetch,
)
from tasks.models.header_facts import read_facts
from tasks.models.registry import read_known
from tasks.settings import PROJECT_ROOT, Settings


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF and some")
    return path


def test_path_is_resolved_from_the_working_directory(
    model: Path, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)

    assert resolve("model.gguf", config).parts == (model,)
    assert absolute_name("model.gguf", model.parent) == str(model)


def test_path_in_the_home_folder_is_resolved(
    model: Path, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(model.parent))

    assert resolve("~/model.gguf", config).parts == (model,)


def test_names_of_models_toml_and_hubs_stay_as_they_are(tmp_path: Path) -> None:
    assert absolute_name("demo", tmp_path) == "demo"
    assert absolute_name("hf:a/b:q4_0", tmp_path) == "hf:a/b:q4_0"
    assert absolute_name("HF:a/B:q4_0", tmp_path) == "hf:a/B:q4_0"
    assert absolute_name("https://hub/a/b", tmp_path) == "https://hub/a/b"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nonsense", "nonsense: there is no such model. Give a GGUF file's path, hf:owner/repo"),
        ("./nothing.gguf", "nothing.gguf. Check the path"),
        ("/nowhere/model.gguf", "/nowhere/model.gguf: there is no such file. Check the path, or"),
        (
            "acme/Tiny-GGUF:q4_0",
            "acme/Tiny-GGUF:q4_0: there is no such file. "
            "Did you mean hf:acme/Tiny-GGUF:q4_0? Else check the path.",
        ),
        ("acme/Tiny-GGUF", "there is no such file. Did you mean hf:acme/Tiny-GGUF? Else"),
        ("hf.co/acme/Tiny-GGUF:q4_0", "Did you mean hf:acme/Tiny-GGUF:q4_0? Else check"),
        ("ollama/qwen2.5", "there is no such file. Did you mean ollama:qwen2.5? Else check"),
        (
            "https://ollama.com/library/qwen2.5:7b",
            "this is an address and no model's name. "
            "Did you mean ollama:qwen2.5:7b? Or write hf:owner/repo",
        ),
        ("..", "is a folder. Give the path of a GGUF file in it."),
        ("hf:nonsense", "hf:nonsense: this is no model name. Write hf:owner/repo:quantization."),
        ("HF:nonsense", "hf:nonsense: this is no model name. Write hf:owner/repo:quantization."),
        ("https://hub/a/b", "https://hub/a/b: this is an address and no model's name. Write hf:"),
        ("", "the model: no name is given. Write hf:owner/repo:quantization, "),
    ],
)
def test_unknown_name_says_what_names_there_are(name: str, expected: str, config: Settings) -> None:
    with pytest.raises(ModelError) as caught:
        resolve(name, config)

    assert expected in str(caught.value)


def test_what_lacks_its_hf_stays_as_it_was_typed_unless_its_folder_is_there(
    tmp_path: Path,
) -> None:
    name = "acme/Tiny-GGUF:q4_0"
    assert absolute_name(name, tmp_path) == name

    (tmp_path / "acme").mkdir()

    assert absolute_name(name, tmp_path) == str(tmp_path / name)
    assert absolute_name("other/model.gguf", tmp_path) == str(tmp_path / "other/model.gguf")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("https://huggingface.co/acme/Tiny-GGUF/blob/main/tiny-q4_0.gguf?download=true",
         "hf:acme/Tiny-GGUF/tiny-q4_0.gguf"),
        ("demo+https://huggingface.co/acme/Law/resolve/main/law.gguf@0.5",
         "demo+hf:acme/Law/law.gguf@0.5"),
        ("ｈｆ：acme/Tiny-GGUF：q4_0", "hf:acme/Tiny-GGUF:q4_0"),
        (" demo\n", "demo"),
        ("ｄｅｍｏ", "demo"),
    ],
)  # fmt: skip
def test_name_is_read_however_it_was_pasted(
    name: str, expected: str, tmp_path: Path, config: Settings
) -> None:
    assert absolute_name(name, tmp_path) == expected
    assert to_fetch(name, config) == to_fetch(expected, config)


def test_wide_name_and_one_with_blanks_mean_the_known_model(config: Settings) -> None:
    for name in ("ｄｅｍｏ", "demo "):
        assert resolve(name, config).parts == resolve("demo", config).parts


def test_file_keeps_its_wide_characters(tmp_path: Path, config: Settings) -> None:
    (folder := tmp_path / "模型：一").mkdir()
    (path := folder / "ｑ.gguf").write_bytes(b"GGUF")

    assert absolute_name("模型：一/ｑ.gguf", tmp_path) == str(path)
    assert absolute_name("ｑ.gguf", folder) == str(path)
    assert absolute_name("模型：一/ｚ.gguf", tmp_path) == str(folder / "ｚ.gguf")
    assert resolve(str(path), config).parts == (path,)


def test_unknown_wide_name_gets_the_nearest(config: Settings) -> None:
    with pytest.raises(ModelError, match=r"Did you mean demo\?"):
        resolve("ｄｅｍｏo", config)


def test_unknown_name_lists_the_known_models(config: Settings) -> None:
    with pytest.raises(ModelError, match=r"\(demo, qwen"):
        resolve("nonsense", config)


def test_any_part_of_a_split_file_means_all_of_it(
    tiny_model: Path, tmp_path: Path, config: Settings
) -> None:
    parts = tuple(write_split_model(tmp_path, "big", tiny_model.read_bytes()))

    assert [resolve(str(part), config).parts for part in parts] == [parts, parts]


def test_missing_parts_of_a_split_file_are_named(tmp_path: Path, config: Settings) -> None:
    for n in (1, 2):
        (tmp_path / f"big-0000{n}-of-00004.gguf").write_bytes(b"GGUF")

    with pytest.raises(ModelError) as caught:
        resolve(str(tmp_path / "big-00004-of-00004.gguf"), config)

    assert str(caught.value).endswith(
        f": big-00003-of-00004.gguf, big-00004-of-00004.gguf are missing in {tmp_path}. "
        "Fetch them: all parts are needed."
    )


def test_wrong_name_of_a_part_gets_the_nearest(tmp_path: Path, config: Settings) -> None:
    """It is no missing part where there is none at all."""
    for n in (1, 2):
        (tmp_path / f"big-0000{n}-of-00002.gguf").write_bytes(b"GGUF")

    with pytest.raises(ModelError) as caught:
        resolve(str(tmp_path / "bog-00002-of-00002.gguf"), config)

    assert str(caught.value).endswith(
        ": there is no such file. Check the path; there is big-00001-of-00002.gguf."
    )


def test_name_of_a_split_file_without_its_numbers_gets_that_file(
    tmp_path: Path, config: Settings
) -> None:
    for name in ("tiny-q4_0-00001-of-00004", "tiny-q8_0", "tiny-q4_k_m"):
        (tmp_path / f"{name}.gguf").write_bytes(b"GGUF")

    with pytest.raises(ModelError, match=r"there is tiny-q4_0-00001-of-00004\.gguf\.$"):
        resolve(str(tmp_path / "tiny-q4_0.gguf"), config)


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("ｔｉｎｙ.gguf", "tiny.gguf"),
        ("tiny.gguf", "TINY.GGUF"),
        ("big.gguf", "big-00001-of-00002.GGUF"),
        ("big-00001-of-00002.gguf", "big.gguf"),
    ],
)
def test_wrong_file_gets_the_one_that_differs_in_width_case_or_numbers(
    name: str, there: str, tmp_path: Path, config: Settings
) -> None:
    for each in (there, "biggy.gguf", "tinny.gguf"):
        (tmp_path / each).write_bytes(b"GGUF")

    with pytest.raises(ModelError) as caught:
        resolve(str(tmp_path / name), config)

    assert str(caught.value).endswith(f"Check the path; there is {there}.")


def test_file_that_is_only_called_like_a_part_is_one_by_itself(
    tmp_path: Path, config: Settings
) -> None:
    (tmp_path / "odd-00003-of-00002.gguf").write_bytes(b"GGUF")

    files = resolve(str(tmp_path / "odd-00003-of-00002.gguf"), config)

    assert files.parts == (tmp_path / "odd-00003-of-00002.gguf",)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("adapter", "it is an adapter and no model. Put it behind the name of the model that it is "
         "for: MODEL+law.gguf."),
        ("mmproj", "it is no model, but an addition to one (mmproj). Choose the model itself."),
    ],
)  # fmt: skip
def test_what_only_adds_to_a_model_is_none(
    kind: str, expected: str, tmp_path: Path, config: Settings
) -> None:
    (path := tmp_path / "law.gguf").write_bytes(Header({b"general.type": text(kind)}, ()).encode())

    with pytest.raises(ModelError) as caught:
        resolve(str(path), config)

    assert str(caught.value) == f"{path}: {expected}"


def test_split_model_is_read_as_one(tiny_model: Path, tmp_path: Path) -> None:
    parts = write_split_model(tmp_path, "tiny", tiny_model.read_bytes())

    split, whole = (read_facts(path, "tiny") for path in (parts[0], tiny_model))

    assert split == whole


def test_the_shipped_models_toml_is_valid_and_says_what_the_demo_is() -> None:
    known = read_known(PROJECT_ROOT / "data" / "models" / "models.toml")

    assert "no language ability" in known["demo"].note
    assert known["demo"].max_lines
    assert all(entry.source.startswith("hf:") for name, entry in known.items() if name != "demo")


def test_malformed_models_toml_is_named_with_the_field(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text('[mine]\nfile = "a.gguf"\nmax_line = 3\n')

    with pytest.raises(ModelError, match=r"models\.toml: mine\.max_line: Extra inputs"):
        read_known(path)


def test_identity_is_the_hash_of_all_parts(tmp_path: Path) -> None:
    parts = tuple(tmp_path / f"big-{n:05}-of-00002.gguf" for n in (1, 2))
    for part in parts:
        part.write_bytes(part.name.encode())
    expected = hashlib.sha256(b"".join(part.name.encode() for part in parts)).hexdigest()

    assert identify(ModelFiles("big", parts), tmp_path / "home") == expected


def test_identity_is_remembered_until_the_file_changes(model: Path, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []

    def identity() -> str:
        files = ModelFiles("m", (model,))
        return identify(files, tmp_path / "home", lambda *step: steps.append(step))

    assert remembered_identity(ModelFiles("m", (model,)), tmp_path / "home") == ""
    first = identity()
    assert identity() == first
    assert remembered_identity(ModelFiles("m", (model,)), tmp_path / "home") == first
    assert steps == [("reading model.gguf", 13, 13)]

    model.write_bytes(b"GGUF and more")

    assert identity() != first
    assert len(steps) == 2
