"""The goals, and whether they are met.

A goal reads its figure from a scenario's rounds. One that can't be read yet says what it needs,
and is left out of the results: there are no figures but measured ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .peers.pool import BUSY, ESTIMATE, ESTIMATED, FRONT, IN_LLAMA, OUTSIDE, RESIDENT
from .scenarios import LIMIT, LOAD, LOOKUP, LOOP, OFF, POOL, SERVER, SERVER_TUNED
from .stats import Spread, ratio, spread
from .store import Round

Bound = Literal["at least", "at most"]
Results = Mapping[str, Sequence[Round]]
"""A scenario's rounds, by its name."""
Read = Callable[[Sequence[Round]], Spread | None]


@dataclass(frozen=True)
class Goal:
    """A figure that is to reach a bound.

    Attributes:
        scenario: whose rounds it is read from.
        needs: what the pool must tell of itself to have it read; shown where it doesn't. Settings
            that a scenario needs are the scenario's own business.
        ceiling: what the figure would be at llama.cpp's own rates.
    """

    name: str
    scenario: str
    bound: Bound
    goal: float
    read: Read
    needs: str = ""
    ceiling: Read | None = None


@dataclass(frozen=True)
class Figure:
    """A goal's figure, and what it would be at llama.cpp's own rates, where that is known."""

    goal: Goal
    value: Spread
    ceiling: float | None = None

    @property
    def met(self) -> bool:
        return self._reaches(self.value.median)

    @property
    def is_clear(self) -> bool:
        """Whether all rounds say the same."""
        return self._reaches(self.value.low) == self._reaches(self.value.high)

    def _reaches(self, value: float) -> bool:
        goal = self.goal.goal
        return value >= goal if self.goal.bound == "at least" else value <= goal

    def json(self) -> dict[str, Any]:
        """Return what pool.json says of it; the spread is the lowest and the highest round."""
        return {
            "name": self.goal.name,
            "value": round(self.value.median, 4),
            "goal": self.goal.goal,
            "bound": self.goal.bound,
            "met": self.met,
            "spread": [round(self.value.low, 4), round(self.value.high, 4)],
            "rounds": self.value.n,
            "ceiling": None if self.ceiling is None else round(self.ceiling, 4),
        }


def times(peer: str, other: str) -> Read:
    """Return how many times as fast a peer is as another."""

    def read(rounds: Sequence[Round]) -> Spread | None:
        each = [[r.samples[name].seconds for r in rounds] for name in (other, peer)]
        return ratio(each[0], each[1])

    return read


def longer(peer: str, other: str) -> Read:
    """Return how many times as long as another a peer takes."""
    return times(other, peer)


def seen(peer: str, name: str) -> Read:
    """Return what a peer told of itself."""

    def read(rounds: Sequence[Round]) -> Spread | None:
        values = [r.samples[peer].seen.get(name) for r in rounds]
        told = [value for value in values if value is not None]
        return spread(told) if told else None

    return read


def off_estimate(rounds: Sequence[Round]) -> Spread | None:
    """Return by which share the worker's memory differs from what was estimated."""
    told = [r.samples[POOL].seen for r in rounds if ESTIMATED in r.samples[POOL].seen]
    if not told:
        return None
    return spread([abs(each[RESIDENT] / each[ESTIMATED] - 1) for each in told])


def measure_goals(results: Results, goals: Sequence[Goal]) -> tuple[list[Figure], list[Goal]]:
    """Return the figures there are, and the goals without one."""
    figures, without = [], []
    for goal in goals:
        rounds = results.get(goal.scenario, [])
        value = goal.read(rounds) if rounds else None
        if value is None:
            without.append(goal)
        else:
            ceiling = goal.ceiling(rounds) if goal.ceiling else None
            figures.append(Figure(goal, value, ceiling.median if ceiling else None))
    return figures, without


_WANTED = {
    "summarise": {LOOP: 1.8, SERVER: 1.4, SERVER_TUNED: 1.05, LIMIT: 0.95},
    "translate": {LOOP: 2.3, SERVER: 1.2, SERVER_TUNED: 1.05, LIMIT: 0.95},
}


def _speed(work: str, shape: str, scenario: str) -> Iterator[Goal]:
    for peer, goal in _WANTED[work].items():
        kind = "share of" if peer == LIMIT else f"times as fast as{' a' * (peer == LOOP)}"
        name = f"{work}, {shape}: {kind} {peer}"
        ceiling = None if peer == LIMIT else times(LIMIT, peer)
        yield Goal(name, scenario, "at least", goal, times(POOL, peer), ceiling=ceiling)


def _outside(work: str, shape: str, scenario: str) -> Goal:
    return Goal(
        f"{work}, {shape}: share of the worker's time outside llama.cpp",
        scenario,
        "at most",
        0.03,
        seen(POOL, OUTSIDE),
        f"{BUSY} and {IN_LLAMA}",
    )


def _memory(shape: str, scenario: str) -> Goal:
    return Goal(
        f"memory, {shape}: share by which it differs from the estimate",
        scenario,
        "at most",
        0.10,
        off_estimate,
        ESTIMATE,
    )


def _start(shape: str) -> Goal:
    name = f"start to first token, {shape}: times llama.cpp's own load time"
    return Goal(name, f"start-{shape}", "at most", 1.5, longer(POOL, LOAD))


def _speculation(name: str, what: str, goal: float) -> Iterator[Goal]:
    for n in (1, 4):
        yield Goal(
            f"speculation, {what}, 1.5B, {n} at once: times as fast as without",
            f"{name}-at-{n}",
            "at least",
            goal,
            times(LOOKUP, OFF),
        )


_BATCHES = [(work, shape) for shape in ("0.5B", "1.5B") for work in _WANTED]
_FRONT = Goal("front, 16 clients: share of a core", "clients", "at most", 0.03, seen(POOL, FRONT))
FULL_GOALS: tuple[Goal, ...] = (
    *(goal for work, shape in _BATCHES for goal in _speed(work, shape, f"{work}-{shape}-Q4_0")),
    *_speculation("copy", "answers that copy the prompt", 1.2),
    *_speculation("new", "answers that are not in the prompt", 0.97),
    *_speculation("mislead", "a prompt that misleads", 0.97),
    *(_outside(work, shape, f"{work}-{shape}-Q4_0") for work, shape in _BATCHES),
    _FRONT,
    *(_memory(shape, f"summarise-{shape}-Q4_0") for shape in ("0.5B", "1.5B")),
    *(_start(shape) for shape in ("0.5B", "1.5B")),
)
QUICK_GOALS: tuple[Goal, ...] = (
    *_speed("summarise", "0.5B", "quick"),
    _outside("summarise", "0.5B", "quick"),
    _memory("0.5B", "quick"),
)
