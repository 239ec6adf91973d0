"""Statistics say what the tables hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.land import Ledger, land_summary, latest_run, statistics
from tasks.land.statistics import DocumentCoverage, Statistics
from tasks.records import Coverage, Document, Generation, Source

START = datetime(2026, 11, 20, tzinfo=UTC)


def call(key: str, second: float, **changes: Any) -> Generation:
    fields: dict[str, Any] = {
        "task": "summarize",
        "attempt": 1,
        "status": "ok",
        "source_id": "s1",
        "prompt_tokens": 100,
        "cached_tokens": 40,
        "completion_tokens": 20,
        "e2e_s": 2.0,
        "flow_run_id": "run-a",
    }
    return Generation(
        key=key,
        first_n=1,
        last_n=2,
        level=0,
        text="",
        started_at=START + timedelta(seconds=second),
        **(fields | changes),
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path)
    for generation in (
        call("a", 0, ttft_s=0.1),
        call("b", 1, ttft_s=0.3, status="failed"),  # overlaps a by a second
        call("b", 10, ttft_s=0.5, attempt=2),
        call("c", 20, task="merge"),
        call("d", 100, flow_run_id="run-b", source_id="s2", e2e_s=None),
    ):
        ledger.record(generation)
    for source_id, title in (("s1", "One"), ("s2", "Two")):
        land_summary(
            tmp_path,
            Source(source_id=source_id, uri=f"/{title}.pdf", n_segments=10),
            Document(
                document_id=source_id * 4,
                source_id=source_id,
                kind="summary",
                language="en",
                length="short",
                model="demo",
                title=title,
                sections=(),
                coverage=Coverage(ok=7, repaired=1, kept=2, failed=0),
            ),
            (),
        )
    return tmp_path


def test_calls_are_counted_by_run_and_task(results: Path) -> None:
    """Each run's total, then its tasks, the oldest run first."""
    rows = [
        (row.flow_run_id, row.task, row.calls, row.ok, row.failed, row.retries)
        for row in statistics(results).calls
    ]

    assert rows == [
        ("run-a", "all", 4, 3, 1, 1),
        ("run-a", "merge", 1, 1, 0, 0),
        ("run-a", "summarize", 3, 2, 1, 1),
        ("run-b", "all", 1, 1, 0, 0),
        ("run-b", "summarize", 1, 1, 0, 0),
    ]


def test_rates_count_time_in_which_calls_were_under_way(results: Path) -> None:
    """Calls that overlap share their time; pauses between calls do not count."""
    summarize = statistics(results, "run-a").calls[2]

    assert summarize.busy_s == pytest.approx(5.0)
    assert summarize.prompt_tokens_per_s == pytest.approx(300 / 5)
    assert summarize.completion_tokens_per_s == pytest.approx(60 / 5)
    assert summarize.cached_tokens == 120


def test_a_call_without_an_answer_covers_no_time(tmp_path: Path) -> None:
    """Nor does it hide what others cover: those that overlap still share their time."""
    ledger = Ledger(tmp_path)
    for key, second, e2e_s in (("a", 0, 10.0), ("b", 1, None), ("c", 2, 3.0)):
        ledger.record(call(key, second, e2e_s=e2e_s))

    assert statistics(tmp_path).calls[0].busy_s == pytest.approx(10.0)


def test_percentiles_leave_out_what_was_not_told(results: Path) -> None:
    """A server without timings gives None, and not zero."""
    told, _, _, untold, _ = statistics(results).calls

    assert told.latencies["ttft_s"].p50 == pytest.approx(0.3)
    assert told.latencies["ttft_s"].p95 == pytest.approx(0.48)
    assert told.latencies["tpot_s"].p50 is None
    assert untold.prompt_tokens_per_s is None


def test_a_run_is_named_by_the_start_of_its_id(results: Path) -> None:
    """And shows the documents it worked on."""
    found = statistics(results, "run-b")

    assert {row.flow_run_id for row in found.calls} == {"run-b"}
    assert [(row.title, row.total) for row in found.documents] == [("Two", 10)]
    assert latest_run(results) == "run-b"


def test_tables_and_json_can_be_shown(results: Path) -> None:
    """Rows are as wide as their header, and JSON takes the rest."""
    found = statistics(results)

    for names, rows in (found.call_table(), found.coverage_table()):
        assert {len(row) for row in rows} == {len(names)}
    assert json.loads(json.dumps(found.as_dict()))["documents"][0]["ok"] == 7


def test_coverage_fits_a_terminal_of_80_columns() -> None:
    """No number and no name of a column is cut; what a summary is stands under its title."""
    document = DocumentCoverage(
        document_id="d", title="Keeping a Tool Library: a handbook for small towns",
        language="en", length="medium", model="/home/me/models/qwen2.5-1.5b-instruct-q4_0.gguf",
        ok=11390, repaired=12, kept=2210, failed=3, total=13615,
    )  # fmt: skip
    names, rows = Statistics(calls=(), documents=(document,)).coverage_table()
    numbers = list(zip(names, rows[0], strict=True))[1:]

    assert rows[0][0].splitlines()[1] == "en, medium, qwen2.5-1.5b-instruct-q4_0.gguf"
    assert sum(max(map(len, column)) + 3 for column in numbers) < 50


def test_nothing_yet_is_no_error(tmp_path: Path) -> None:
    """Before the first run."""
    assert statistics(tmp_path).as_dict() == {"calls": [], "documents": []}
    assert latest_run(tmp_path) is None
