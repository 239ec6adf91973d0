"""From lines to translations, however the model misbehaves: what is asked next, and how it ended.

Owns the rungs. All lines are asked for together; those that are missing or fail a check again
together, with a penalty on repeating; in halves; one by one. Then the best that came is shown and
marked, or the source is kept. A pure function of the answers so far, so resuming is no special
path. Knows neither prompts nor checks: it is given functions.

Each rung has at most as many calls as lines, and two rungs in a row that mend nothing are the last:
a model that can't do it costs four calls a chunk. A line whose only fault is a term is asked for
again once: a model that has its own word for something keeps to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tasks.generate.line_checks import UNUSABLE
from tasks.records import Generation, LineStatus, Request

Done = Mapping[str, Generation]
Positions = tuple[int, ...]
"""Lines of a chunk by their position in it, from 0, in ascending order."""

RUNGS = 4
_MOST_BARREN = 2
_NO_ANSWER = ("no_answer",)
_LIGHT = frozenset({"glossary"})


@dataclass(frozen=True, slots=True)
class Judged:
    """What an answer says of one line.

    Attributes:
        checks: that it fails; none: it is accepted.
    """

    text: str
    checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LineResult:
    """How a line ended.

    Attributes:
        text: the translation; empty where the source is kept.
        status: ok: accepted at once; repaired: later; failed: the best there is, and it fails a
            check that a reader is to be told of; kept: the source stays.
        checks: that the last answer failed, for the last two.
        key: of the answer that it is from, or that was the last to be asked.
    """

    text: str
    status: LineStatus
    checks: tuple[str, ...]
    key: str


@dataclass
class Climb:
    """How far a chunk is.

    Attributes:
        lines: by position, those that have ended.
        missing: requests without an answer yet; none: all lines have ended.
    """

    lines: dict[int, LineResult] = field(default_factory=dict)
    missing: list[Request] = field(default_factory=list)


def climb(
    n_lines: int,
    done: Done,
    make: Callable[[int, Positions], Request],
    judge: Callable[[Request, Generation], Sequence[Judged]],
) -> Climb:
    """Return how far a chunk is, by the answers that are there.

    Args:
        make: returns the request for some lines at a rung, from 0.
        judge: returns what an answer says of each line that its request shows, in order.
    """
    state = Climb()
    left: Positions = tuple(range(n_lines))
    best: dict[int, LineResult] = {}
    barren = 0
    for rung in range(RUNGS):
        if rung == 2 and len(left) == 1:
            continue  # there are no halves
        groups = _groups(rung, left)
        requests = [make(rung, group) for group in groups]
        state.missing = [request for request in requests if request.key not in done]
        if state.missing:
            return state
        for group, request in zip(groups, requests, strict=True):
            row = done[request.key]
            for position, judged in zip(group, _judged(request, row, judge), strict=True):
                _take(state, best, position, judged, request.key, rung)
        if rung:
            state.lines |= {each: best[each] for each in left if each not in state.lines
                            and set(best[each].checks) <= _LIGHT}  # fmt: skip
        before, left = left, tuple(each for each in left if each not in state.lines)
        barren = barren + 1 if left == before and rung else 0
        if not left or barren == _MOST_BARREN:
            break
    for position in left:
        state.lines[position] = best[position]
    return state


def _groups(rung: int, left: Positions) -> list[Positions]:
    if rung < 2:
        return [left]
    if rung == 2:
        middle = -(-len(left) // 2)
        return [left[:middle], left[middle:]]
    return [(position,) for position in left]


def _judged(
    request: Request, row: Generation, judge: Callable[[Request, Generation], Sequence[Judged]]
) -> Sequence[Judged]:
    if row.text.strip():
        return judge(request, row)
    return [Judged("", row.checks or _NO_ANSWER)] * len(request.lines)


def _take(
    state: Climb,
    best: dict[int, LineResult],
    position: int,
    judged: Judged,
    key: str,
    rung: int,
) -> None:
    """Accept a line, or note the better of what there is of it."""
    if not judged.checks:
        state.lines[position] = LineResult(judged.text, "repaired" if rung else "ok", (), key)
        return
    usable = not UNUSABLE.intersection(judged.checks) and bool(judged.text)
    found = (
        LineResult(judged.text, "failed", judged.checks, key)
        if usable
        else LineResult("", "kept", judged.checks, key)
    )
    known = best.get(position)
    if known is None or _rank(found) <= _rank(known):
        best[position] = found


def _rank(line: LineResult) -> tuple[bool, int]:
    """Order by worth: what can be shown first, then by how little is wrong with it."""
    return line.status == "kept", len(line.checks) if line.status == "failed" else 0
