"""What became of the files of an inbox: by content, so that a name means nothing.

Owns the table `inbox`, and which files are new by it. Does not know what is made of them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.land.tables import collect, to_frame, to_records, write_table
from tasks.records import InboxEntry

TABLE = "inbox"
_SETTLED_S = 60.0  # without a change: until then a file may still be copied


@dataclass(frozen=True)
class NewFile:
    """A file that there is no row of."""

    path: Path
    content: str


def new_files(
    results: Path, paths: Sequence[Path], made_by: str, language: str, *, again: bool = False
) -> tuple[list[NewFile], list[Path]]:
    """Return the files that are to be worked on, each content once, and those still being copied.

    Args:
        again: take in also what failed before.

    Raises:
        StorageError: the table can't be read.
    """
    known = {
        entry.content
        for entry in to_records(collect(results, TABLE), InboxEntry)
        if entry.language == language
        and entry.final
        and (entry.status != "failed" or (entry.made_by == made_by and not again))
    }
    new: dict[str, NewFile] = {}
    unsettled = []
    for path in paths:
        before = _stamp(path)
        content = _hash(path)
        if before is None or before != _stamp(path) or not _is_settled(before):
            unsettled.append(path)
        elif content not in known:
            new.setdefault(content, NewFile(path, content))
    return list(new.values()), unsettled


def land_entry(results: Path, entry: InboxEntry) -> None:
    """Write a file's row, in place of an earlier one.

    Raises:
        StorageError: it can't be written.
    """
    name = hashlib.sha256(f"{entry.content} {entry.language}".encode()).hexdigest()
    write_table(results / TABLE / f"{name}.parquet", TABLE, to_frame(TABLE, [entry]))


def _hash(path: Path) -> str:
    """Return the sha256 of a file; of its path, if it can't be read: reading it says why."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return hashlib.sha256(bytes(path.absolute())).hexdigest()


def _stamp(path: Path) -> tuple[int, float, float] | None:
    """Return by what a change is seen; None: the file has gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime, stat.st_ctime


def _is_settled(stamp: tuple[int, float, float]) -> bool:
    """Tell whether nobody has written to it for a while; copying may set an old time of change, and
    never one of the inode."""
    _, modified, changed = stamp
    return not 0 <= time.time() - max(modified, changed) < _SETTLED_S
