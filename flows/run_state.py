"""The name of a run's state: what it is at, instead of "Running".

Owns when a name is changed. Every change is a state in the run's history and an event, so they
are few: at once with a new phase, else when a good part more of it is done.

The server takes Running after Running, and counts each as a start in the run's "run count".
From Cancelling it lets a run go nowhere but to Cancelled; a run in any other state than Running
is left alone here as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Running

from flows.progress import Phase

_EVERY_S = 15.0
_SHARE = 0.02  # at most 50 names for a phase


class Pace:
    """Says when a phase is worth a new name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._named: Phase | None = None
        self._named_at = 0.0

    def is_due(self, phase: Phase) -> bool:
        """Return whether to name it now; if so, it counts as named."""
        now, named = self._clock(), self._named
        if named is not None and named.kind == phase.kind:
            too_soon = now - self._named_at < _EVERY_S
            if too_soon or phase.name == named.name or phase.share < named.share + _SHARE:
                return False
        self._named, self._named_at = phase, now
        return True


class StateName:
    """Names the state of one run."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client
        self._pace = Pace()

    def show(self, run: FlowRun, phase: Phase, words: str) -> None:
        """Name the state after a phase, if it is due.

        Args:
            run: as it was read a moment ago.
            words: the state's message.
        """
        if run.state is None or not run.state.is_running() or not self._pace.is_due(phase):
            return
        self._client.set_flow_run_state(run.id, Running(name=phase.name, message=words))
