"""Where what is played is cut into chapters: not too near to each other, and not too many.

Owns the distances, and parts by time. Pure arithmetic on the times of segments. Does not know where
titles come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

from tasks.records import Segment

_LEAST_CHAPTER_S = 75.0
_SHORTEST_S = 180.0  # on average, of as many as there may be in the end
_PART_S, _LONGEST_PART_S = 450.0, 600.0  # by time: about, and at most
_BORDER_SHARE = 0.3  # of a part: so far from its time a paragraph's border is looked for


@dataclass(frozen=True)
class Cut:
    """Where a chapter begins; without a title it is a part by time."""

    segment: Segment
    title: str = ""

    @property
    def at_s(self) -> float:
        return start_of(self.segment)


def start_of(segment: Segment) -> float:
    """Return when a segment of what is played begins, in seconds."""
    return segment.start_s or 0.0


def length_of(segments: Sequence[Segment]) -> float:
    return end_of(segments) - start_of(segments[0]) if segments else 0.0


def end_of(segments: Sequence[Segment]) -> float:
    last = segments[-1]
    return last.end_s if last.end_s is not None else start_of(last)


def by_time(segments: Sequence[Segment]) -> Iterator[Cut]:
    """Yield parts of about equal length, cut at paragraphs where one begins near by."""
    start, length = start_of(segments[0]), length_of(segments)
    n_parts = max(1, round(length / _PART_S), ceil(length / _LONGEST_PART_S))
    n_parts = min(n_parts, len(segments))
    yield Cut(segments[0])
    borders = [each for before, each in pairwise(segments) if each.paragraph != before.paragraph]
    for i in range(1, n_parts):
        ideal, reach = start + i * length / n_parts, _BORDER_SHARE * length / n_parts
        near = [each for each in borders if abs(start_of(each) - ideal) <= reach] or segments[1:]
        yield Cut(min(near, key=lambda each: abs(start_of(each) - ideal)))


def from_the_start(named: Sequence[Cut], segments: Sequence[Segment]) -> Iterator[Cut]:
    """Let the first chapter begin with the lecture; what is long before it is a part by time."""
    first, *others = named
    if first.at_s - start_of(segments[0]) < 2 * _LEAST_CHAPTER_S:
        yield replace(first, segment=segments[0])
    else:
        before = [each for each in segments if each.n < first.segment.n]
        yield from (*by_time(before), first)
    yield from others


def spaced(cuts: Sequence[Cut], end_s: float) -> list[Cut]:
    """Leave out what begins too soon after another, or before the end, and titles that come again:
    the chapter before goes on."""
    kept: list[Cut] = []
    seen: set[str] = set()
    for cut in cuts:
        is_late = not kept or (
            cut.at_s - kept[-1].at_s >= _LEAST_CHAPTER_S and end_s - cut.at_s >= _LEAST_CHAPTER_S
        )
        if is_late and cut.title.casefold() not in seen:
            kept.append(cut)
            seen |= {cut.title.casefold()} if cut.title else set()
    return kept


def thinned(cuts: Sequence[Cut], end_s: float) -> list[Cut]:
    """Leave out the shortest of too many, one after the other."""
    left = list(cuts)
    most = max(2, int((end_s - left[0].at_s) / _SHORTEST_S))
    while len(left) > most:
        ends = [*(cut.at_s for cut in left[1:]), end_s]
        lengths = [end - cut.at_s for cut, end in zip(left, ends, strict=True)]
        del left[min(range(1, len(left)), key=lengths.__getitem__)]
    return left
