"""The workers of one model, from the first one's load until the last has ended.

Owns their processes, their turn, and what happens to requests when one dies. Which of them gets
which request is tasks.pool.handing_out's business; what waits, and what is counted, the pool's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

from tasks.pool.counters import Counters
from tasks.pool.deaths import HUNG, Death, death, hung_loading
from tasks.pool.handing_out import hand_out
from tasks.pool.model_lines import ModelLines
from tasks.pool.protocol import (
    Alive,
    Cancel,
    Done,
    Event,
    LoadFailed,
    Loading,
    Ready,
    Refused,
    Started,
    Text,
    Tuned,
)
from tasks.pool.tickets import PoolModel, Restarted, Ticket
from tasks.pool.turns import Turn
from tasks.pool.worker_handle import Worker
from tasks.pool.worker_process import WorkerProcesses

log = logging.getLogger(__name__)

_SIGKILL = -9


@dataclass(frozen=True)
class Rules:
    """How a team is kept.

    Attributes:
        n_workers: of a model; 0: one for each GPU that it fits on, else one.
        turn_s: a model is served for so long at least while others are waited for.
        hung_s: a worker that has work and gives no sign of life for so long is killed;
        load_hung_s: the same of one that loads.
    """

    n_workers: int
    turn_s: float
    hung_s: float
    load_hung_s: float


class Team:
    """One model's workers.

    Args:
        processes: where their processes come from.
        waiting: what waits, for this model and for others.
        tuned: is told what a worker has measured.
    """

    def __init__(
        self,
        model: PoolModel,
        rules: Rules,
        processes: WorkerProcesses,
        waiting: ModelLines,
        counters: Counters,
        tuned: Callable[[PoolModel, Tuned], None],
    ) -> None:
        self.model = model
        self.workers: list[Worker] = []
        self._rules, self._processes = rules, processes
        self._waiting, self._counters, self._tuned = waiting, counters, tuned
        first = replace(model.config, n_workers=rules.n_workers)
        self._turn = Turn(rules.turn_s, perf_counter(), vacant=deque([first]))
        self._changed = asyncio.Event()  # what decides whether a worker is to be started
        self._look_again: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> list[Ticket]:
        return [ticket for worker in self.workers for ticket in worker.in_flight.values()]

    @property
    def only_worker(self) -> Worker | None:
        """The worker that is ready, if there are no others and shall be none."""
        alone = len(self.workers) == 1 and not self._turn.vacant
        return self.workers[0] if alone and self.workers[0].ready else None

    async def serve(self) -> None:
        """Serve the model until another is wanted, or the last worker has died and nothing waits.

        All workers are gone at the end.
        """
        async with asyncio.TaskGroup() as keepers:
            while True:
                self._changed.clear()
                if self._is_short_of_workers():
                    await self._start_worker(keepers)
                elif self.workers:
                    await self._changed.wait()
                else:
                    break
        if self._look_again is not None:
            self._look_again.cancel()

    def dispatch(self) -> None:
        """Hand over what may go to workers now; retire them when another model is due."""
        self._changed.set()
        if not self._waiting.others_wait(self.model):
            self._turn.over = any(worker.retired for worker in self.workers)
        if not self._turn.over:
            more_come = bool(self._turn.vacant) or not all(each.ready for each in self.workers)
            hand_out(self._waiting, self.model, self.workers, more_come=more_come)
            self._turn.over = self._is_over()
        if self._turn.over:
            for worker in self.workers:
                if worker.listens and not worker.in_flight:
                    worker.retire()

    def give_up(self, ticket: Ticket) -> bool:
        """Take a request away from its worker; return whether one had it."""
        worker = next((w for w in self.workers if ticket.request.id in w.in_flight), None)
        if worker is None:
            return False
        self._take_back(worker, ticket)
        if worker.listens:
            worker.send(Cancel(id=ticket.request.id))
        return True

    def _is_short_of_workers(self) -> bool:
        """Tell whether one is to be started now: one after another, as each needs memory."""
        return (
            bool(self._turn.vacant)
            and not self._turn.over
            and all(worker.ready for worker in self.workers)
            and bool(self._waiting.of(self.model) or self.in_flight)
        )

    async def _start_worker(self, keepers: asyncio.TaskGroup) -> None:
        process = await self._processes.take()
        worker = Worker(process, self.model, self._turn.vacant.popleft())
        self.workers.append(worker)
        self._counters.loads += 1
        log.info("worker %d loads %s", worker.pid, self.model.name)
        keepers.create_task(self._keep(worker))
        self.dispatch()

    async def _keep(self, worker: Worker) -> None:
        """Listen to a worker until it has ended."""
        watch = asyncio.create_task(self._kill_if_hung(worker))
        try:
            async for event in worker.events():
                self._handle(worker, event)
        finally:
            worker.ended = True
            watch.cancel()
            status = await worker.end()
            self.workers.remove(worker)
        if worker.retired:
            self._turn.vacant.append(worker.config)  # those that it made way for may leave
        else:
            self._bury(worker, status)
        self.dispatch()

    async def _kill_if_hung(self, worker: Worker) -> None:
        """Kill a worker that hangs; its end is a crash like any other."""
        hung_s, load_hung_s = self._rules.hung_s, self._rules.load_hung_s
        while True:
            await asyncio.sleep(min(hung_s, load_hung_s) / 10)
            limit_s = hung_s if worker.ready else load_hung_s
            if worker.owes and perf_counter() - worker.heard_at > limit_s:
                worker.died = HUNG if worker.ready else hung_loading(worker.progress)
                worker.kill()
                return

    def _handle(self, worker: Worker, event: Event) -> None:
        match event:
            case Loading():
                worker.progress = event.progress
            case Ready():
                self._loaded(worker, event)
            case LoadFailed():
                worker.load_failed = event
            case Alive():
                self._counters.count_work(worker.alive, event)
                worker.alive = event
            case Tuned():
                worker.is_tuned(event)
                self._tuned(self.model, event)
            case Started():
                if ticket := worker.in_flight.get(event.id):
                    ticket.begun = True
            case Text():
                if ticket := worker.in_flight.get(event.id):
                    ticket.inbox.put_nowait(event)
            case Done() | Refused():
                if ticket := worker.in_flight.get(event.id):
                    self._take_back(worker, ticket)
                    self._counters.count(event)
                    ticket.inbox.put_nowait(event)
                    self.dispatch()

    def _loaded(self, worker: Worker, event: Ready) -> None:
        """Let a worker begin; the first says how many more there should be."""
        worker.has_loaded(event)
        self._turn.killed_loads = 0
        if self._turn.ready_at is None:
            if event.note:
                log.info("%s: %s", self.model.name, event.note)
            self._turn.ready_at = self._turn.worked_at = perf_counter()
            for gpus in event.siblings:
                chosen = None if gpus is None else tuple(gpus)
                self._turn.vacant.append(replace(worker.config, gpus=chosen))
        self.dispatch()

    def _is_over(self) -> bool:
        """Tell whether the turn is over, because others wait; if it soon may be, look again."""
        if not self._waiting.others_wait(self.model):
            return False
        has_work = bool(self._waiting.of(self.model) or self.in_flight)
        left_s = self._turn.left_s(perf_counter(), has_work=has_work)
        if left_s > 0 and not has_work:
            self._look_in(left_s)
        return left_s <= 0

    def _look_in(self, seconds: float) -> None:
        if self._look_again is not None:
            self._look_again.cancel()
        self._look_again = asyncio.get_running_loop().call_later(seconds, self.dispatch)

    def _bury(self, worker: Worker, status: int) -> None:
        """Decide what becomes of a dead worker's requests; another takes its place."""
        died = worker.died or death(status, loading=not worker.ready)
        if worker.load_failed is None:
            name = self.model.name
            log.warning("worker %d of %s: %s. %s", worker.pid, name, died.cause, died.remedy)
        if not worker.ready:
            self._bury_loading(worker, died, status)
            return
        self._counters.crashes += 1
        self._turn.vacant.appendleft(worker.config)
        orphans = list(worker.in_flight.values())
        for ticket in [each for each in orphans if each.begun] or orphans:
            ticket.crashes += 1
        for ticket in reversed(orphans):  # each before the others of its run
            if ticket.crashes < 2:
                ticket.begun = False
                ticket.inbox.put_nowait(Restarted())
                self._waiting.push(ticket, first=True)
            else:
                self._blame(ticket, died)

    def _blame(self, ticket: Ticket, died: Death) -> None:
        problem = f"two workers died while computing request {ticket.request.id}: {died.cause}"
        log.warning("%s", problem)
        self._counters.count(ticket.refuse("worker_crashed", problem, died.remedy))

    def _bury_loading(self, worker: Worker, died: Death, status: int) -> None:
        """Go on with the others, if there are some; else try once more, or refuse the model."""
        why = worker.load_failed or LoadFailed(problem=died.cause, remedy=died.remedy)
        killed = status == _SIGKILL and worker.load_failed is None and worker.died is None
        if self.workers:
            log.warning(
                "no more workers for %s than there are (%d): %s",
                self.model.name, len(self.workers), why.problem,
            )  # fmt: skip
            self._turn.vacant.clear()
            return
        self._turn.killed_loads += killed
        if killed and self._turn.killed_loads < 2:  # most likely someone else's doing
            self._turn.vacant.appendleft(worker.config)
            return
        for ticket in list(self._waiting.of(self.model)):
            self._waiting.remove(ticket)
            self._counters.count(ticket.refuse("model_load_failed", why.problem, why.remedy))

    def _take_back(self, worker: Worker, ticket: Ticket) -> None:
        """Note that a worker no longer has a request."""
        del worker.in_flight[ticket.request.id]
        self._turn.worked_at = perf_counter()
