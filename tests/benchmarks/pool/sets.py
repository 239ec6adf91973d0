"""The sets of scenarios that one command measures, with their goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .figures import FULL_GOALS, QUICK_GOALS, Goal
from .scenarios import FULL, QUICK, TRIAL, Scenario


@dataclass(frozen=True)
class Set:
    """What belongs together.

    Attributes:
        rounds: as many as are usual.
        documented: whether the report goes to docs/benchmarks/.
    """

    name: str
    scenarios: Sequence[Scenario]
    goals: Sequence[Goal]
    rounds: int
    documented: bool = False


SETS = {
    one.name: one
    for one in (
        Set("full", FULL, FULL_GOALS, rounds=5, documented=True),
        Set("quick", QUICK, QUICK_GOALS, rounds=3),
        Set("trial", TRIAL, (), rounds=2),
    )
}
