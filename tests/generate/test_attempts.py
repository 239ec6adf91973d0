"""Which of a request's rows counts, and which attempts are left: pure functions of the rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.generate.attempts import counting, left, was_refused
from tasks.records import Generation


def row(attempt: int, *checks: str, **changes: Any) -> Generation:
    """Return the row of an answer that failed these checks; of none: ok."""
    status = "failed" if checks else "ok"
    values = {"status": status, "checks": checks, "error": "x" if checks else "", **changes}
    return Generation(
        key="k", attempt=attempt, task="summarize", source_id="s", first_n=1, last_n=1, level=0,
        text=f"answer {attempt}", **values,
    )  # fmt: skip


def refused(attempt: int) -> Generation:
    return row(attempt, status="failed", error="refused")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], [1, 2, 3]),
        ([row(1)], []),
        ([row(1, "empty")], [2, 3]),
        ([row(1, "leak"), row(2)], []),
        ([row(1, "empty"), row(2, "empty"), row(3, "empty")], []),
        ([refused(1)], [1, 2, 3]),
        ([row(1, "empty"), refused(2)], [2, 3]),
        ([refused(3)], [1, 2, 3]),  # as an older Lectern left it
    ],
)
def test_only_answers_use_attempts_up(rows: list[Generation], expected: list[int]) -> None:
    """A refusal says nothing of the request, and is never taken for its result."""
    assert left(rows, "summarize") == expected


def test_the_newest_ok_row_counts() -> None:
    old, new = (row(n, started_at=datetime(2026, 1, d, tzinfo=UTC)) for n, d in ((2, 1), (1, 9)))

    assert counting([new, old, row(3, "empty")]) == new


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(1, "truncated"), row(2, "empty"), row(3, "no_bullets")], 1),
        ([row(1, "truncated", "repetition"), row(2, "truncated"), row(3, "no_citations")], 2),
        ([row(1, "truncated", "unsupported"), row(2, "repetition"), row(3, "prompt_leak")], 2),
        ([row(1, "truncated"), row(2, "truncated"), row(3, "truncated")], 1),
        ([row(1, "truncated"), refused(2)], 1),
    ],
)
def test_of_faulty_answers_the_best_usable_one_counts_as_ok(
    rows: list[Generation], expected: int
) -> None:
    chosen = counting(rows)

    assert (chosen.attempt, chosen.status, chosen.error) == (expected, "ok", "")
    assert chosen.checks == rows[expected - 1].checks


def test_where_none_is_usable_the_last_failure_counts() -> None:
    assert counting([row(1, "empty"), row(2, "no_citations")]) == row(2, "no_citations")
    assert counting([refused(1)]) == refused(1)
    assert was_refused(counting([refused(1)]))
