"""Waiting for a lock that another process holds: not in silence, and not without an end.

Owns the waiting. What a lock guards is its owner's business.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2
_SILENT_S = 5.0


def go_on_always() -> None:
    """Go on waiting, whatever has happened."""


def acquire(
    path: Path,
    whose: str,
    patience_s: float = float("inf"),
    go_on: Callable[[], None] = go_on_always,
) -> AcquireReturnProxy[FileLock]:
    """Return the lock at `path`, held; leaving its block, or `lock.release()`, frees it.

    Args:
        whose: what its holder does, for the log: "another command, which starts the pool".
        go_on: called again and again while waiting; may raise to end it.

    Raises:
        Timeout: patience has ended. It is an OSError.
    """
    lock = FileLock(path)
    began, told = time.monotonic(), False
    while True:
        try:
            return lock.acquire(timeout=_LOOK_EVERY_S)
        except Timeout:
            go_on()
            waited_s = time.monotonic() - began
            if waited_s > patience_s:
                raise
            if waited_s > _SILENT_S and not told:
                told = True
                log.warning("waiting for %s (%s)", whose, path)
