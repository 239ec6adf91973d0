"""Which words make a cue: the best places to cut speech, all costs taken together.

Knows nothing of when cues end, or of their lines but that they must fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from tasks.media.breaking import LINES, Columns, Piece, join, may_part, reluctance
from tasks.media.transcript import TimedWord

SHORTEST_MS, LONGEST_MS = 800, 7000
# What a cue costs, and what makes it worse; a sentence's end is the best place to cut.
_CUE, _BALANCE, _CUT, _RELUCTANCE, _PAUSE_PER_S = 4.0, 10.0, 3.0, 6.0, 8.0
_WITH_WHOLE_SENTENCES, _WITH_PARTS = 2.0, 9.0
_ORPHAN_COLUMNS, _ORPHAN = 12, 6.0
_HURRIED_PER_S = 10.0


def best_cuts(words: Sequence[TimedWord], ends: AbstractSet[int], limit: int) -> list[int]:
    """Return the positions of the words with which cues begin, but the first: by dynamic
    programming over all of them.

    Args:
        ends: positions after the last words of sentences.
        limit: columns of a line.
    """
    return _best(_stretch(words, ends, limit))


@dataclass(frozen=True)
class _Stretch:
    """Words in which a cue may end after any; of what can't be broken several make one.

    Attributes:
        first: the position of each unit's first word, and the end.
        is_end: whether a sentence ends with a unit.
    """

    words: Sequence[TimedWord]
    first: Sequence[int]
    is_end: Sequence[bool]
    limit: int

    @cached_property
    def units(self) -> list[Piece]:
        return [
            Piece(join(self.words[a:b]), self.words[a].is_spaced) for a, b in pairwise(self.first)
        ]

    @cached_property
    def columns(self) -> Columns:
        return Columns(self.units)

    @cached_property
    def starts(self) -> list[float]:
        return [self.words[a].start_s for a in self.first[:-1]]

    @cached_property
    def ends(self) -> list[float]:
        return [self.words[b - 1].end_s for b in self.first[1:]]

    @cached_property
    def pauses(self) -> list[float]:
        """Seconds after each unit; none after the last."""
        silences = (max(0.0, b - a) for a, b in zip(self.ends, self.starts[1:], strict=False))
        return [*silences, 0.0]

    @cached_property
    def cuts(self) -> list[float]:
        """What it costs to end a cue after each unit."""
        return [0.0 if end else self._cut(i) for i, end in enumerate(self.is_end)]

    @cached_property
    def passed_pauses(self) -> list[float]:
        """What it costs to go on after the units before each one."""
        costs = (_PAUSE_PER_S * pause if pause >= 0.3 else 0.0 for pause in self.pauses)
        return list(accumulate(costs, initial=0.0))

    @cached_property
    def passed_ends(self) -> list[int]:
        return list(accumulate(self.is_end, initial=0))

    def allows(self, start: int, end: int) -> bool:
        if end - start == 1:
            return True
        seconds = self.ends[end - 1] - self.starts[start]
        return 1000 * seconds <= LONGEST_MS and self.columns.fits(start, end, self.limit)

    def cost(self, start: int, end: int) -> float:
        """Return how bad a cue is: where it ends, what it goes on over, and its size."""
        wide = self.columns.width(start, end)
        inner = self.passed_ends[end - 1] - self.passed_ends[start]
        whole = (start == 0 or self.is_end[start - 1]) and self.is_end[end - 1]
        cost = _CUE + _BALANCE * (wide / (LINES * self.limit)) ** 2 + self.cuts[end - 1]
        cost += self.passed_pauses[end - 1] - self.passed_pauses[start]
        if inner:
            cost += _WITH_WHOLE_SENTENCES * inner if whole else _WITH_PARTS
        if wide < _ORPHAN_COLUMNS and not whole:
            cost += _ORPHAN
        if end < len(self.units):
            room = self.starts[end] - self.starts[start]
            cost += _HURRIED_PER_S * max(0.0, SHORTEST_MS / 1000 - room)
        return cost

    def _cut(self, i: int) -> float:
        if i + 1 == len(self.units):
            return 0.0
        before, after = self.units[i : i + 2]
        bad = _CUT + _RELUCTANCE * reluctance(before.text, after.text, is_spaced=after.is_spaced)
        return max(0.0, bad - _PAUSE_PER_S / 2 * min(1.0, self.pauses[i]))


def _stretch(words: Sequence[TimedWord], ends: AbstractSet[int], limit: int) -> _Stretch:
    texts = ["", *(word.text for word in words)]
    first = [
        i
        for i, word in enumerate(words)
        if i == 0 or word.is_spaced or may_part(texts[i - 1] + texts[i], word.text)
    ]
    first.append(len(words))
    return _Stretch(words, first, [border in ends for border in first[1:]], limit)


def _best(stretch: _Stretch) -> list[int]:
    """Return the inner borders of a stretch with which its cues are best."""
    costs, before = [0.0], [0]
    for end in range(1, len(stretch.first)):
        best, best_start = float("inf"), end - 1
        for start in range(end - 1, -1, -1):
            if not stretch.allows(start, end):
                break
            cost = costs[start] + stretch.cost(start, end)
            if cost < best:
                best, best_start = cost, start
        costs.append(best)
        before.append(best_start)
    borders: list[int] = []
    at = before[-1]
    while at:
        borders.append(stretch.first[at])
        at = before[at]
    return borders[::-1]
