"""What a summary took: its calls, their tokens, and the time in which they were answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.records import Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Fields of the same names in tasks.records.Document."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    busy_s: float


def cost_of(rows: Iterable[Generation]) -> Cost:
    """Return what these calls came to; those that ran at once take their time together."""
    rows = list(rows)
    return Cost(
        calls=len(rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        busy_s=_covered(
            (row.started_at.timestamp(), row.e2e_s)
            for row in rows
            if row.started_at is not None and row.e2e_s is not None
        ),
    )


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the seconds that lie in at least one of the spans (start and length)."""
    seconds, latest = 0.0, float("-inf")
    for start, length in sorted(spans):
        end = start + length
        seconds += max(0.0, end - max(start, latest))
        latest = max(latest, end)
    return seconds
