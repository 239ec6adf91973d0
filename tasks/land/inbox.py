"""What became of the files of an inbox: by content, so that a name means nothing.

Owns the table `inbox`, and which files are new by it. Does not know what is made of them.
"""

from __future__ import annotations

import hashlib
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.land.documents import TABLE as DOCUMENTS
from tasks.land.tables import collect, to_frame, to_records, write_table
from tasks.records import InboxEntry

TABLE = "inbox"
_SETTLED_S = 60.0  # without a change: until then a file may still be copied

Stamp = tuple[int, float, float]  # a file's size, and when it and its inode changed last


@dataclass(frozen=True)
class NewFile:
    """A file that there is no row of, as it was when it was hashed."""

    path: Path
    stamp: Stamp | None
    content: str

    @property
    def has_changed(self) -> bool:
        """Whether something else is there by now, or nothing."""
        return _stamp(self.path) != self.stamp


def new_files(
    results: Path, paths: Sequence[Path], made_by: str, language: str, *, again: bool = False
) -> tuple[list[NewFile], list[Path]]:
    """Return the files that are to be worked on, each content once, and those still being copied.

    Args:
        again: take in also what failed before, or has warnings.

    Raises:
        StorageError: the table can't be read.
    """
    known = {
        entry.content
        for entry in to_records(collect(results, TABLE), InboxEntry)
        if entry.language == language and _is_done(results, entry, made_by, again=again)
    }
    new: dict[str, NewFile] = {}
    unsettled = []
    for path in filter(_is_there, paths):
        file = NewFile(path, _stamp(path), _hash(path))
        if not _is_settled(file.stamp) or file.has_changed:
            unsettled.append(path)
        elif file.content not in known:
            new.setdefault(file.content, file)
    return list(new.values()), unsettled


def _is_done(results: Path, entry: InboxEntry, made_by: str, *, again: bool) -> bool:
    if not entry.final or (again and entry.status != "ok"):
        return False
    if entry.status == "failed":
        return entry.made_by == made_by
    # A row of an older Lectern names no document.
    name = f"{entry.document_id}.parquet"
    return not entry.document_id or (results / DOCUMENTS / name).exists()


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
        if stat.S_ISREG(path.stat().st_mode):  # a pipe or a device would never end
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        pass
    return hashlib.sha256(bytes(path.absolute())).hexdigest()


def _is_there(path: Path) -> bool:
    """Tell whether there is anything of that name: a link that leads nowhere, for one."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        pass  # it may be
    return True


def _stamp(path: Path) -> Stamp | None:
    """Return by what a change is seen; None: there is none to be had."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime, status.st_ctime


def _is_settled(stamp: Stamp | None) -> bool:
    """Tell whether nobody has written to it for a while; copying may set an old time of change, and
    never one of the inode."""
    if stamp is None:
        return True
    _, modified, changed = stamp
    return not 0 <= time.time() - max(modified, changed) < _SETTLED_S
