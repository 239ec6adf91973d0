"""Killed while it starts: whoever needs it starts it once more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.crashing import command_line

from tasks.errors import InferenceError
from tasks.pool.lifecycle import ensure_pool, pool_status, stop_pool
from tasks.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a home of its own; its pool, if one was started, is stopped."""
    settings = Settings(home=tmp_path / "home")
    yield settings
    stop_pool(settings)


class Killer:
    """Kills the fronts that this process starts, so many of them, while it waits for them."""

    def __init__(self, times: int) -> None:
        self._times = times
        self.killed: set[psutil.Process] = set()

    def __call__(self) -> None:
        for child in set(psutil.Process().children()) - self.killed:
            if len(self.killed) < self._times and "tasks.pool.server" in command_line(child):
                child.kill()
                self.killed.add(child)


def test_a_front_that_is_killed_while_it_starts_is_started_once_more(own: Settings) -> None:
    killer = Killer(times=1)
    ensure_pool(own, killer)

    assert len(killer.killed) == 1
    assert pool_status(own) is not None


def test_a_front_that_is_killed_again_is_told(own: Settings) -> None:
    """Each time may be for want of memory: there is an end to it."""
    with pytest.raises(InferenceError, match="status -9"):
        ensure_pool(own, Killer(times=2))
