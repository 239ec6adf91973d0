"""Files that are there whole or not at all, also after a power cut.

Owns atomic writing, what a killed writer leaves behind, and the files of Lectern's own state: in
settings.home, for nobody but their owner. Does not know what is in the files.

A writer holds the system's lock on its temporary file, which goes with the writer however that
ends: so whoever can take the lock of such a file may remove it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import StorageError

TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")
_GRACE_S = 5.0  # between making a temporary file and locking it; microseconds are enough


def replace_file(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Make `path` hold `data`, on the disk, before returning; a reader never sees a part of it.

    Raises:
        OSError: the disk is full, the folder can't be written, and the like.
    """
    make_folders(path.parent)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def put_in_place(part: Path, path: Path) -> None:
    """Give a finished file its name, on the disk: never the name without all of the content."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def make_folders(path: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it, if need be, on the disk: else what is put there is lost
    with it.
    """
    if path.is_dir():
        return
    make_folders(path.parent, mode)
    path.mkdir(mode, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the folder's entries on the disk: a rename alone may be lost with the power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove, of these files, the temporary ones whose writer was killed."""
    for path in paths:
        if not TEMPORARY.fullmatch(path.name):
            continue
        try:
            if time.time() - path.stat().st_mtime > _GRACE_S:
                _remove_unless_locked(path)
        except FileNotFoundError:  # its writer, or another who tidies up, was faster
            continue


def _remove_unless_locked(path: Path) -> None:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        path.unlink()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all.

    Raises:
        StorageError: it can't be written.
    """
    with state_errors(path, "Make room for it, or make its folder writable"):
        replace_file(path, text.encode(), 0o600)
        remove_leftovers(path.parent.iterdir())


def make_folder(path: Path) -> Path:
    """Return a folder of the state, made if need be, for its owner only.

    Raises:
        StorageError: it can't be made or written.
    """
    with state_errors(path, "Make it writable, or set LECTERN_HOME to another folder"):
        make_folders(path, 0o700)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return path


@contextmanager
def state_errors(path: Path, remedy: str) -> Iterator[None]:
    """Turn what the system says of a file of the state into a StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error), remedy) from error
