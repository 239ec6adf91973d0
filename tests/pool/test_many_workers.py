"""One model in several fake workers: who gets what, and what a death costs the others."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import psutil
import pytest
from support.fake_worker import DIE, DIE_ONCE, ECHO, HOLD
from support.supervising import model, outcome, request, scenario, until

from tasks.pool.protocol import Done
from tasks.pool.supervisor import Supervisor
from tasks.pool.tickets import Restarted, Ticket

SEATS = 8  # of a worker


async def all_ready(supervisor: Supervisor, n: int) -> list[int]:
    """Wait until n workers have loaded, one after another; return their pids."""
    held = supervisor.submit(model("a"), request(HOLD))

    def ready() -> bool:
        assert sum(not worker.ready for worker in supervisor.workers) <= 1
        return sum(worker.ready for worker in supervisor.workers) == n

    await until(ready)
    supervisor.cancel(held)
    return [worker.pid for worker in supervisor.workers]


def hold(supervisor: Supervisor, n: int, run: str = "") -> list[Ticket]:
    return [supervisor.submit(model("a"), request(HOLD, run=run)) for _ in range(n)]


def test_workers_load_one_after_another_and_share_the_requests() -> None:
    async def body(supervisor: Supervisor) -> None:
        pids = await all_ready(supervisor, 3)
        held = hold(supervisor, 9)

        assert Counter(ticket.worker_pid for ticket in held) == dict.fromkeys(pids, 3)
        assert supervisor.counters.loads == 3
        assert supervisor.only_worker is None  # so nothing is measured
        for ticket in held:
            supervisor.cancel(ticket)

    scenario(body, n_workers=3)


def test_a_run_stays_with_the_worker_that_knows_its_prompts() -> None:
    """As long as this one has no more to do than the others."""

    async def body(supervisor: Supervisor) -> None:
        await all_ready(supervisor, 2)
        pids: dict[str, set[int]] = {"one": set(), "other": set()}
        for run in ("one", "other") * 3:
            ticket = supervisor.submit(model("a"), request(ECHO, run=run))
            await outcome(ticket)
            pids[run].add(ticket.worker_pid)

        assert [len(each) for each in pids.values()] == [1, 1]
        assert pids["one"] != pids["other"]

    scenario(body, n_workers=2)


def test_what_a_worker_has_no_seat_for_soon_waits_for_any_of_them() -> None:
    """An interactive request is handed over all the same: it passes the others there."""

    async def body(supervisor: Supervisor) -> None:
        await all_ready(supervisor, 2)
        held = hold(supervisor, 4 * SEATS + 5, run="long")
        late = hold(supervisor, 2, run="late")
        asked = supervisor.submit(model("a"), request(ECHO, interactive=True))

        assert await outcome(asked) == "ok"
        handed = [ticket for ticket in held if ticket.worker_pid]
        assert len(handed) == 4 * SEATS
        for ticket in handed[:2]:  # whose places go to both runs, not to whoever asked for most
            supervisor.cancel(ticket)
        assert [bool(ticket.worker_pid) for ticket in late] == [True, False]

    scenario(body, n_workers=2)


def test_a_death_costs_the_other_workers_nothing(tmp_path: Path) -> None:
    async def body(supervisor: Supervisor) -> None:
        pids = await all_ready(supervisor, 2)
        held = hold(supervisor, 1)[0]
        poison = supervisor.submit(model("a"), request(DIE_ONCE, str(tmp_path / "died")))
        assert poison.worker_pid != held.worker_pid

        events = [type(event) async for event in poison.events()]
        assert [Restarted, Done] == events[1:]
        await until(lambda: sum(worker.ready for worker in supervisor.workers) == 2)
        now = {worker.pid for worker in supervisor.workers}
        assert held.worker_pid in now & set(pids)
        assert (len(now), len(now & set(pids))) == (2, 1)
        assert (held.begun, held.crashes) == (True, 0)
        supervisor.cancel(held)

    scenario(body, n_workers=2)


def test_a_suspect_is_alone_in_its_worker_and_others_are_served_meanwhile() -> None:
    async def body(supervisor: Supervisor) -> None:
        await all_ready(supervisor, 2)
        first, second = hold(supervisor, 2)
        await until(lambda: first.begun and second.begun)
        os.kill(first.worker_pid, signal.SIGKILL)
        await until(lambda: first.crashes == 1 and first.begun)
        asked = [supervisor.submit(model("a"), request(ECHO)) for _ in range(5)]

        assert [await outcome(ticket) for ticket in asked] == ["ok"] * 5
        assert {ticket.worker_pid for ticket in asked} == {second.worker_pid}
        supervisor.cancel(first)
        supervisor.cancel(second)

    scenario(body, n_workers=2)


def test_a_request_that_kills_two_workers_is_refused_and_the_others_answered() -> None:
    async def body(supervisor: Supervisor) -> None:
        await all_ready(supervisor, 2)
        poison = supervisor.submit(model("a"), request(DIE))
        others = [supervisor.submit(model("a"), request(ECHO)) for _ in range(20)]

        assert await outcome(poison) == "worker_crashed"
        assert [await outcome(ticket) for ticket in others] == ["ok"] * 20
        assert supervisor.counters.crashes == 2

    scenario(body, n_workers=2)


def test_when_all_workers_die_all_come_back() -> None:
    async def body(supervisor: Supervisor) -> None:
        before = await all_ready(supervisor, 2)
        held = hold(supervisor, 2)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: all(t.begun and t.worker_pid not in before for t in held))

        assert len({ticket.worker_pid for ticket in held}) == 2
        for ticket in held:
            supervisor.cancel(ticket)

    scenario(body, n_workers=2)


def test_a_worker_that_made_way_for_nobody_comes_back() -> None:
    """Another model was wanted, but no more when its turn came."""

    async def body(supervisor: Supervisor) -> None:
        await all_ready(supervisor, 2)
        held = hold(supervisor, 2)
        other = supervisor.submit(model("b"), request(ECHO))
        supervisor.cancel(held[0])
        await until(lambda: len(supervisor.workers) == 1)
        supervisor.cancel(other)

        await until(lambda: sum(worker.ready for worker in supervisor.workers) == 2)
        assert held[1].worker_pid in {worker.pid for worker in supervisor.workers}
        assert supervisor.counters.swaps == 0
        supervisor.cancel(held[1])

    scenario(body, n_workers=2, turn_s=0)


def test_where_there_is_no_memory_for_a_further_worker_the_first_does_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MEMORY", str(tmp_path / "memory"))

    async def body(supervisor: Supervisor) -> None:
        held = supervisor.submit(model("a"), request(HOLD))
        await until(lambda: supervisor.only_worker is not None)
        supervisor.cancel(held)

        assert await outcome(supervisor.submit(model("a"), request(ECHO))) == "ok"
        assert supervisor.counters.loads == 2  # the third did not even try

    scenario(body, n_workers=3)

    assert "no more workers for a than there are (1): there is no memory for it" in caplog.text


@pytest.mark.parametrize("name", ["is-bad", "will-abort"])
def test_a_model_that_the_first_worker_cannot_load_is_refused(name: str) -> None:
    async def body(supervisor: Supervisor) -> None:
        assert await outcome(supervisor.submit(model(name), request(ECHO))) == "model_load_failed"
        assert supervisor.counters.loads == 1

    scenario(body, n_workers=4)


def test_a_model_comes_when_all_workers_of_the_other_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are done end before the others, and those that load are not waited for."""

    async def body(supervisor: Supervisor) -> None:
        pids = await all_ready(supervisor, 2)
        held = hold(supervisor, 2)
        other = supervisor.submit(model("b"), request(HOLD))
        supervisor.cancel(held[0])
        await until(lambda: not psutil.pid_exists(held[0].worker_pid))
        assert [worker.pid for worker in supervisor.workers] == [held[1].worker_pid]
        supervisor.cancel(held[1])
        await until(lambda: other.begun)

        assert not any(map(psutil.pid_exists, pids))
        back = supervisor.submit(model("a"), request(ECHO))  # while the second of b loads
        supervisor.cancel(other)
        assert await outcome(back) == "ok"
        assert supervisor.counters.swaps == 2

    scenario(body, n_workers=2, turn_s=0)
