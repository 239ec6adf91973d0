"""Files of the results: whole or not at all, and what to do when they can't be written.

Owns the errors' wording. How a file is written is `tasks.files`' business, what is in it others'.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import StorageError
from tasks.files import remove_leftovers, replace_file

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def write_atomically(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, on the disk, before returning; a reader never sees a part of it.

    Raises:
        StorageError: the disk is full, the folder can't be written, and the like.
    """
    with storage_errors(path):
        replace_file(path, data)


def tidy(results: Path) -> None:
    """Remove what writers that were killed have left anywhere in the results.

    Raises:
        StorageError: a folder can't be read or written.
    """
    with storage_errors(results):
        remove_leftovers(results.rglob(".*.tmp"))


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
