"""Files of Lectern's own state: in settings.home, for nobody but their owner.

Owns that they are whole, private, and that a folder which can't be written is told in a line.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import StorageError


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all.

    Raises:
        StorageError: it can't be written.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with _storage_errors(path, "Make room for it, or make its folder writable"):
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # or a power cut leaves an empty one under the name
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def make_folder(path: Path) -> Path:
    """Return a folder of the state, made if need be, for its owner only.

    Raises:
        StorageError: it can't be made or written.
    """
    with _storage_errors(path, "Make it writable, or set LECTERN_HOME to another folder"):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return path


@contextmanager
def _storage_errors(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error), remedy) from error
