"""Files that are there whole or not at all.

Owns atomic writing and what a killed writer leaves behind. Does not know what is in the files.
"""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import StorageError

_TEMPORARY = ".tmp"
_STALE_S = 3600.0  # a write takes seconds at most; age also holds on storage that hosts share
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def write_atomically(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, on the disk, before returning; a reader never sees a part of it.

    Raises:
        StorageError: the disk is full, the folder can't be written, and the like.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}{_TEMPORARY}")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the folder's entries on the disk: a rename alone may be lost with the power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files whose writer was killed: those an hour old."""
    for path in folder.glob(f".*{_TEMPORARY}"):
        try:
            if time.time() - path.stat().st_mtime > _STALE_S:
                path.unlink()
        except FileNotFoundError:  # its writer, or another compaction, was faster
            continue


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        raise as_storage_error(path, error) from error


def as_storage_error(path: Path, error: OSError) -> StorageError:
    return StorageError(str(path), error.strerror or str(error), _remedy(error))


def _remedy(error: OSError) -> str:
    if error.errno in _FULL:
        return "Free some space, or set LECTERN_RESULTS to a folder on another disk, and run again"
    if error.errno in _FORBIDDEN:
        return "Make it readable and writable, or set LECTERN_RESULTS to another folder"
    return "Check the disk, or set LECTERN_RESULTS to another folder, and run again"
