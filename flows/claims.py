"""One run at a time makes a document; another that wants the very same waits, and finds it done.

Owns the locks that say so. They are the system's: they go with their holder, however that ends.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from tasks.files import make_folder, state_errors

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_REMEDY = "Make room for it, or make its folder writable"


class Claims:
    """The documents that a run is making.

    Args:
        home: where all runs of this machine find each other.
        go_on: called again and again while waiting; may raise to end it.
    """

    def __init__(self, home: Path, go_on: Callable[[], None]) -> None:
        self._folder, self._go_on = home / "claims", go_on
        self._held: dict[str, BaseFileLock] = {}
        self._had: set[str] = set()
        self._holding = threading.Lock()

    def tidy(self) -> None:
        """Remove the files of locks whose holders were killed.

        Raises:
            StorageError: the state's folder can't be written.
        """
        for path in make_folder(self._folder).glob("*.lock"):
            with state_errors(path, _REMEDY), suppress(Timeout), FileLock(path, timeout=0):
                path.unlink(missing_ok=True)

    def take(self, document_id: str) -> None:
        """Return when no other run makes this document.

        One that this run is through with is not taken again, for nobody would give it back: a copy
        of its source says no more.

        Raises:
            StorageError: the state's folder can't be written.
        """
        path = make_folder(self._folder) / f"{document_id}.lock"
        lock = FileLock(path, thread_local=False)
        waited = False
        while not self._took(document_id, lock):
            self._go_on()
            if not waited:
                waited = True
                log.warning("another run makes the same summary: waiting for it")

    def _took(self, document_id: str, lock: BaseFileLock) -> bool:
        with self._holding:
            if document_id in self._held or document_id in self._had:
                return True
        with state_errors(Path(lock.lock_file), _REMEDY):
            try:
                lock.acquire(timeout=_LOOK_EVERY_S)
            except Timeout:  # an OSError too
                return False
        with self._holding:
            self._held[document_id] = lock
        return True

    def give_back(self, document_id: str) -> None:
        """Let others have a document that is made."""
        with self._holding:
            lock = self._held.pop(document_id, None)
            self._had.add(document_id)
        if lock is not None:
            Path(lock.lock_file).unlink(missing_ok=True)  # while it is held: nobody else's then
            lock.release()

    def give_all_back(self) -> None:
        """Let others have whatever this run did not finish."""
        for document_id in list(self._held):
            self.give_back(document_id)
