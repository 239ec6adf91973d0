"""Files that were cut into pieces of bytes, as `split` does: x.gguf.part1of2, x.gguf-split-a.

Owns how such pieces are called, and the line about them: llama.cpp reads none, and cat joins them.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tasks.errors import ModelError
from tasks.models.split_files import is_file

_PIECE = re.compile(
    r"(?P<whole>.+\.gguf)[-_.]"
    r"(?:(?:part|split)[-_.]?(?P<named>\d+|[a-z]{1,2})(?:[-_]?of[-_]?(?P<total>\d+))?"
    r"|(?P<bare>\d{2,3}|a[a-z]))",
    re.IGNORECASE | re.DOTALL,
)
_MOST = 9  # in a line


def refuse_pieces(path: Path, name: str) -> None:
    """Complain about a file that is a piece of another, or of which there are only pieces.

    Args:
        name: of the model, for errors.

    Raises:
        ModelError: it is.
    """
    match = _PIECE.fullmatch(path.name)
    if is_file(path) and match is None:
        return
    whole = path.with_name(match["whole"]) if match else path
    pieces = _pieces_of(whole)
    if not pieces:
        return
    if match is None:
        problem = f"there is no file {path.name}, but pieces of it"
    else:
        problem = f"{path.name} is a piece of {whole.name}"
    if is_file(whole):
        raise ModelError(name, problem, f"Give {whole}")
    raise ModelError(name, problem, _joining(whole, pieces))


def _pieces_of(whole: Path) -> list[str]:
    """Return the names of a file's pieces that are there, in order."""
    found = []
    for path in whole.parent.glob("*"):
        match = _PIECE.fullmatch(path.name)
        if match and match["whole"] == whole.name and is_file(path):
            number = match["named"] or match["bare"]
            found.append((len(number), number, path.name))
    return [name for *_, name in sorted(found)]


def _joining(whole: Path, pieces: list[str]) -> str:
    names = list(map(shlex.quote, pieces))
    shown = " ".join(names if len(names) <= _MOST else (*names[:2], "…", names[-1]))
    n_missing = _n_missing(pieces)
    fetch = f"Fetch {n_missing} more and join" if n_missing else "Join"
    return f"{fetch} all in order, in their folder: cat {shown} > {shlex.quote(whole.name)}"


def _n_missing(pieces: list[str]) -> int:
    """Return how many are missing, as far as their names tell."""
    match = _PIECE.fullmatch(pieces[-1])
    return max(0, int(match["total"]) - len(pieces)) if match and match["total"] else 0
