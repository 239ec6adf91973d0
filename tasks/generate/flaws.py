"""What a finished document suffers from: answers that never came right, notes that were cut.

Pure: read off the requests and the rows that count for them. Does not know what a user is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.naming import clock, ranges, span
from tasks.records import Generation, Request, Segment, TranslatedLine

FlawKind = Literal["chunk_failed", "merge_failed", "notes_cut", "line_failed", "line_kept"]

Unit = Literal["page", "paragraph", "time"]


@dataclass(frozen=True)
class Flaw:
    """One call's trouble.

    Attributes:
        unit: what places are counted in.
        first, last: labels of the first and the last place whose text the call was about.
        reason: the checks that failed, or why there was no answer; for a failure only.
    """

    kind: FlawKind
    unit: Unit
    first: str
    last: str
    reason: str = ""


def flaws(
    requests: Iterable[Request],
    done: Mapping[str, Generation],
    segments: Mapping[int, Segment],
) -> list[Flaw]:
    """Return the flaws of these requests' answers, in their order."""
    found = []
    for request in requests:
        row = done[request.key]
        place = _place(segments[request.first_n], segments[request.last_n])
        if row.status == "failed":
            reason = ", ".join(row.checks) or row.error
            kind: FlawKind = "merge_failed" if request.level else "chunk_failed"
            found.append(Flaw(kind, *place, reason))
        elif "notes_cut" in row.checks:
            found.append(Flaw("notes_cut", *place))
    return found


def line_flaws(lines: Iterable[TranslatedLine], segments: Mapping[int, Segment]) -> list[Flaw]:
    """Return the flaws of these lines, each of which has one."""
    return [
        Flaw(
            "line_kept" if line.status == "kept" else "line_failed",
            *_place(segments[line.n], segments[line.n]),
            line.reason,
        )
        for line in lines
    ]


def places(segments: Sequence[Segment]) -> tuple[str, ...]:
    """Name the pages of segments; where there are none, their times or else their paragraphs.

    Of times those that follow one another are drawn together: 12:30–18:05.

    Args:
        segments: rising.
    """
    if any(segment.start_s is not None for segment in segments):
        return _times(segments)
    labels = {segment.page: segment.page_label for segment in segments}
    if None in labels:
        return tuple(f"¶ {run}" for run in ranges([each.paragraph for each in segments]))
    return tuple(labels.values())


def _times(segments: Sequence[Segment]) -> tuple[str, ...]:
    runs: list[list[Segment]] = []
    for segment in segments:
        if runs and runs[-1][-1].n == segment.n - 1:
            runs[-1].append(segment)
        else:
            runs.append([segment])
    return tuple(
        _time(run[0]) if len(run) == 1 else span(run[0].start_s or 0.0, run[-1].end_s or 0.0)
        for run in runs
    )


def _time(segment: Segment) -> str:
    return clock(segment.start_s or 0.0)


def _place(first: Segment, last: Segment) -> tuple[Unit, str, str]:
    if first.start_s is not None:
        return "time", _time(first), _time(last)
    if first.page is None:
        return "paragraph", str(first.paragraph), str(last.paragraph)
    return "page", first.page_label, last.page_label
