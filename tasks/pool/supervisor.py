"""Requests of any model, and the turns that models take: one after the other in memory.

Owns what waits, and that all workers of a model have ended before the first of another starts. What
happens between a model's workers and its requests is tasks.pool.team's business. Knows no HTTP; a
worker's own line (tasks.pool.scheduler) decides who is served first among the requests that it has.

A crash costs nothing but time: what the worker had begun is asked again, each request alone in its
worker, so that a second crash tells which one is to blame; that one is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Literal

from tasks.pool.counters import Counters
from tasks.pool.model_lines import ModelLines
from tasks.pool.protocol import EngineRequest, Tuned
from tasks.pool.team import Rules, Team
from tasks.pool.tickets import PoolModel, Ticket
from tasks.pool.turns import TURN_S
from tasks.pool.worker_handle import Worker
from tasks.pool.worker_process import WORKER_COMMAND, WorkerProcesses

log = logging.getLogger(__name__)

# A step of the largest model on the slowest machine takes minutes; a worker that shows no sign of
# life for this long hangs.
_HUNG_S = 1800.0


class BusyError(Exception):
    """The queue is full."""


class Supervisor:
    """Serve requests of any model, one model at a time.

    Args:
        queue_max: requests that may wait before submit() raises BusyError.
        hung_s: a worker that has work and gives no sign of life for so long is killed;
        load_hung_s: the same of one that loads.
        n_workers: of a model; 0: one for each GPU that it fits on, else one.
        turn_s: a model is served for so long at least while others are waited for.
    """

    def __init__(
        self,
        queue_max: int,
        command: Sequence[str] = WORKER_COMMAND,
        hung_s: float = _HUNG_S,
        load_hung_s: float = _HUNG_S,
        n_workers: int = 0,
        turn_s: float = TURN_S,
    ) -> None:
        self._queue_max = queue_max
        self._rules = Rules(n_workers, turn_s, hung_s, load_hung_s)
        self._processes = WorkerProcesses(command)
        self._waiting = ModelLines()
        self._wanted = asyncio.Event()  # a model is, and none has its turn
        self._team: Team | None = None
        self._last_model: PoolModel | None = None
        self._next_id = 0
        self.task: asyncio.Task[None] | None = None
        self.counters = Counters()
        self.on_tuned: Callable[[PoolModel, Tuned], None] = lambda model, tuned: None

    @property
    def running(self) -> int:
        return sum(ticket.begun for ticket in self._in_flight)

    @property
    def waiting(self) -> int:
        return len(self._waiting) + sum(not ticket.begun for ticket in self._in_flight)

    @property
    def _in_flight(self) -> Sequence[Ticket]:
        return self._team.in_flight if self._team else ()

    @property
    def workers(self) -> Sequence[Worker]:
        return self._team.workers if self._team else ()

    @property
    def worker(self) -> Worker | None:
        """The first worker that is ready, or else the one that loads."""
        ready = (worker for worker in self.workers if worker.ready)
        return next(ready, self.workers[0] if self.workers else None)

    @property
    def only_worker(self) -> Worker | None:
        """The worker that is ready, if there are no others and shall be none."""
        return self._team.only_worker if self._team else None

    @property
    def state(self) -> Literal["idle", "loading", "ready"]:
        if self.worker is None:
            return "idle"
        return "ready" if self.worker.ready else "loading"

    async def start(self) -> None:
        """Serve from now on. A first worker starts at once, before it is known for what."""
        await self._processes.start_ahead()
        self.task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Refuse what is open and end the workers."""
        self.refuse_all("shutting_down", "the pool is stopping")
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
        await self._processes.close()

    def submit(self, model: PoolModel, request: EngineRequest) -> Ticket:
        """Queue a request; its id is given here.

        Raises:
            BusyError: too many are waiting.
        """
        if self.waiting >= self._queue_max:
            raise BusyError
        self._next_id += 1
        ticket = Ticket(model, replace(request, id=self._next_id), perf_counter())
        self._waiting.push(ticket)
        self._dispatch()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Take a request out, wherever it is; a finished one stays finished."""
        if self._take_out(ticket):
            self.counters.count_end("cancelled")
            self._dispatch()

    def refuse_all(self, code: str, problem: str) -> None:
        """Refuse every open request."""
        for ticket in [*self._waiting, *self._in_flight]:
            self._take_out(ticket)
            self.counters.count(ticket.refuse(code, problem))

    def _take_out(self, ticket: Ticket) -> bool:
        """Forget a request; return whether it was open."""
        if self._team and self._team.give_up(ticket):
            return True
        is_waiting = ticket in self._waiting
        if is_waiting:
            self._waiting.remove(ticket)
        return is_waiting

    def _dispatch(self) -> None:
        if self._team:
            self._team.dispatch()
        else:
            self._wanted.set()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while model := self._waiting.next_model:
                await self._serve(model)

    async def _serve(self, model: PoolModel) -> None:
        """Let a model have its turn; its workers are gone at the end."""
        self.counters.models.add(model)
        if self._last_model not in (None, model):
            self.counters.swaps += 1
            log.info("swap %d: %s", self.counters.swaps, model.name)
        self._last_model = model
        self._team = Team(
            model, self._rules, self._processes, self._waiting, self.counters,
            lambda model, tuned: self.on_tuned(model, tuned),
        )  # fmt: skip
        await self._team.serve()
        self._team = None
        self._waiting.end_turn(model)
