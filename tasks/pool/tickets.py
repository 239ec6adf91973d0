"""A request's place in the pool, and the model that it is for.

Knows neither workers nor how requests come in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tasks.pool.protocol import Done, EngineRequest, Refused, Text, WorkerConfig


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
    """One request's place in the pool.

    Attributes:
        begun: it has a seat: if its worker dies now, this request may be why.
        crashes: of workers that had begun it.
        worker_pid: of the worker that it was last handed to.
    """

    model: PoolModel
    request: EngineRequest
    submitted_at: float
    begun: bool = False
    crashes: int = 0
    worker_pid: int = 0
    inbox: asyncio.Queue[Text | Done | Refused | Restarted] = field(default_factory=asyncio.Queue)

    @property
    def run(self) -> str:
        return self.request.run

    @property
    def interactive(self) -> bool:
        return self.request.interactive

    async def events(self) -> AsyncIterator[Text | Done | Refused | Restarted]:
        """Yield what becomes of it; Done or Refused is the last."""
        while True:
            event = await self.inbox.get()
            yield event
            if isinstance(event, Done | Refused):
                return

    def refuse(self, code: str, problem: str, remedy: str = "") -> Refused:
        """Say why it is not answered."""
        refused = Refused(id=self.request.id, code=code, problem=problem, remedy=remedy)
        self.inbox.put_nowait(refused)
        return refused
