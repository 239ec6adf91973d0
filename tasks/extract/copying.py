"""A document's bytes as this machine holds them while it is read.

Owns the one copy, which is hashed as it is made: a file that changes later is still one whole,
and one that changes while it is copied is refused. It has no name: nothing is left of it
whatever happens.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tasks.errors import SourceError, StorageError
from tasks.extract.sources import documents_below

FULL = (errno.ENOSPC, errno.EDQUOT)


class Copy:
    """A temporary file without a name, for as long as the block lasts.

    Attributes:
        media_type: what a server calls it; else "".
    """

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self.digest = hashlib.sha256()
        self.size = 0
        self.media_type = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # a full disk has been told; what it lacks nobody wants now
            self.file.close()

    def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            StorageError: the disk is full.
        """
        self.size += len(data)
        self.digest.update(data)
        with full_disk():
            self.file.write(data)
            self.file.flush()  # or what is left would fail where nobody expects it


def copy_file(path: Path, copy: Copy, uri: str) -> None:
    """Copy a file.

    Raises:
        SourceError: see `read_file`.
        StorageError: the disk is full.
    """
    for data in read_file(path, uri):
        copy.write(data)


def read_file(path: Path, uri: str) -> Iterator[bytes]:
    """Yield a file's bytes, of one state of it.

    Raises:
        SourceError: it is not there, can't be read, changes meanwhile, or is empty.
    """
    size = 0
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe or a device would never end
            raise _not_a_file(path, uri, mode)
        with path.open("rb") as file:
            before = _version(file)
            while data := file.read(1 << 20):
                size += len(data)
                yield data
            changed = before != _version(file)
    except FileNotFoundError as error:
        raise SourceError(uri, "does not exist", "Check the path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(uri, f"can't be read ({reason})", "Check its permissions") from error
    if changed:
        raise SourceError(uri, "changes while it is read", "Try again when it is written")
    if not size:
        raise SourceError(uri, "is empty", "Get a fresh copy")


def _version(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_mtime_ns, status.st_size


def _not_a_file(path: Path, uri: str, mode: int) -> SourceError:
    if not stat.S_ISDIR(mode):
        return SourceError(uri, "is not a file", "Name a document, or a folder that holds some")
    next(path.iterdir(), None)  # or what it holds could not be told
    if any(documents_below(path)):
        return SourceError(uri, "is a folder", "Name a document in it")
    return SourceError(uri, "is a folder that holds no document", "Name another one")


@contextmanager
def full_disk() -> Iterator[None]:
    """Turn the error of a full temporary folder into one that says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise disk_is_full() from error


def disk_is_full() -> StorageError:
    return StorageError(
        tempfile.gettempdir(),
        "no space is left for the copy of a document that is being read",
        "Free some, or set TMPDIR to a folder on another disk",
    )
