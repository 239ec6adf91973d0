"""Medians and spreads of what the rounds gave."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Where values lie: the middle, the quarter and three quarter marks, the ends."""

    median: float
    low: float
    high: float
    q1: float
    q3: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Describe values, at least one."""
    quarters = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else None
    q1, _, q3 = quarters or [values[0]] * 3
    return Spread(statistics.median(values), min(values), max(values), q1, q3, len(values))


def ratio(of: Sequence[float], to: Sequence[float]) -> Spread:
    """Describe one peer's values as multiples of another's, both by round.

    The median is that of the medians; the rest is of the ratios within each round, in which
    both had the same machine.
    """
    each = spread([one / other for one, other in zip(of, to, strict=True)])
    middle = statistics.median(of) / statistics.median(to)
    return Spread(middle, each.low, each.high, each.q1, each.q3, each.n)
