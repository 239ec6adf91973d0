"""A worker as the supervisor sees it: a process, its pipes, and the requests that it has.

Owns nothing but these; who gets which request is tasks.pool.handing_out's business.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from time import perf_counter

from tasks.pool.deaths import Death
from tasks.pool.protocol import (
    Alive,
    Event,
    LoadFailed,
    Order,
    Ready,
    Tuned,
    WorkerConfig,
    decode,
    encode,
)
from tasks.pool.tickets import PoolModel, Ticket
from tasks.pool.worker_process import END_S, end_process

# Requests that a worker has, for each of its seats: so many that a seat is never empty while the
# next is on its way, so few that others can still take them, and a turn ends before long.
_A_SEAT = 2
_A_SEAT_INTERACTIVE = 3  # they pass the others in the worker's own line


class Worker:
    """A worker process that is told to load a model, and its pipes.

    Attributes:
        config: what it loads; once it has, with the GPUs that it has chosen.
        seats: sequences that it decodes together.
        memory_estimate: bytes that it should have resident; 0: not known.
        in_flight: what it was handed and has not answered, by number.
        runs: those of which it had requests.
        asked_at: when it last was handed a request.
    """

    def __init__(self, process: Process, model: PoolModel, config: WorkerConfig) -> None:
        self._process = process
        self.model, self.config = model, config
        self.seats = config.n_seq_max
        self.progress = 0.0
        self.ready = False
        self.memory_estimate = 0
        self.note = ""
        self.retired = False
        self._patience: asyncio.TimerHandle | None = None  # with its end
        self.ended = False
        self.load_failed: LoadFailed | None = None
        self.died: Death | None = None  # where more is known than its status tells
        self.alive = Alive(busy_s=0.0, llama_s=0.0)
        self.heard_at = perf_counter()
        self.in_flight: dict[int, Ticket] = {}
        self.runs: set[str] = set()
        self.asked_at = 0.0
        self.send(config)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def listens(self) -> bool:
        return not (self.retired or self.ended)

    @property
    def owes(self) -> bool:
        """Tell whether something is to be heard of it: an answer, or that it has loaded."""
        return bool(self.in_flight) or not self.ready

    def takes(self, ticket: Ticket) -> bool:
        """Tell whether it may have this request too: a suspect is alone in its worker."""
        if not (self.ready and self.listens):
            return False
        if ticket.crashes or any(each.crashes for each in self.in_flight.values()):
            return not self.in_flight
        a_seat = _A_SEAT_INTERACTIVE if ticket.interactive else _A_SEAT
        return len(self.in_flight) < a_seat * self.seats

    def take(self, ticket: Ticket) -> None:
        """Have it answer a request."""
        self.asked_at = now = perf_counter()
        if not self.in_flight:
            self.heard_at = now  # it had no reason to say anything
        self.in_flight[ticket.request.id] = ticket
        self.runs.add(ticket.run)
        ticket.worker_pid = self.pid
        self.send(replace(ticket.request, waited_s=now - ticket.submitted_at))

    def has_loaded(self, event: Ready) -> None:
        self.ready = True
        self.seats = event.n_seq_max or self.seats
        self.memory_estimate, self.note = event.memory_estimate, event.note
        if event.gpus is not None:
            self.config = replace(self.config, gpus=tuple(event.gpus))

    def is_tuned(self, event: Tuned) -> None:
        self.seats = event.tuning.get("n_seq_max", self.seats)
        self.memory_estimate = event.memory_estimate

    def send(self, message: Order | WorkerConfig) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(encode(message))

    def retire(self) -> None:
        """Close its stdin, upon which it ends; by force if it hangs, since others wait for it."""
        assert self._process.stdin is not None
        self.retired = True
        self._process.stdin.close()
        self._patience = asyncio.get_running_loop().call_later(END_S, self.kill)

    async def events(self) -> AsyncIterator[Event]:
        """Yield its events until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.heard_at = perf_counter()
            if line.endswith(b"\n"):  # else it was killed while writing
                yield decode(line)

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # it is gone
            self._process.kill()

    async def end(self) -> int:
        """Wait until the process is gone; return its exit status."""
        if self._patience is not None:
            self._patience.cancel()
        return await end_process(self._process)
