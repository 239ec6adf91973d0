"""Parts of split files that are damaged, or called like another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.split_model import write_split_model

from tasks.errors import ModelError
from tasks.models.files import identify, resolve
from tasks.models.spec import load_spec
from tasks.settings import Settings


@pytest.fixture
def parts(tiny_model: Path, tmp_path: Path) -> list[Path]:
    return write_split_model(tmp_path, "big", tiny_model.read_bytes())


def _problem(path: Path, config: Settings) -> str:
    with pytest.raises(ModelError) as caught:
        resolve(str(path), config)
    return str(caught.value).removeprefix(f"{path}: ")


def test_part_that_is_cut_off_is_named_whichever_was_asked_for(
    parts: list[Path], config: Settings
) -> None:
    """A single byte is told, as it is by llama.cpp."""
    size = parts[0].stat().st_size
    _cut(parts[0], size - 1)

    for part in parts:
        assert _problem(part, config) == (
            f"{parts[0].name} is cut off ({size - 1:,} of {size:,} bytes). Get this part again."
        )


def test_part_whose_header_is_cut_off_is_named(parts: list[Path], config: Settings) -> None:
    _cut(parts[1], 100)

    expected = f"{parts[1].name} is damaged, or cut off. Get this part again."
    assert _problem(parts[0], config) == expected


def test_all_bad_parts_are_named(parts: list[Path], config: Settings) -> None:
    parts[0].write_bytes(b"<html>404</html>")
    parts[1].write_bytes(b"")

    assert _problem(parts[1], config) == (
        f"{parts[0].name} is no GGUF file, {parts[1].name} is empty. Get these parts again."
    )


def test_part_that_lost_its_end_after_it_was_read_is_named(
    parts: list[Path], config: Settings
) -> None:
    identify(resolve(str(parts[0]), config), config.home)
    _cut(parts[1], parts[1].stat().st_size - 1)

    assert f"{parts[1].name} is cut off" in _problem(parts[0], config)


def test_whole_parts_are_a_model(parts: list[Path], config: Settings) -> None:
    assert load_spec(str(parts[1]), config).path == parts[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("part1.gguf", "model-00001-of-00002.gguf"),
        ("tiny.Q8_0.part1of2.gguf", "tiny.Q8_0-00001-of-00002.gguf"),
        ("tiny-1-of-2.gguf", "tiny-00001-of-00002.gguf"),
        ("tiny-00001-of-00003.gguf", "tiny-00001-of-00002.gguf"),
        ("tiny-00002-of-00003.gguf", "tiny-00001-of-00002.gguf"),
        ("tiny.gguf", "tiny-00001-of-00002.gguf"),
    ],
)
def test_renamed_part_gets_the_name_that_its_header_says(
    name: str, expected: str, parts: list[Path], config: Settings
) -> None:
    renamed = parts[0].rename(parts[0].with_name(name))

    assert _problem(renamed, config) == (
        "it is split, and its parts are not called as llama.cpp looks for them. "
        f"Rename {name} to {expected}, and the other parts likewise."
    )


@pytest.mark.parametrize("upper", [[0], [1], [0, 1]])
def test_ending_in_capitals_is_to_be_renamed_whichever_part_is_asked_for(
    upper: list[int], parts: list[Path], config: Settings
) -> None:
    """llama.cpp looks for parts by .gguf alone."""
    for i in upper:
        parts[i] = parts[i].rename(parts[i].with_suffix(".GGUF"))

    renames = [f"{parts[i].name} to {parts[i].with_suffix('.gguf').name}" for i in upper]
    for part in parts:
        assert _problem(part, config).endswith(f"looks for them. Rename {', '.join(renames)}.")


def test_same_part_in_other_case_beside_it_is_left_aside(
    parts: list[Path], config: Settings
) -> None:
    shutil.copy(parts[0], parts[0].with_suffix(".GGUF"))

    assert resolve(str(parts[0]), config).parts == tuple(parts)


def test_copy_of_another_part_is_to_be_fetched(parts: list[Path], config: Settings) -> None:
    first, second = parts
    shutil.copy(first, second)

    assert _problem(second, config) == (
        f"{second.name} and {first.name} are the same part by their headers. "
        f"Get {second.name} again."
    )


def test_parts_in_each_others_place_are_to_be_renamed(parts: list[Path], config: Settings) -> None:
    first, second = (part.read_bytes() for part in parts)
    parts[0].write_bytes(second)
    parts[1].write_bytes(first)

    names = [part.name for part in parts]
    assert _problem(parts[0], config).endswith(
        f"Rename {names[0]} to {names[1]}, {names[1]} to {names[0]}."
    )


def _cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
