"""The worker's keeper: one child process, one model, and every request's way through it.

Owns the worker process, the order in which models take turns, and what happens to requests
when a worker dies. Knows no HTTP; the worker's own line (tasks.pool.scheduler) decides who
is served first among the requests of the loaded model.

A crash costs nothing but time: what the worker had begun is asked again in a fresh one, each
request alone, so that a second crash tells which one is to blame; that one is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Literal

from tasks.pool.deaths import HUNG, Death, death, hung_loading
from tasks.pool.protocol import (
    Alive,
    Cancel,
    Done,
    EngineRequest,
    Event,
    LoadFailed,
    Loading,
    Order,
    Ready,
    Refused,
    Started,
    Text,
    Tuned,
    WorkerConfig,
    decode,
    encode,
)
from tasks.pool.worker_process import WORKER_COMMAND, WorkerProcesses, end_process

log = logging.getLogger(__name__)

# A step of the largest model on the slowest machine takes minutes; a worker that shows no sign of
# life for this long hangs.
_HUNG_S = 1800.0
_SIGKILL = -9


class BusyError(Exception):
    """The queue is full."""


@dataclass(frozen=True)
class PoolModel:
    """A model as the pool tells it from others: by its content and its context.

    One file may go by several names and paths; they are for messages, and for loading it.
    """

    name: str = field(compare=False)
    identity: str
    config: WorkerConfig


@dataclass(frozen=True)
class Restarted:
    """The worker died; the answer begins anew."""


@dataclass(eq=False)
class Ticket:
    """One request's place in the pool."""

    model: PoolModel
    request: EngineRequest
    submitted_at: float
    begun: bool = False
    crashes: int = 0
    worker_pid: int = 0
    inbox: asyncio.Queue[Text | Done | Refused | Restarted] = field(default_factory=asyncio.Queue)

    async def events(self) -> AsyncIterator[Text | Done | Refused | Restarted]:
        """Yield what becomes of it; Done or Refused is the last."""
        while True:
            event = await self.inbox.get()
            yield event
            if isinstance(event, Done | Refused):
                return


@dataclass
class Counters:
    """Sums since the pool's start, for /metrics."""

    # By finish reason, error code, or "cancelled".
    requests: dict[str, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    busy_s: float = 0.0  # of workers, in steps
    llama_s: float = 0.0  # of these, in llama.cpp
    crashes: int = 0
    loads: int = 0

    def count_end(self, reason: str) -> None:
        self.requests[reason] = self.requests.get(reason, 0) + 1

    def count(self, event: Done | Refused) -> None:
        self.count_end(event.finish_reason if isinstance(event, Done) else event.code)
        if isinstance(event, Done):
            self.prompt_tokens += event.prompt_tokens
            self.cached_tokens += event.cached_tokens
            self.completion_tokens += event.completion_tokens


class Worker:
    """A worker process that is told to load a model, and its pipes."""

    def __init__(self, process: Process, model: PoolModel) -> None:
        self._process = process
        self.model = model
        self.progress = 0.0
        self.ready = False
        self.memory_estimate = 0
        self.retired = False
        self.ended = False
        self.load_failed: LoadFailed | None = None
        self.died: Death | None = None  # where more is known than its status tells
        self.alive = Alive(busy_s=0.0, llama_s=0.0)
        self.heard_at = perf_counter()
        self.send(model.config)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def listens(self) -> bool:
        return not (self.retired or self.ended)

    def send(self, message: Order | WorkerConfig) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(encode(message))

    def retire(self) -> None:
        """Close its stdin, upon which it ends."""
        assert self._process.stdin is not None
        self.retired = True
        self._process.stdin.close()

    async def events(self) -> AsyncIterator[Event]:
        """Yield its events until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.heard_at = perf_counter()
            if line.endswith(b"\n"):  # else it was killed while writing
                yield decode(line)

    def kill(self) -> None:
        self._process.kill()

    async def end(self) -> int:
        return await end_process(self._process)


class Supervisor:
    """Serve requests of any model with one worker at a time.

    Args:
        queue_max: requests that may wait before submit() raises BusyError.
        hung_s: a worker that has work and gives no sign of life for so long is killed;
        load_hung_s: the same of one that loads.
    """

    def __init__(
        self,
        queue_max: int,
        command: Sequence[str] = WORKER_COMMAND,
        hung_s: float = _HUNG_S,
        load_hung_s: float = _HUNG_S,
    ) -> None:
        self._queue_max = queue_max
        self._hung_s, self._load_hung_s = hung_s, load_hung_s
        self._processes = WorkerProcesses(command)
        self._pending: deque[Ticket] = deque()
        self._in_flight: dict[int, Ticket] = {}
        self._wanted = asyncio.Event()
        self._next_id = 0
        self._killed_loads = 0
        self.task: asyncio.Task[None] | None = None
        self.worker: Worker | None = None
        self.counters = Counters()
        self.on_tuned: Callable[[PoolModel, Tuned], None] = lambda model, tuned: None

    @property
    def running(self) -> int:
        return sum(ticket.begun for ticket in self._in_flight.values())

    @property
    def waiting(self) -> int:
        return len(self._pending) + len(self._in_flight) - self.running

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
        """Refuse what is open and end the worker."""
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
        self._pending.append(ticket)
        self._dispatch()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Take a request out, wherever it is; a finished one stays finished."""
        if self._in_flight.pop(ticket.request.id, None) is not None:
            if self.worker is not None and self.worker.listens:
                self.worker.send(Cancel(id=ticket.request.id))
        elif ticket in self._pending:
            self._pending.remove(ticket)
        else:
            return
        self.counters.count_end("cancelled")
        self._dispatch()

    def refuse_all(
        self, code: str, problem: str, model: PoolModel | None = None, remedy: str = ""
    ) -> None:
        """Refuse every open request, or those of one model."""
        for ticket in [*self._pending, *self._in_flight.values()]:
            if model in (None, ticket.model):
                self._refuse(ticket, code, problem, remedy)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._pending:
                await self._serve(self._pending[0].model)

    async def _serve(self, model: PoolModel) -> None:
        """Load a model and serve it until another is wanted or the worker dies."""
        # All that wait for this model go first; what comes later queues behind the others.
        self._pending = deque(sorted(self._pending, key=lambda ticket: ticket.model != model))
        self.worker = worker = Worker(await self._processes.take(), model)
        self.counters.loads += 1
        log.info("worker %d loads %s", worker.pid, model.name)
        status = 0
        watch = asyncio.create_task(self._kill_if_hung(worker))
        try:
            async for event in worker.events():
                self._handle(worker, event)
        finally:
            worker.ended = True
            watch.cancel()
            status = await worker.end()
            self.worker = None
        if not worker.retired:
            self._bury(worker, status)

    async def _kill_if_hung(self, worker: Worker) -> None:
        """Kill a worker that hangs; its end is a crash like any other."""
        while True:
            await asyncio.sleep(min(self._hung_s, self._load_hung_s) / 10)
            limit_s = self._hung_s if worker.ready else self._load_hung_s
            busy = self._in_flight or not worker.ready
            if busy and perf_counter() - worker.heard_at > limit_s:
                worker.died = HUNG if worker.ready else hung_loading(worker.progress)
                worker.kill()
                return

    def _handle(self, worker: Worker, event: Event) -> None:
        match event:
            case Loading():
                worker.progress = event.progress
            case Ready():
                worker.ready, self._killed_loads = True, 0
                worker.memory_estimate = event.memory_estimate
                self._dispatch()
            case LoadFailed():
                worker.load_failed = event
            case Alive():
                self.counters.busy_s += event.busy_s - worker.alive.busy_s
                self.counters.llama_s += event.llama_s - worker.alive.llama_s
                worker.alive = event
            case Tuned():
                worker.memory_estimate = event.memory_estimate
                self.on_tuned(worker.model, event)
            case Started():
                if ticket := self._in_flight.get(event.id):
                    ticket.begun = True
            case Text():
                if ticket := self._in_flight.get(event.id):
                    ticket.inbox.put_nowait(event)
            case Done() | Refused():
                if ticket := self._in_flight.pop(event.id, None):
                    self.counters.count(event)
                    ticket.inbox.put_nowait(event)
                    self._dispatch()

    def _dispatch(self) -> None:
        """Hand over what may go to the worker now; retire it when another model is due."""
        worker = self.worker
        if worker is None:
            self._wanted.set()
            return
        if not (worker.ready and worker.listens):
            return
        while self._pending and self._pending[0].model == worker.model:
            suspect = self._pending[0].crashes > 0
            guarded = suspect or any(t.crashes for t in self._in_flight.values())
            if guarded and self._in_flight:
                return
            self._hand_over(worker, self._pending.popleft())
        if self._pending and not self._in_flight:
            worker.retire()

    def _hand_over(self, worker: Worker, ticket: Ticket) -> None:
        waited_s = perf_counter() - ticket.submitted_at
        if not self._in_flight:
            worker.heard_at = perf_counter()  # it had no reason to say anything
        self._in_flight[ticket.request.id] = ticket
        ticket.worker_pid = worker.pid
        worker.send(replace(ticket.request, waited_s=waited_s))

    def _bury(self, worker: Worker, status: int) -> None:
        """Decide what becomes of a dead worker's requests."""
        died = worker.died or death(status, loading=not worker.ready)
        if worker.load_failed is None:
            name = worker.model.name
            log.warning("worker %d of %s: %s. %s", worker.pid, name, died.cause, died.remedy)
        if not worker.ready:
            killed = status == _SIGKILL and worker.load_failed is None and worker.died is None
            self._killed_loads += killed
            if killed and self._killed_loads < 2:
                return  # most likely someone else's doing: load once more
            self._killed_loads = 0
            why = worker.load_failed or LoadFailed(problem=died.cause, remedy=died.remedy)
            self.refuse_all("model_load_failed", why.problem, worker.model, why.remedy)
            return
        self.counters.crashes += 1
        orphans = list(self._in_flight.values())
        self._in_flight.clear()
        begun = [ticket for ticket in orphans if ticket.begun] or orphans
        for ticket in begun:
            ticket.crashes += 1
        retried = [ticket for ticket in orphans if ticket.crashes < 2]
        for ticket in retried:
            ticket.begun = False
            ticket.inbox.put_nowait(Restarted())
        # Suspects first: each runs alone, and the others then run together again.
        retried.sort(key=lambda ticket: ticket.crashes == 0)
        self._pending.extendleft(reversed(retried))
        for ticket in begun:
            if ticket.crashes >= 2:
                problem = (
                    f"two workers died while computing request {ticket.request.id}: {died.cause}"
                )
                log.warning("%s", problem)
                self._refuse(ticket, "worker_crashed", problem, died.remedy)

    def _refuse(self, ticket: Ticket, code: str, problem: str, remedy: str = "") -> None:
        refused = Refused(id=ticket.request.id, code=code, problem=problem, remedy=remedy)
        self._in_flight.pop(ticket.request.id, None)
        if ticket in self._pending:
            self._pending.remove(ticket)
        self.counters.count(refused)
        ticket.inbox.put_nowait(refused)
