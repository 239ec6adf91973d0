"""The time in which at least one of some calls was under way: those that ran at once share it.

A call is a row with `started_at` and `e2e_s`; one that got no answer has no end, and takes none.
"""

from __future__ import annotations

import polars as pl


def by_time(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in the order in which they began, with their `start` and `end` in seconds."""
    start = pl.col("started_at").dt.epoch("us") / 1e6
    return rows.with_columns(start=start, end=start + pl.col("e2e_s")).sort("start")


def busy_s() -> pl.Expr:
    """Return the sum, over rows by time, of the part of each that no earlier one covers."""
    latest = pl.col("end").cum_max().forward_fill().shift(1)
    return (pl.col("end") - pl.max_horizontal("start", latest)).clip(lower_bound=0).sum()
