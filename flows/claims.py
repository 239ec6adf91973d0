"""One run at a time makes a document; another that wants the very same finds it done, later.

Owns the locks that say so. They are the system's: they go with their holder, however that ends.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from tasks.files import make_folder, state_errors

_REMEDY = "Make room for it, or make its folder writable"


class Claims:
    """The documents that a run is making; for the one thread that drives it.

    Args:
        home: where all runs of this machine find each other.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "claims"
        self._held: dict[str, BaseFileLock] = {}

    def tidy(self) -> None:
        """Remove the files of locks whose holders were killed.

        Raises:
            StorageError: the state's folder can't be written.
        """
        for path in make_folder(self._folder).glob("*.lock"):
            with state_errors(path, _REMEDY), suppress(Timeout), FileLock(path, timeout=0):
                path.unlink(missing_ok=True)

    def take(self, document_id: str) -> bool:
        """Keep other runs from a document, unless one of them is making it; return whether.

        Raises:
            StorageError: the state's folder can't be written.
        """
        path = make_folder(self._folder) / f"{document_id}.lock"
        lock = FileLock(path)
        with state_errors(path, _REMEDY):
            try:
                lock.acquire(timeout=0)
            except Timeout:  # an OSError too
                return False
        self._held[document_id] = lock
        return True

    def give_back(self, document_id: str) -> None:
        """Let others have a document that is made."""
        lock = self._held.pop(document_id, None)
        if lock is not None:
            Path(lock.lock_file).unlink(missing_ok=True)  # while it is held: nobody else's then
            lock.release()

    def give_all_back(self) -> None:
        """Let others have whatever this run did not finish."""
        for document_id in list(self._held):
            self.give_back(document_id)
