"""Files that were cut into pieces of bytes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.errors import ModelError
from tasks.models.files import resolve
from tasks.settings import Settings


def _problem(path: Path, config: Settings) -> str:
    with pytest.raises(ModelError) as caught:
        resolve(str(path), config)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    "pieces",
    [
        ["x.Q8_0.gguf.part1of2", "x.Q8_0.gguf.part2of2"],
        [f"x.Q8_0.gguf.part{n}" for n in range(8, 11)],
        ["x.Q8_0.gguf-split-a", "x.Q8_0.gguf-split-b"],
        ["x.Q8_0.gguf.001", "x.Q8_0.gguf.002"],
        ["x.Q8_0.gguf.aa", "x.Q8_0.gguf.ab"],
        ["x y.gguf-part-a", "x y.gguf-part-b"],
    ],
)
def test_pieces_are_to_be_joined_in_order(
    pieces: Sequence[str], tmp_path: Path, config: Settings
) -> None:
    """The command that is told does it."""
    for piece in pieces:
        (tmp_path / piece).write_bytes(f"GGUF {piece}".encode())
    whole = tmp_path / f"{pieces[0].partition('.gguf')[0]}.gguf"

    for asked in (tmp_path / pieces[-1], whole):
        told = _problem(asked, config)
        _, _, command = told.removesuffix(".").partition(". Join all in order, in their folder: ")
        assert command.startswith("cat ")
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)

    assert whole.read_bytes() == b"".join(f"GGUF {piece}".encode() for piece in pieces)
    assert resolve(str(whole), config).parts == (whole,)
    assert _problem(tmp_path / pieces[0], config) == (
        f"{pieces[0]} is a piece of {whole.name}. Give {whole}."
    )


def test_pieces_that_are_missing_are_counted(tmp_path: Path, config: Settings) -> None:
    (tmp_path / "x.gguf.part2of3").write_bytes(b"GGUF")

    assert _problem(tmp_path / "x.gguf", config).startswith(
        "there is no file x.gguf, but pieces of it. Fetch 2 more and join all in order"
    )


@pytest.mark.parametrize("name", ["x.gguf.gz", "x.gguf.part", "x.gguf.bak", "x.gguf.sha256"])
def test_what_lies_beside_a_model_is_no_piece_of_it(
    name: str, tmp_path: Path, config: Settings
) -> None:
    (tmp_path / name).write_bytes(b"GGUF")

    assert "there is no such file. Check the path" in _problem(tmp_path / "x.gguf", config)
