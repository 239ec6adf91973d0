"""kill -9 of anything, at any moment, then the same again: as if nothing had happened.

`LECTERN_SOAK=1 pytest -m soak tests/crashes` kills each target 50 times (LECTERN_SOAK_KILLS: so
often), `make test` once. A failure prints its seed; LECTERN_SOAK_SEED repeats its moments.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import polars as pl
import pytest
from support.crashing import (
    TARGETS,
    Moment,
    Run,
    World,
    kill,
    lasting,
    start,
    wait_until,
    world,
)

from flows.server import RunningServer
from flows.stopping import STOPPED

SOAK = bool(os.environ.get("LECTERN_SOAK"))
KILLS = int(os.environ.get("LECTERN_SOAK_KILLS") or (50 if SOAK else 1))
# Elsewhere the same moments every time, as near as a machine's pace allows.
SEED = int(os.environ.get("LECTERN_SOAK_SEED") or (random.randrange(10**6) if SOAK else 1))
DELAY_S = 0.05  # of an answer: a run takes long enough to be met in all of its parts
IN_FLIGHT = 4  # requests with the pool at once: twice its sequences

pytestmark = [
    pytest.mark.slow,
    pytest.mark.soak,
    pytest.mark.timeout(240 + 240 * KILLS),
]


@dataclass(frozen=True)
class Undisturbed:
    """What a run comes to that nobody kills."""

    tables: dict[str, pl.DataFrame]
    asked: int
    duration_s: float


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: RunningServer, tiny_model: Path
) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world"), prefect_server, tiny_model, DELAY_S) as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(place: World) -> Undisturbed:
    began = time.monotonic()
    assert start(place, "command").went_well(place)
    return Undisturbed(place.tables(), len(place.answered), time.monotonic() - began)


@pytest.mark.parametrize("target", TARGETS)
def test_after_a_kill_the_same_again_ends_as_if_it_had_not_been(
    target: str, place: World, undisturbed: Undisturbed
) -> None:
    """Tables equal an undisturbed run's; nothing finished is asked twice; nothing is left over."""
    for n in range(KILLS):
        rng = random.Random(f"{SEED}-{target}-{n}")
        how = "deployment" if target == "prefect-worker" else rng.choice(["command", "deployment"])
        moment = Moment.any(rng, undisturbed.duration_s, undisturbed.asked)
        print(f"LECTERN_SOAK_SEED={SEED}: kill {n} of {target}, a {how}, {moment}", flush=True)
        place.forget()
        _kill_once(place, target, how, moment, undisturbed)


def _kill_once(
    place: World, target: str, how: str, moment: Moment, undisturbed: Undisturbed
) -> None:
    run = start(place, how)
    moment.wait(place, run)
    kill(TARGETS[target](place, run))
    if target in ("flow", "everything"):
        _again(place, run, target, how)
    else:  # the others are started again by those who need them, and the run goes on
        assert run.went_well(place)

    asked_again = len(place.answered) - undisturbed.asked
    after = place.tables()
    for name, expected in undisturbed.tables.items():
        assert lasting(after[name]).equals(lasting(expected)), name
    assert 0 <= asked_again <= IN_FLIGHT
    wait_until(lambda: not place.open_runs())
    wait_until(lambda: not place.left_over(), 30)
    assert place.temporary_files() == []
    assert place.held_locks() == []


def _again(place: World, killed: Run, target: str, how: str) -> None:
    """Give the same command again, with all that it needs; what was kept stays as it is."""
    if killed.command is not None:
        killed.command.communicate()
    if target == "everything":
        place.up.process.communicate()
        place.up = place.project.up()
    kept = place.tables()["generations"]
    assert start(place, how).went_well(place)
    now = place.tables()["generations"]
    assert now.join(kept, on=["key", "attempt"], how="semi").equals(kept)


@pytest.mark.parametrize("how", ["command", "deployment"])
def test_cancelling_in_the_ui_cancels_the_requests(
    how: str, place: World, undisturbed: Undisturbed
) -> None:
    """The run ends as cancelled, the pool has nothing left to do, and the same again goes on."""
    place.forget()
    run = start(place, how)
    wait_until(lambda: place.parts >= 2 or run.ended(place))
    cancelled = UUID(place.newest_run()["id"])
    place.cancel(cancelled)
    wait_until(lambda: run.ended(place))

    wait_until(lambda: place.state(cancelled) == "CANCELLED")
    if run.command is not None:
        assert STOPPED in run.command.communicate()[0]
        assert run.command.returncode == 130
    wait_until(lambda: not place.is_pool_busy())
    assert len(place.answered) < undisturbed.asked
    kept = place.tables()["generations"]
    assert start(place, how).went_well(place)
    after = place.tables()
    assert after["generations"].join(kept, on=["key", "attempt"], how="semi").equals(kept)
    for name, expected in undisturbed.tables.items():
        assert lasting(after[name]).equals(lasting(expected)), name


@pytest.mark.skipif(not os.environ.get("LECTERN_SOAK"), reason="takes two minutes: make soak")
def test_a_dead_run_is_marked_within_two_minutes(place: World) -> None:
    """By the automation of `lectern up` alone; one that ended with warnings is not."""
    warned = place.command("/nowhere/missing.pdf")
    warned.communicate()
    assert warned.returncode == 2
    ended = UUID(place.newest_run()["id"])
    place.forget()
    command = place.command()
    wait_until(lambda: place.parts >= 2 or command.poll() is not None)
    killed = UUID(place.newest_run()["id"])
    assert place.state(killed) == "RUNNING"
    command.kill()
    command.communicate()

    wait_until(lambda: place.state(killed) == "CRASHED", 120)
    with place.api() as client:
        state = client.get(f"/flow_runs/{ended}").json()["state"]
    assert (state["type"], state["name"]) == ("COMPLETED", "Completed with warnings")
