"""The supervisor with a fake worker: crashes, other models, cancelling, a full queue."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import psutil
import pytest
from support.fake_worker import DIE, DIE_ONCE, ECHO, HOLD
from support.supervising import model, outcome, request, scenario, supervised, until, workers

from tasks.pool.protocol import Done, Refused, WorkerConfig
from tasks.pool.supervisor import BusyError, Supervisor
from tasks.pool.tickets import PoolModel, Restarted, Ticket
from tasks.pool.worker_process import worker_environment


def test_the_first_worker_starts_before_it_is_wanted() -> None:
    """The first load takes it. It is no worker of the pool's yet, and ends with the pool."""

    async def body(supervisor: Supervisor) -> None:
        await until(lambda: len(workers()) == 1)
        [waiting] = workers()
        assert (supervisor.state, supervisor.worker) == ("idle", None)
        ticket = supervisor.submit(model("a"), request(ECHO))

        assert await outcome(ticket) == "ok"
        assert ticket.worker_pid == waiting.pid
        assert workers() == [waiting]

    async def nobody_asks(supervisor: Supervisor) -> None:
        await until(lambda: len(workers()) == 1)

    scenario(body)
    scenario(nobody_asks)
    assert workers() == []


def test_a_worker_that_dies_before_it_is_wanted_is_nobodys_loss() -> None:
    async def body(supervisor: Supervisor) -> None:
        await until(lambda: len(workers()) == 1)
        [waiting] = workers()
        waiting.kill()
        await until(lambda: not waiting.is_running())

        assert await outcome(supervisor.submit(model("a"), request(ECHO))) == "ok"
        assert supervisor.counters.crashes == 0

    scenario(body)


def test_requests_share_one_worker() -> None:
    async def body(supervisor: Supervisor) -> None:
        tickets = [supervisor.submit(model("a"), request(ECHO)) for _ in range(20)]

        assert [await outcome(ticket) for ticket in tickets] == ["ok"] * 20
        assert supervisor.counters.loads == 1
        assert len({ticket.worker_pid for ticket in tickets}) == 1

    scenario(body)


def test_a_killed_worker_costs_its_requests_nothing(tmp_path: Path) -> None:
    """What was in flight is answered by a fresh worker, and says that it began anew."""

    async def body(supervisor: Supervisor) -> None:
        held = supervisor.submit(model("a"), request(DIE_ONCE, str(tmp_path / "died")))
        others = [supervisor.submit(model("a"), request(ECHO)) for _ in range(5)]

        assert [await outcome(ticket) for ticket in others] == ["ok"] * 5
        events = [type(event) async for event in held.events()]
        assert [Restarted, Done] == events[1:]
        assert supervisor.counters.crashes == 1

    scenario(body)


def test_a_request_that_kills_twice_is_refused_and_only_that_one() -> None:
    """Those that ran beside it at the first crash are tried alone, and answered."""

    async def body(supervisor: Supervisor) -> None:
        held = [supervisor.submit(model("a"), request(HOLD)) for _ in range(3)]
        await until(lambda: supervisor.running == 3)
        poison = supervisor.submit(model("a"), request(DIE))
        await until(lambda: supervisor.counters.crashes == 1)
        for ticket in held:  # they would hold for ever in the fresh worker too
            supervisor.cancel(ticket)
        after = supervisor.submit(model("a"), request(ECHO))

        assert await outcome(poison) == "worker_crashed"
        assert await outcome(after) == "ok"
        assert supervisor.counters.crashes == 2

    scenario(body)


def test_suspects_run_alone() -> None:
    """After a crash each of its requests is asked with nothing else in flight."""

    async def body(supervisor: Supervisor) -> None:
        first = supervisor.submit(model("a"), request(HOLD))
        second = supervisor.submit(model("a"), request(HOLD))
        await until(lambda: supervisor.running == 2)
        assert supervisor.worker is not None
        os.kill(supervisor.worker.pid, signal.SIGKILL)
        await until(lambda: supervisor.counters.crashes == 1 and supervisor.running == 1)

        assert (supervisor.running, supervisor.waiting) == (1, 1)
        supervisor.cancel(first)
        await until(lambda: second.begun)
        supervisor.cancel(second)

    scenario(body)


def test_another_model_waits_until_the_first_is_done() -> None:
    """When its turn is over, the running one drains; what comes for it meanwhile queues behind the
    other."""

    async def body(supervisor: Supervisor) -> None:
        held = supervisor.submit(model("a"), request(HOLD))
        await until(lambda: held.begun)
        first_pid = held.worker_pid
        other = supervisor.submit(model("b"), request(ECHO))
        late = supervisor.submit(model("a"), request(ECHO))
        await asyncio.sleep(0.1)
        assert (supervisor.running, supervisor.waiting) == (1, 2)
        supervisor.cancel(held)

        assert [await outcome(other), await outcome(late)] == ["ok", "ok"]
        assert len({first_pid, other.worker_pid, late.worker_pid}) == 3
        assert (supervisor.counters.loads, supervisor.counters.swaps) == (3, 2)
        assert supervisor.counters.crashes == 0

    scenario(body, turn_s=0)


def test_one_model_under_two_names_is_loaded_once() -> None:
    """By its name in models.toml, by its path, by a link to it: the content is what counts."""

    async def body(supervisor: Supervisor) -> None:
        by_name, by_path = (
            PoolModel(name, "sha", WorkerConfig(model_path=path, n_ctx=100))
            for name, path in (("demo", "/models/x.gguf"), ("/link.gguf", "/link.gguf"))
        )
        held = supervisor.submit(by_name, request(HOLD))
        await until(lambda: held.begun)

        assert await outcome(supervisor.submit(by_path, request(ECHO))) == "ok"
        assert supervisor.counters.loads == 1
        supervisor.cancel(held)

    scenario(body)


def test_a_worker_that_hangs_is_killed_and_only_its_requests_are_refused() -> None:
    async def body(supervisor: Supervisor) -> None:
        hung = supervisor.submit(model("a"), request(HOLD))

        assert await outcome(hung) == "worker_crashed"
        assert supervisor.counters.crashes == 2
        assert await outcome(supervisor.submit(model("a"), request(ECHO))) == "ok"

    scenario(body, hung_s=0.3)


def test_a_worker_without_work_may_be_silent() -> None:
    async def body(supervisor: Supervisor) -> None:
        assert await outcome(supervisor.submit(model("a"), request(ECHO))) == "ok"
        await asyncio.sleep(1.3)
        assert await outcome(supervisor.submit(model("a"), request(ECHO))) == "ok"
        assert supervisor.counters.loads == 1

    scenario(body, hung_s=1)


@pytest.mark.parametrize("name", ["is-bad", "will-abort"])
def test_a_model_that_does_not_load_refuses_its_requests_only(name: str) -> None:
    async def body(supervisor: Supervisor) -> None:
        bad = [supervisor.submit(model(name), request(ECHO)) for _ in range(2)]
        good = supervisor.submit(model("good"), request(ECHO))

        assert [await outcome(ticket) for ticket in bad] == ["model_load_failed"] * 2
        assert await outcome(good) == "ok"

    scenario(body)


def test_a_load_that_comes_to_a_stop_is_told_and_holds_no_other_model_up() -> None:
    async def body(supervisor: Supervisor) -> None:
        stuck = supervisor.submit(model("stuck"), request(ECHO))
        good = supervisor.submit(model("good"), request(ECHO))

        refusals = [event async for event in stuck.events() if isinstance(event, Refused)]
        assert [(each.code, each.problem) for each in refusals] == [
            ("model_load_failed", "loading it came to a stop at 50%")
        ]
        assert await outcome(good) == "ok"
        assert supervisor.counters.loads == 2

    scenario(body, load_hung_s=3)


def test_a_full_queue_is_busy() -> None:
    async def body(supervisor: Supervisor) -> None:
        for _ in range(2):
            supervisor.submit(model("a"), request(HOLD))
        with pytest.raises(BusyError):
            supervisor.submit(model("a"), request(ECHO))

    scenario(body, queue_max=2)


def test_stopping_refuses_what_is_open_and_leaves_no_process() -> None:
    async def play() -> tuple[Ticket, int]:
        async with supervised() as supervisor:
            ticket = supervisor.submit(model("a"), request(HOLD))
            await until(lambda: ticket.begun)
        return ticket, ticket.worker_pid

    ticket, pid = asyncio.run(play())

    assert asyncio.run(outcome(ticket)) == "shutting_down"
    assert not psutil.pid_exists(pid)


def test_an_idle_worker_that_dies_is_replaced_at_the_next_request() -> None:
    async def body(supervisor: Supervisor) -> None:
        assert await outcome(supervisor.submit(model("a"), request(ECHO))) == "ok"
        assert supervisor.worker is not None
        os.kill(supervisor.worker.pid, signal.SIGKILL)
        await until(lambda: supervisor.worker is None)

        assert await outcome(supervisor.submit(model("a"), request(ECHO))) == "ok"

    scenario(body)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (signal.SIGILL, r"built for another CPU.*make install.*GGML_NATIVE=OFF"),
        (signal.SIGSEGV, r"llama.cpp failed \(SIGSEGV\).*lectern doctor"),
        (signal.SIGBUS, r"cut short.*Get the file again"),
        (signal.SIGKILL, r"want of memory.*Lower LECTERN_POOL_N_SEQ_MAX"),
    ],
)
def test_the_log_says_why_a_worker_died_and_what_to_do(
    number: signal.Signals, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And what it was at is answered all the same, once."""

    async def body(supervisor: Supervisor) -> None:
        held = supervisor.submit(model("a"), request(HOLD))
        await until(lambda: held.begun)
        other = supervisor.submit(model("a"), request(HOLD))
        await until(lambda: other.begun)
        assert supervisor.worker is not None
        os.kill(supervisor.worker.pid, number)
        await until(lambda: supervisor.counters.crashes == 1)
        supervisor.cancel(held)
        supervisor.cancel(other)
        assert await outcome(supervisor.submit(model("a"), request(ECHO))) == "ok"

    scenario(body)

    assert re.search(told, caplog.text)


def test_what_kills_two_workers_is_refused_by_its_number() -> None:
    async def body(supervisor: Supervisor) -> None:
        poison = supervisor.submit(model("a"), request(DIE))
        events = [event async for event in poison.events()]

        assert isinstance(events[-1], Refused)
        assert re.match(
            rf"two workers died while computing request {poison.request.id}: something killed it",
            events[-1].problem,
        )

    scenario(body)


def test_threads_wait_as_the_user_has_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else in a way that suits quiet machines and busy ones."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    ours = worker_environment()
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    theirs = worker_environment()

    assert (ours["OMP_WAIT_POLICY"], ours["GOMP_SPINCOUNT"]) == ("passive", "1000")
    assert theirs["OMP_WAIT_POLICY"] == "active"
    assert "GOMP_SPINCOUNT" not in theirs
