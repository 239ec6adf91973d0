"""Who makes room for speech: a pool that nobody asks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flows import memory
from flows.memory import make_room
from tasks.media.whisper_models import SpeechModel
from tasks.pool.lifecycle import PoolStatus
from tasks.settings import Settings

MODEL = SpeechModel("small", Path("/nowhere"), "cpu", "int8", need_mb=2000)
IDLE = PoolStatus("http://127.0.0.1:1/v1", 1, "ready", "m", 1.0, running=0, waiting=0, worker=None)


class Machine:
    """What make_room sees of the machine: a pool that is stopped frees what its model takes."""

    def __init__(self, free_mb: int, *pools: PoolStatus | None) -> None:
        self.free_mb, self.pools = free_mb, list(pools)
        self.stopped = 0

    def status(self, settings: Settings) -> PoolStatus | None:
        return self.pools.pop(0) if len(self.pools) > 1 else self.pools[0]

    def stop(self, settings: Settings, **_: object) -> bool:
        self.stopped += 1
        return True


def room(monkeypatch: pytest.MonkeyPatch, machine: Machine, **settings: object) -> int:
    """Return how often the pool was stopped."""
    monkeypatch.setattr(memory, "free_mb", lambda device: machine.free_mb)
    monkeypatch.setattr(memory, "pool_status", machine.status)
    monkeypatch.setattr(memory, "stop_pool", machine.stop)
    monkeypatch.setattr(memory, "_LOOK_EVERY_S", 0.01)
    make_room(Settings(**settings), MODEL, lambda: None)  # type: ignore[arg-type]
    return machine.stopped


def test_a_pool_stays_where_there_is_memory_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    assert room(monkeypatch, Machine(2000, IDLE)) == 0


def test_an_idle_pool_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert room(monkeypatch, Machine(1999, IDLE)) == 1


def test_a_pool_in_use_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = replace(IDLE, running=3)

    assert room(monkeypatch, Machine(100, busy, busy, IDLE)) == 1


def test_nobody_waits_for_what_is_no_pool_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever loads the model says that there is no memory."""
    assert room(monkeypatch, Machine(100, None)) == 0
    assert room(monkeypatch, Machine(100, IDLE), pool_url="http://127.0.0.1:2/v1") == 0
