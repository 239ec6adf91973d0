"""A child that is started again when it ends by itself, within bounds.

Owns how often that is tried, and how a child is stopped. Knows neither Prefect nor what the child
does: whoever keeps one says how it is started.
"""

from __future__ import annotations

import subprocess
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tasks.errors import PipelineError

MOST_ENDS, _WITHIN_S = 5, 600.0  # a child that ends more often than this does not get better


@dataclass(eq=False)
class KeptChild:
    """A running child.

    Args:
        name: what it is called in messages.
        start: starts it.
        log: where its output goes.
    """

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)
    _ends: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_ENDS), init=False)

    def __post_init__(self) -> None:
        self.process = self.start()

    def restarted(self) -> str:
        """Start the child again if it has ended; return a line that says so, or "".

        Raises:
            PipelineError: it has ended too often.
        """
        status = self.process.poll()
        if status is None:
            return ""
        now = time.monotonic()
        self._ends.append(now)
        if len(self._ends) == MOST_ENDS and now - self._ends[0] < _WITHIN_S:
            problem = f"it has ended {MOST_ENDS} times within minutes"
            raise PipelineError(self.name, problem, f"Its log says why: {self.log}")
        self.process = self.start()
        return f"{self.name} ended by itself (status {status}) and was started again: {self.log}"

    def stop(self, patience_s: float = 10) -> None:
        """Ask the child to end, kill it if it does not, and wait until it is gone."""
        self.process.terminate()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
