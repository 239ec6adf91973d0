"""Who is killed in a world, and when.

Owns how the victims are found, by what they are, and the random moments at which they are met.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil
from support.crashing import Run, World, wait_until

Victims = Callable[[World, Run], list[psutil.Process]]

# Between two kills in one run: whatever was with the pool's worker at the first is answered then.
# The pool refuses a request at which a worker has died twice.
ROWS_BETWEEN = 5


def flow(world: World, run: Run) -> list[psutil.Process]:
    if run.command is not None:
        return [psutil.Process(run.command.pid)] if run.command.poll() is None else []
    pool = world.pool()
    return [each for each in world.processes() if each not in pool and _runs(each, str(run.id))]


def _runs(process: psutil.Process, run: str) -> bool:
    """Tell whether a process is the flow's own, rather than one that it has started."""
    try:
        if process.environ().get("PREFECT__FLOW_RUN_ID") != run:
            return False
        parent = process.parent()
        return parent is None or parent.environ().get("PREFECT__FLOW_RUN_ID") != run
    except psutil.Error:
        return False


def pool_worker(world: World, run: Run) -> list[psutil.Process]:
    return world.find("tasks.pool.worker")


def front(world: World, run: Run) -> list[psutil.Process]:
    return world.find("tasks.pool.server")


def prefect_worker(world: World, run: Run) -> list[psutil.Process]:
    return world.find("prefect", "worker", "start")


def prefect_server(world: World, run: Run) -> list[psutil.Process]:
    return world.find("uvicorn")


def everything(world: World, run: Run) -> list[psutil.Process]:
    return world.processes()


TARGETS: dict[str, Victims] = {
    "flow": flow,
    "pool-worker": pool_worker,
    "pool-front": front,
    "prefect-worker": prefect_worker,
    "prefect-server": prefect_server,
    "everything": everything,
}


@dataclass(frozen=True)
class Moment:
    """When to kill: once the ledger has so many rows of this run, and there is someone to kill;
    and then so much later.
    """

    rows: int
    later_s: float

    @classmethod
    def by_time(cls, rng: random.Random, n: int, duration_s: float) -> tuple[Moment, ...]:
        """Return n moments of a run that takes so long, whatever it does then."""
        return tuple(cls(0, rng.uniform(0, duration_s)) for _ in range(n))

    @classmethod
    def some(cls, rng: random.Random, n: int, duration_s: float, rows: int) -> tuple[Moment, ...]:
        """Return n moments, five at most, of a run that takes so long and comes to so many rows.

        They lie in its beginning, which takes most of its time, where it asks, and where it lands
        what it has.
        """
        first = rng.randint(1, rows - 2 * ROWS_BETWEEN)
        moments = [
            cls(0, rng.uniform(0, duration_s / 2)),
            *(cls(first + k * ROWS_BETWEEN, rng.uniform(0, 0.3)) for k in range(3)),
            cls(rows, rng.uniform(0, 2)),
        ]
        return tuple(moments[k] for k in sorted(rng.sample(range(5), n)))

    def wait(
        self, world: World, run: Run, victims: Victims, at_least: int = 0
    ) -> list[psutil.Process]:
        """Return, when it has come, whom it meets; nobody, if the run ended before.

        Args:
            at_least: rows without which it does not come.
        """
        rows = max(self.rows, at_least)

        def has_come() -> bool:
            return world.parts >= rows and bool(rows or victims(world, run))

        wait_until(lambda: has_come() or run.ended(world), every_s=0.1)
        time.sleep(self.later_s)
        return [] if run.ended(world) else victims(world, run)


def kill(processes: list[psutil.Process]) -> bool:
    """SIGKILL all at once, and wait until they are gone; tell whether there was anybody."""
    met = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
            met.append(process)
    psutil.wait_procs(met, timeout=10)
    return bool(met)
