"""An idle pool on a machine that others use: it measures when they are done, and says why not."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support import fake_worker
from support.fake_worker import ECHO

from tasks.pool.cpus import usable_cpus
from tasks.pool.guard import Activity
from tasks.pool.idle_tuning import IdleTuning, busy_share
from tasks.pool.protocol import Done, EngineRequest, WorkerConfig
from tasks.pool.supervisor import Supervisor
from tasks.pool.tickets import PoolModel
from tasks.pool.tuning import missing
from tasks.settings import Settings

MODEL = PoolModel("tiny", "1" * 64, WorkerConfig(model_path="tiny", n_ctx=100))
# Dies when it is told to measure, after which nothing is missing any more.
WORKER = (sys.executable, str(Path(fake_worker.__file__)), "dies-of-tuning")


class Machine:
    """How busy it is, as the test says it; counts who looks."""

    def __init__(self, *shares: float) -> None:
        self.shares = list(shares)
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.shares.pop(0) if len(self.shares) > 1 else self.shares[0]


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def answer(supervisor: Supervisor) -> int:
    """Ask something; return the pid of the worker that answers."""
    ticket = supervisor.submit(MODEL, EngineRequest(id=0, prompt=[ECHO], max_tokens=1))
    last = [event async for event in ticket.events()][-1]
    assert isinstance(last, Done)
    return ticket.worker_pid


def play(
    settings: Settings, machine: Machine, scene: Callable[[Supervisor], Awaitable[None]]
) -> None:
    """Let a pool be idle on a machine."""

    async def whole() -> None:
        supervisor = Supervisor(100, WORKER)
        idle = IdleTuning(settings, Activity(), supervisor, idle_s=0.01, busy=machine)
        await supervisor.start()
        tuning = asyncio.create_task(idle.run())
        try:
            await asyncio.wait_for(scene(supervisor), 60)
        finally:
            tuning.cancel()
            await supervisor.stop()

    asyncio.run(whole())


def test_it_waits_until_others_are_done_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings, machine = Settings(home=tmp_path), Machine(0.43)

    async def scene(supervisor: Supervisor) -> None:
        pid = await answer(supervisor)
        await until(lambda: machine.looks > 30)
        assert await answer(supervisor) == pid
        machine.shares = [0.02]
        await until(lambda: not missing(settings, MODEL.identity))

    play(settings, machine, scene)

    assert caplog.text.count("others use 43% of the processors") == 1
    assert caplog.text.count("measures what is best for tiny") == 1


def test_the_time_before_it_was_idle_and_a_moment_of_work_do_not_count(tmp_path: Path) -> None:
    settings, machine = Settings(home=tmp_path), Machine(1.0, 0.0, 0.3, 0.0)

    async def scene(supervisor: Supervisor) -> None:
        await answer(supervisor)
        await until(lambda: not missing(settings, MODEL.identity))

    play(settings, machine, scene)

    assert machine.looks == 6


def test_the_work_of_another_program_is_seen() -> None:
    """One that takes a processor for itself."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            busy_share()
            shares = []
            while not shares or shares[-1] < 0.3 / usable_cpus():  # until it has begun
                time.sleep(0.2)
                shares.append(busy_share())
        finally:
            other.kill()

    assert all(0 <= share <= 1 for share in shares)
