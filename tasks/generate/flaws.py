"""What a finished summary suffers from: answers that never came right, notes that were cut.

Pure: read off the requests and the rows that count for them. Does not know what a user is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tasks.records import Generation, Request, Segment

FlawKind = Literal["chunk_failed", "merge_failed", "notes_cut"]


@dataclass(frozen=True)
class Flaw:
    """One call's trouble.

    Attributes:
        unit: what places are counted in.
        first, last: labels of the first and the last place whose text the call was about.
        reason: the checks that failed, or why there was no answer; for a failure only.
    """

    kind: FlawKind
    unit: Literal["page", "paragraph"]
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
        first, last = segments[request.first_n], segments[request.last_n]
        place: tuple[Literal["page", "paragraph"], str, str] = (
            ("paragraph", str(first.paragraph), str(last.paragraph))
            if first.page is None
            else ("page", first.page_label, last.page_label)
        )
        if row.status == "failed":
            reason = ", ".join(row.checks) or row.error
            kind: FlawKind = "merge_failed" if request.level else "chunk_failed"
            found.append(Flaw(kind, *place, reason))
        elif "notes_cut" in row.checks:
            found.append(Flaw("notes_cut", *place))
    return found
