"""How long a model's turn lasts while others wait: the price of a swap set against their patience.

Policy only: times come in as seconds of any clock. Knows no processes.

A turn is over when its time is, and what its workers have by then is answered; or earlier, when
nothing has come for its model for a moment. So while there is something to do for all, loads take a
fifth of the time at most, however the requests of runs alternate, and nobody waits for ever.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from tasks.pool.protocol import WorkerConfig

TURN_S = 30.0  # in which a machine without a GPU answers some chunks
_LOAD_S = 7.5  # where a load takes longer, turns are longer in proportion
# For the next request of a run that asks one thing after the other: it comes in a moment or not
# soon. Longer than a load took is not worth waiting.
_PATIENCE_S = 2.0


@dataclass
class Turn:
    """One model's time in memory.

    Attributes:
        least_s: it lasts so long at least, if there is something to do.
        began_at: when its first worker was wanted.
        vacant: what workers that are still to be started shall load.
        ready_at: when its first worker had loaded it.
        worked_at: when something was last answered, or given up.
        over: its workers get nothing more.
        killed_loads: how many were killed one after another while they loaded.
    """

    least_s: float
    began_at: float
    vacant: deque[WorkerConfig]
    ready_at: float | None = None
    worked_at: float = field(init=False)
    over: bool = False
    killed_loads: int = 0

    def __post_init__(self) -> None:
        self.worked_at = self.began_at

    @property
    def load_s(self) -> float:
        """Seconds that the load took."""
        return 0.0 if self.ready_at is None else self.ready_at - self.began_at

    def left_s(self, now: float, *, has_work: bool) -> float:
        """Return how many seconds are left of it, from when others wait; none or fewer: it is over.

        Args:
            has_work: a request is with its workers, or waits for them.
        """
        if self.ready_at is None:  # a load that nobody waits for is given up
            return math.inf if has_work else 0.0
        left_s = self.ready_at + self.least_s * max(1, self.load_s / _LOAD_S) - now
        patience_s = self.worked_at + min(_PATIENCE_S, self.load_s) - now
        return left_s if has_work else min(left_s, patience_s)
