"""A supervisor with fake workers, and scenes that are played with it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from support import fake_worker

from tasks.pool.protocol import Done, EngineRequest, Refused, WorkerConfig
from tasks.pool.supervisor import Supervisor
from tasks.pool.tickets import PoolModel, Ticket

COMMAND = (sys.executable, str(Path(fake_worker.__file__)))


def model(name: str) -> PoolModel:
    return PoolModel(name, name, WorkerConfig(model_path=name, n_ctx=100))


def request(what: int, *stop: str, run: str = "", interactive: bool = False) -> EngineRequest:
    return EngineRequest(
        id=0, prompt=[what], max_tokens=1, stop=list(stop), run=run, interactive=interactive
    )


async def outcome(ticket: Ticket) -> str:
    """Return the answer's text, or the code of its refusal."""
    async for event in ticket.events():
        if isinstance(event, Done):
            return event.text
        if isinstance(event, Refused):
            return event.code
    raise AssertionError


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


@asynccontextmanager
async def supervised(
    queue_max: int = 100, hung_s: float = 60, load_hung_s: float = 60, **options: Any
) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(queue_max, COMMAND, hung_s, load_hung_s, **options)
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def scenario(body: Callable[[Supervisor], Awaitable[None]], **options: Any) -> None:
    async def play() -> None:
        async with supervised(**options) as supervisor:
            await asyncio.wait_for(body(supervisor), 20)

    asyncio.run(play())


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _is_worker(child)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return COMMAND[-1] in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
