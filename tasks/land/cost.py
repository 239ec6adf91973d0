"""What a summary took: its calls, their tokens, and the time in which they were answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from tasks.land.busy import busy_s, by_time
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
    times = pl.DataFrame(
        [(row.started_at, row.e2e_s) for row in rows],
        schema={"started_at": pl.Datetime("us", "UTC"), "e2e_s": pl.Float64},
        orient="row",
    )
    return Cost(
        calls=len(rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        busy_s=by_time(times).select(busy_s()).item(),
    )
