"""Who uses a home: any number of runs beside each other, or one who tidies up, alone.

The system's lock on home/runs.lock tells; it goes with its holders, however they end.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import PipelineError
from tasks.files import make_folder


@contextmanager
def a_run(home: Path) -> Iterator[None]:
    """Use a home for as long as the block lasts, beside other runs; wait while it is tidied.

    Raises:
        StorageError: the home can't be written.
    """
    with (make_folder(home) / "runs.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def no_run(home: Path) -> Iterator[None]:
    """Keep runs away for as long as the block lasts.

    Raises:
        PipelineError: there is one.
        StorageError: the home can't be written.
    """
    with (make_folder(home) / "runs.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PipelineError(
                "lectern clean", "a run is under way", "Wait until it has ended, or stop it"
            ) from None
        yield
