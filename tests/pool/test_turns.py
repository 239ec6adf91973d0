"""Models that take turns: neither a swap for each request, nor a model that waits for ever."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from pathlib import Path

import psutil
import pytest
from support.fake_worker import ECHO, HOLD
from support.supervising import model, outcome, request, scenario, until

from tasks.pool import worker_handle
from tasks.pool.model_lines import ModelLines
from tasks.pool.supervisor import Supervisor
from tasks.pool.tickets import Ticket
from tasks.pool.turns import Turn


def turn(ready_at: float | None, worked_at: float = 0) -> Turn:
    """Return a turn of half a minute whose load began at 100 s."""
    made = Turn(30, began_at=100, vacant=deque(), ready_at=ready_at)
    made.worked_at = worked_at
    return made


@pytest.mark.parametrize(("ready_at", "ends_at"), [(101, 131), (160, 160 + 4 * 60)])
def test_a_turn_is_long_beside_its_load(ready_at: float, ends_at: float) -> None:
    """Half a minute, or four loads."""
    assert turn(ready_at).left_s(ends_at - 1, has_work=True) == pytest.approx(1)
    assert turn(ready_at).left_s(ends_at, has_work=True) == pytest.approx(0)


@pytest.mark.parametrize(
    ("ready_at", "left_s"),
    [(100.5, 0.5), (120, 2)],  # for as long as the load took; for two seconds at most
)
def test_a_model_without_work_keeps_its_turn_for_a_moment(ready_at: float, left_s: float) -> None:
    assert turn(ready_at, worked_at=125).left_s(125, has_work=False) == left_s


def test_this_moment_does_not_make_a_turn_longer() -> None:
    assert turn(101, worked_at=130.5).left_s(130.5, has_work=False) == 0.5


def test_a_load_is_worth_its_time_while_somebody_waits_for_it() -> None:
    assert turn(None).left_s(100_000, has_work=True) > 0
    assert turn(None).left_s(100, has_work=False) == 0


def test_models_get_their_turns_in_the_order_in_which_they_were_wanted() -> None:
    """One whose turn is over waits behind all others, however old its requests are."""
    lines = ModelLines()
    tickets = [Ticket(model(name), request(ECHO), 0) for name in "aabacb"]
    for ticket in tickets:
        lines.push(ticket)
    order = []
    while wanted := lines.next_model:
        order.append(wanted.name)
        lines.remove(next(iter(lines.of(wanted))))  # one a turn
        lines.end_turn(wanted)

    assert order == list("abcaba")


async def ask_one_after_the_other(supervisor: Supervisor, name: str, n: int) -> None:
    for _ in range(n):
        assert await outcome(supervisor.submit(model(name), request(ECHO, run=name))) == "ok"


def test_two_runs_that_ask_one_thing_after_the_other_do_not_swap_for_each() -> None:
    async def body(supervisor: Supervisor) -> None:
        async with asyncio.TaskGroup() as runs:
            for name in ("a", "b"):
                runs.create_task(ask_one_after_the_other(supervisor, name, 50))

        assert 1 <= supervisor.counters.swaps < 10
        assert {each.identity for each in supervisor.counters.models} == {"a", "b"}
        assert supervisor.counters.requests == {"stop": 100}

    scenario(body)


def test_a_model_that_is_always_wanted_does_not_keep_another_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it gets its next turn in turn. There is memory for one of them: each load would fail if
    the other model's worker were still there."""
    monkeypatch.setenv("MEMORY", str(tmp_path / "memory"))

    async def body(supervisor: Supervisor) -> None:
        answered = 0

        async def keep_asking() -> None:
            nonlocal answered
            while True:
                assert await outcome(supervisor.submit(model("a"), request(ECHO))) == "ok"
                answered += 1

        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(keep_asking()) for _ in range(20)]
            for n in (1, 2):
                before = answered
                await until(lambda before=before: answered > before + 20)
                other = supervisor.submit(model("b"), request(ECHO))
                assert await outcome(other) == "ok"
                assert supervisor.counters.swaps == 2 * n - 1
            for run in runs:
                run.cancel()
        assert supervisor.counters.crashes == 0
        assert supervisor.counters.requests.keys() == {"stop"}

    scenario(body, turn_s=0.2)


def test_nobody_is_left_waiting_for_a_turn_that_nobody_wants_any_more() -> None:
    """The loaded model goes on when those who waited for another have left."""

    async def body(supervisor: Supervisor) -> None:
        held = supervisor.submit(model("a"), request(HOLD))
        await until(lambda: held.begun)
        other = supervisor.submit(model("b"), request(ECHO))
        late = supervisor.submit(model("a"), request(ECHO))
        supervisor.cancel(other)

        assert await outcome(late) == "ok"
        assert supervisor.counters.loads == 1
        supervisor.cancel(held)

    scenario(body, turn_s=0)


def test_a_worker_that_hangs_makes_way_for_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has nothing to do, and does not even end."""
    monkeypatch.setattr(worker_handle, "END_S", 0.5)

    async def body(supervisor: Supervisor) -> None:
        first = supervisor.submit(model("a"), request(ECHO))
        assert await outcome(first) == "ok"
        os.kill(first.worker_pid, signal.SIGSTOP)

        assert await outcome(supervisor.submit(model("b"), request(ECHO))) == "ok"
        assert not psutil.pid_exists(first.worker_pid)
        assert supervisor.counters.crashes == 0

    scenario(body)


def test_a_load_that_nobody_waits_for_any_more_is_given_up_for_another_model() -> None:
    async def body(supervisor: Supervisor) -> None:
        stuck = supervisor.submit(model("stuck"), request(ECHO))
        await until(lambda: supervisor.state == "loading")
        supervisor.cancel(stuck)

        assert await outcome(supervisor.submit(model("b"), request(ECHO))) == "ok"

    scenario(body)
