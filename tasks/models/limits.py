"""Limits that a child process puts on itself before it looks at what a stranger wrote."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TEMPLATE_SECONDS = 5.0  # the slowest known takes milliseconds


def lower(limit: int, value: int) -> None:
    """Set a resource limit, if it is lower than what there is and this system knows it."""
    with suppress(ValueError, OSError):
        resource.setrlimit(limit, (value, value))


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """End this process (SIGPROF) if the block takes more of the processor than that.

    The signal kills by itself: a handler of Python's would wait for the call in progress.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
