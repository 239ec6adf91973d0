"""Which of a request's attempts counts, and which are still to be made.

Pure functions of the rows that the ledger holds of one key, so a run that was killed between two
attempts goes on as if it had not been. Each attempt is a row, written once and never changed;
what it is worth is decided here, on reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from tasks.generate.checks import FAILING, UNUSABLE
from tasks.records import Generation, GenerationTask

MAX_ATTEMPTS = 3
# What is wrong with a translation is asked for again by other requests: tasks.generate.ladder. Of
# a glossary it costs little to lack some, and without chapters there are parts by time.
_ATTEMPTS: Mapping[GenerationTask, int] = {"translate": 1, "glossary": 2, "chapters": 2}
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def was_refused(row: Generation) -> bool:
    """Tell whether a call got no answer. That says nothing of the request: it is asked again."""
    return row.status == "failed" and not row.checks


def left(rows: Sequence[Generation], task: GenerationTask) -> list[int]:
    """Return the attempts that are still to be made, by number; none if there is an ok row."""
    if any(row.status == "ok" for row in rows):
        return []
    answered = {row.attempt for row in rows if not was_refused(row)}
    most = _ATTEMPTS.get(task, MAX_ATTEMPTS)
    return [attempt for attempt in range(1, most + 1) if attempt not in answered]


def counting(rows: Sequence[Generation]) -> Generation:
    """Return the row that counts when no attempt follows: the newest that is ok; else the answer
    with the fewest faults, as ok, if one has cited bullets; else the last failure.

    Args:
        rows: one or more, of one key.
    """
    if ok := [row for row in rows if row.status == "ok"]:
        return max(ok, key=lambda row: (row.started_at or _LONG_AGO, row.attempt))
    answers = [row for row in rows if not was_refused(row)]
    if usable := [row for row in answers if not UNUSABLE.intersection(row.checks)]:
        return replace(min(usable, key=_faults), status="ok", error="")
    return max(rows, key=lambda row: row.attempt)


def _faults(row: Generation) -> tuple[int, int, int]:
    """Of equal answers the earlier attempt is better: its sampling strays less."""
    return len(FAILING.intersection(row.checks)), len(row.checks), row.attempt
