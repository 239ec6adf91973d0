"""What was heard, on the disk: a file for each piece of a recording as it is finished.

Owns their form, and which of them count after a crash: those from the first on without a gap. Knows
neither models nor sound.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.files import replace_file
from tasks.media.guards import HeardWindow
from tasks.media.transcript import TimedWord

_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class HeardPiece:
    """A finished piece.

    Attributes:
        number: from 1.
        start, end: in samples, from the recording's beginning; the next piece starts at this end.
        language: ISO 639-1, as it was given or found; "" while nothing was said.
        duration_s, lost: of the whole recording; told by the last piece.
    """

    number: int
    start: int
    end: int
    language: str
    language_probability: float
    windows: tuple[HeardWindow, ...]
    is_last: bool = False
    duration_s: float = 0.0
    lost: tuple[str, ...] = ()


def write_piece(folder: Path, piece: HeardPiece) -> None:
    """Put a piece on the disk, whole or not at all.

    Raises:
        OSError: the disk is full, or the like.
    """
    windows = [
        {**_fields(window), "words": [word_row(word) for word in window.words]}
        for window in piece.windows
    ]
    content = {"version": _VERSION, **_fields(piece), "windows": windows}
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    replace_file(_path(folder, piece.number), data.encode(), 0o600)


def read_pieces(folder: Path) -> list[HeardPiece]:
    """Return the pieces that are there, from the first on without a gap."""
    pieces: list[HeardPiece] = []
    while True:
        piece = _read(_path(folder, len(pieces) + 1))
        if piece is None or piece.start != (pieces[-1].end if pieces else 0):
            return pieces
        pieces.append(piece)


def remove_pieces(folder: Path, n_kept: int) -> None:
    """Remove all pieces but so many from the first on."""
    kept = {_path(folder, number + 1) for number in range(n_kept)}
    for path in folder.glob("piece-*.json"):
        if path not in kept:
            path.unlink()


def word_row(word: TimedWord) -> list[Any]:
    """Return a recognised word as JSON holds it."""
    return [
        word.text,
        word.start_s,
        word.end_s,
        word.is_spaced,
        word.probability,
        list(word.marks),
    ]


def word_of(row: Sequence[Any]) -> TimedWord:
    text, start_s, end_s, is_spaced, probability, marks = row
    return TimedWord(text, start_s, end_s, is_spaced, probability, marks=tuple(marks))


def _path(folder: Path, number: int) -> Path:
    return folder / f"piece-{number:04}.json"


def _fields(of: HeardPiece | HeardWindow) -> dict[str, Any]:
    return dict(vars(of))


def _read(path: Path) -> HeardPiece | None:
    """Return a piece, None where there is none, or one of another version or damaged."""
    try:
        content = json.loads(path.read_bytes())
        if content.pop("version") != _VERSION:
            return None
        windows = tuple(_window(each) for each in content.pop("windows"))
        return HeardPiece(**{**content, "windows": windows, "lost": tuple(content["lost"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _window(content: dict[str, Any]) -> HeardWindow:
    words = tuple(word_of(row) for row in content.pop("words"))
    return HeardWindow(words=words, **content)
