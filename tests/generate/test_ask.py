"""Asking: the ladder of attempts, what counts, and what stops a run; over real HTTP."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
from support.generating import request_of
from support.scripted_server import Rule, ScriptedServer

from tasks.errors import InferenceError, ModelError, StorageError
from tasks.generate.ask import RunContext, ask, sampling_of
from tasks.generate.attempts import MAX_ATTEMPTS, counting, left
from tasks.pool.client import PoolClient
from tasks.records import Generation, Request, Sampling

TEXTS = ["The library lends tools to everyone.", "A loan lasts seven days."]
ANSWER = "- The library lends tools to everyone. [1]\n- A loan lasts seven days. [2]"
CONTEXT = RunContext(flow_run_id="flow", task_run_id="task", model="m", quantization="Q8_0")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.generate.ask.PAUSES_S", (0.01, 0.02))


class Rows(list[Generation]):
    """What was recorded, in order; from whichever thread."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def record(self, row: Generation) -> None:
        self.threads.add(threading.get_ident())
        self.append(row)


def run(
    server: ScriptedServer,
    requests: Sequence[Request],
    rows: Rows,
    api_key: str | None = None,
    in_flight: int = 16,
) -> list[Generation]:
    async def main() -> list[Generation]:
        async with PoolClient(server.url, api_key, patience_s=1) as client:
            seats = asyncio.Semaphore(in_flight)
            return await ask(requests, client, "m", rows.record, context=CONTEXT, seats=seats)

    return asyncio.run(main())


def requests(count: int) -> list[Request]:
    return [
        replace(request_of([f"Tool {i} is lent to everyone in the town."]), key=f"{i:064}")
        for i in range(count)
    ]


def test_a_good_answer_is_recorded_whole() -> None:
    rows = Rows()
    with ScriptedServer() as server:
        [counts] = run(server, [request_of(TEXTS)], rows)

    assert rows == [counts]
    assert (counts.status, counts.attempt, counts.text, counts.checks) == ("ok", 1, ANSWER, ())
    assert (counts.first_n, counts.last_n, counts.level, counts.task) == (101, 102, 0, "summarize")
    assert (counts.model, counts.quantization) == ("m", "Q8_0")
    assert (counts.flow_run_id, counts.task_run_id) == ("flow", "task")
    assert (counts.prompt_name, counts.prompt_version, counts.prompt_hash) == ("summarize", 1, "h")
    assert (counts.max_tokens, counts.temperature, counts.finish_reason) == (300, 0.0, "stop")
    assert counts.completion_tokens == 15
    assert counts.prompt_tokens > 20
    assert counts.mean_logprob == -0.25
    assert counts.e2e_s == pytest.approx(counts.prompt_tokens / 1000 + 15 / 100)
    assert counts.worker == "scripted"
    assert counts.started_at is not None
    assert counts.started_at.tzinfo is UTC
    assert threading.get_ident() not in rows.threads  # the disk never holds up the answers


@pytest.mark.parametrize(
    ("rule", "check"),
    [
        ("empty", "empty"),
        ("garbage", "no_bullets"),
        ("truncated", "truncated"),
        ("loop", "repetition"),
        ("wrong_numbers", "no_citations"),
        ("no_citations", "no_citations"),
        ("leak", "prompt_leak"),
    ],
)
def test_a_bad_answer_is_asked_again_with_other_sampling(rule: str, check: str) -> None:
    rows = Rows()
    with ScriptedServer(rules=[Rule(rule, times=1)]) as server:  # type: ignore[arg-type]
        [counts] = run(server, [request_of(TEXTS)], rows)
        log = server.log

    assert [(row.attempt, row.status) for row in rows] == [(1, "failed"), (2, "ok")]
    assert check in rows[0].checks
    assert check in rows[0].error
    assert "segments 101 to 102" in rows[0].error
    assert counts == rows[1]
    assert len({row.key for row in rows}) == 1
    assert [(e.temperature, e.frequency_penalty, e.seed) for e in log] == [
        (0.0, 0.0, 0),
        (0.3, 0.3, 1),
    ]


@pytest.mark.parametrize("status", [400, 500])
def test_a_refused_request_fails_and_the_others_go_on(status: int) -> None:
    """It is on record, with no token counted that was not read, and a later run asks again."""
    rows = Rows()
    with ScriptedServer(rules=[Rule("status", status=status, match="Tool 1 ")]) as server:
        counts = run(server, requests(3), rows)
        asked = len(server.log)

    assert [row.status for row in counts] == ["ok", "failed", "ok"]
    assert "told to" in counts[1].error
    assert (counts[1].attempt, counts[1].checks, counts[1].prompt_tokens) == (1, (), 0)
    assert len(rows) == 3
    assert asked == 2 + 3
    assert left([counts[1]], "summarize") == [1, 2, 3]


def test_a_request_that_is_refused_once_is_put_again_as_it_is_after_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal is the server's trouble: the attempt is not used up by it."""
    monkeypatch.setattr("tasks.generate.ask.PAUSES_S", (0.2, 0.2))
    rows = Rows()
    began = time.monotonic()
    with ScriptedServer(rules=[Rule("status", status=500, times=1)]) as server:
        [counts] = run(server, [request_of(TEXTS)], rows)
        first, second = server.log

    assert time.monotonic() - began > 0.2
    assert rows == [counts]
    assert (counts.status, counts.attempt) == ("ok", 1)
    assert first.key == second.key


def test_a_request_at_which_the_model_crashed_is_not_put_again() -> None:
    """Each time might cost a worker, and all that it was writing."""
    rows = Rows()
    rule = Rule("status", status=500, code="worker_crashed")
    with ScriptedServer(rules=[rule]) as server:
        [counts] = run(server, [request_of(TEXTS)], rows)

        assert len(server.log) == 1
    assert (rows, counts.status) == ([counts], "failed")


@pytest.mark.parametrize(
    "answers",
    [
        ("leak", "leak", "empty"),
        ("truncated", "empty", "loop"),
        ("garbage", "empty", "garbage"),
        ("empty", "leak", "answer"),
    ],
)
@pytest.mark.parametrize("kept", [0, 1, 2])
def test_wherever_a_ladder_was_cut_off_it_ends_as_it_would_have(
    answers: Sequence[Any], kept: int
) -> None:
    """Killed after any row: the rows, and which of them counts, are those of an undisturbed run."""
    rules = [Rule(do, seed=seed) for seed, do in enumerate(answers)]
    whole, rest = Rows(), Rows()
    with ScriptedServer(rules=rules) as server:
        [expected] = run(server, [request_of(TEXTS)], whole)
        earlier = tuple(whole[:kept])
        [counts] = run(server, [replace(request_of(TEXTS), earlier=earlier)], rest)

    assert list(map(lasting, [*earlier, *rest])) == list(map(lasting, whole))
    assert lasting(counts) == lasting(expected) == lasting(counting(whole))
    assert len({row.attempt for row in whole}) == len(whole)


def lasting(row: Generation) -> Generation:
    return replace(row, started_at=None)


def test_a_busy_server_and_a_lost_connection_are_tried_again() -> None:
    rows = Rows()
    rules = [
        Rule("status", status=429, nth=1),
        Rule("status", status=503, nth=2),
        Rule("drop", nth=3),
    ]
    with ScriptedServer(rules=rules) as server:
        [counts] = run(server, [request_of(TEXTS)], rows)

    assert (counts.status, counts.attempt, len(rows)) == ("ok", 1, 1)


def test_after_the_last_attempt_the_best_usable_answer_counts() -> None:
    """A cut-off answer with whole, cited bullets is better than none; its checks stay on it."""
    rows = Rows()
    with ScriptedServer(rules=[Rule("truncated", greedy=True), Rule("empty")]) as server:
        [counts] = run(server, [request_of(TEXTS)], rows)

    assert (counts.status, counts.attempt, counts.checks) == ("ok", 1, ("truncated",))
    assert counts.error == ""
    assert [(row.attempt, row.status) for row in rows] == [(n, "failed") for n in (1, 2, 3)]


def test_where_no_attempt_is_usable_the_request_has_failed() -> None:
    rows = Rows()
    with ScriptedServer(rules=[Rule("garbage")]) as server:
        [counts] = run(server, [request_of(TEXTS)], rows)

    assert (counts.status, counts.attempt) == ("failed", MAX_ATTEMPTS)
    assert [row.attempt for row in rows] == [1, 2, 3]
    assert left(rows, "summarize") == []


def test_a_later_attempt_goes_on_where_the_last_run_ended() -> None:
    first, rows = Rows(), Rows()
    with ScriptedServer(rules=[Rule("empty", times=1)]) as server:
        run(server, [request_of(TEXTS)], first)
        [counts] = run(server, [replace(request_of(TEXTS), earlier=(first[0],))], rows)

    assert rows == [counts]
    assert (counts.attempt, counts.temperature, counts.seed) == (2, 0.3, 1)


def test_what_has_an_answer_by_now_is_not_asked() -> None:
    """Another run may have asked the same in the meantime."""
    rows = Rows()
    with ScriptedServer() as server:
        [done] = run(server, [request_of(TEXTS)], Rows())
        [counts] = run(server, [replace(request_of(TEXTS), earlier=(done,))], rows)

    assert (counts, rows) == (done, [])


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (Rule("status", status=404, code="model_not_found", match="Tool 3 "), ModelError),
        (Rule("status", status=401, match="Tool 3 "), InferenceError),
        (Rule("not_json", match="Tool 3 "), InferenceError),
        (Rule("drop", match="Tool 3 "), InferenceError),
    ],
)
def test_what_no_request_survives_stops_the_run(rule: Rule, error: type[Exception]) -> None:
    """What is finished by then is on record."""
    rows = Rows()
    with ScriptedServer(rules=[rule]) as server, pytest.raises(error):
        run(server, requests(6), rows, in_flight=1)

    assert [row.key for row in rows] == [f"{i:064}" for i in range(len(rows))]
    assert len(rows) >= 3
    assert {row.status for row in rows} == {"ok"}


def test_a_full_disk_stops_the_run() -> None:
    def record(row: Generation) -> None:
        raise StorageError("results", "the disk is full")

    async def main(server: ScriptedServer) -> None:
        async with PoolClient(server.url, None) as client:
            seats = asyncio.Semaphore(3)
            await ask(requests(3), client, "m", record, context=CONTEXT, seats=seats)

    with ScriptedServer() as server, pytest.raises(StorageError):
        asyncio.run(main(server))


def test_no_more_are_in_flight_than_allowed() -> None:
    with ScriptedServer(delay_s=0.02) as server:
        run(server, requests(12), Rows(), in_flight=3)

        assert max(entry.open for entry in server.log) <= 3
        assert len(server.log) == 12


def test_rows_come_back_in_the_order_of_the_requests() -> None:
    with ScriptedServer(rules=[Rule(delay_s=0.1, match="Tool 0 ")]) as server:
        counts = run(server, requests(5), Rows())

    assert [row.key for row in counts] == [f"{i:064}" for i in range(5)]


def test_the_ladder_leaves_greedy_sampling_step_by_step() -> None:
    first = Sampling(max_tokens=100)

    assert [sampling_of(first, attempt) for attempt in (1, 2, 3)] == [
        first,
        Sampling(max_tokens=100, temperature=0.3, top_p=0.95, frequency_penalty=0.3, seed=1),
        Sampling(max_tokens=100, temperature=0.6, top_p=0.95, frequency_penalty=0.6, seed=2),
    ]


def test_when_time_is_up_no_attempt_is_begun() -> None:
    rows = Rows()
    with ScriptedServer() as server:

        async def main() -> list[Generation]:
            async with PoolClient(server.url, None, patience_s=1) as client:
                seats = asyncio.Semaphore(1)
                return await ask(
                    requests(6), client, "m", rows.record, context=CONTEXT, seats=seats,
                    go_on=lambda: len(rows) < 2,
                )  # fmt: skip

        counted = asyncio.run(main())

    assert len(rows) == len(counted) == len(server.log) <= 3
    assert len(rows) >= 2
