"""When the pool has nothing to do: let the worker measure what is best for its model, and keep it.

Owns when: after a while without requests, once other programs leave the processors alone, for a
model of which something is not known yet, never again for one that died of it. A request ends it
at once (that is the worker's doing); the next time that nobody asks, it goes on. It keeps no pool
alive. Where a model has several workers nothing is measured: a request that another of them answers
would disturb it, and what is best for one alone is not for all at work.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from statistics import fmean
from typing import Any

import psutil

from tasks.errors import StorageError
from tasks.pool.guard import Activity
from tasks.pool.protocol import Tune, Tuned
from tasks.pool.supervisor import Supervisor
from tasks.pool.tickets import PoolModel
from tasks.pool.tuning import Tuning, keep, missing
from tasks.pool.worker_handle import Worker
from tasks.settings import Settings

log = logging.getLogger(__name__)

IDLE_S = 30.0  # without a request
BUDGET_S = 60.0  # of measuring, for a model
_LOOK_EVERY_S = 1.0
_LOOKS = 5  # at what others do, whose mean counts
# Share of the processors. With a tenth of two in use, prefill was measured 8% slower than with a
# twentieth; with a fifth, 24%, and measurements of the same thing differed by a factor of 1.8.
_MOST_BUSY = 0.1


def busy_share() -> float:
    """Return the share of the processors that this process may use which anyone has used since the
    last call, from 0 to 1; without meaning at the first."""
    each = psutil.cpu_percent(percpu=True)
    if sys.platform == "linux":
        ours = psutil.Process().cpu_affinity()
        each = [percent for n, percent in enumerate(each) if n in ours] or each
    return fmean(each) / 100


class IdleTuning:
    """Looks now and then whether there is something to measure, and time.

    Args:
        idle_s: without a request, before it begins.
        busy: the share of the processors in use since it was last called.
    """

    def __init__(
        self,
        settings: Settings,
        activity: Activity,
        supervisor: Supervisor,
        idle_s: float = IDLE_S,
        busy: Callable[[], float] = busy_share,
    ) -> None:
        self._settings, self._activity, self._supervisor = settings, activity, supervisor
        self._idle_s = idle_s
        self._busy = busy
        # The first may tell of a time before the pool was idle.
        self._looks: deque[float] = deque(maxlen=_LOOKS + 1)
        self._waits = False  # for others
        self._done: set[str] = set()  # models, by identity
        self._tuning: Worker | None = None
        self._since = 0.0
        supervisor.on_tuned = self._tuned

    async def run(self) -> None:
        while self._settings.pool_tuning == "auto":
            await asyncio.sleep(min(_LOOK_EVERY_S, self._idle_s))
            self._look()

    def _look(self) -> None:
        worker = self._supervisor.only_worker
        if self._tuning and self._activity.idle_s < time.monotonic() - self._since:
            self._tuning = None  # a request came between
        if self._tuning:
            if worker is not self._tuning:
                self._died(self._tuning.model)
        elif worker and self._activity.idle_s >= self._idle_s:
            self._begin(worker)
        else:
            self._looks.clear()

    def _begin(self, worker: Worker) -> None:
        identity = worker.model.identity
        if identity in self._done or not missing(self._settings, identity):
            return
        if not self._alone():
            return
        self._looks.clear()
        log.info("worker %d measures what is best for %s", worker.pid, worker.model.name)
        worker.send(Tune(budget_s=BUDGET_S, free=missing(self._settings, identity)))
        self._tuning, self._since = worker, time.monotonic()

    def _alone(self) -> bool:
        """Look once more at what others do; tell whether it has been little for some looks.

        The pool does nothing meanwhile: whatever is done is others'.
        """
        self._looks.append(self._busy())
        if len(self._looks) <= _LOOKS:
            return False
        share = fmean(list(self._looks)[1:])
        if share > _MOST_BUSY and not self._waits:
            log.info(
                "others use %.0f%% of the processors: what is best here is measured once they use "
                "at most %.0f%%",
                100 * share,
                100 * _MOST_BUSY,
            )
        self._waits = share > _MOST_BUSY
        return not self._waits

    def _tuned(self, model: PoolModel, tuned: Tuned) -> None:
        """Keep what was measured. The next pool measures what is left, if this one got anywhere: on
        a machine that is too slow for it, it would begin for ever."""
        self._tuning = None
        wanted = missing(self._settings, model.identity)
        left = tuned.left if set(tuned.left) < set(wanted) else []
        self._keep(model, {n: tuned.tuning[n] for n in wanted if n not in left})

    def _died(self, model: PoolModel) -> None:
        """Keep what is safe: the next pool would only die of it again."""
        log.warning("measuring ended the worker; %s stays as it is", model.name)
        self._tuning = None
        default = asdict(Tuning())
        self._keep(model, {n: default[n] for n in missing(self._settings, model.identity)})

    def _keep(self, model: PoolModel, tuning: dict[str, Any]) -> None:
        self._done.add(model.identity)
        try:
            keep(self._settings, model.identity, tuning)
        except StorageError as error:  # it is measured again by the next pool
            log.warning("%s", error)
