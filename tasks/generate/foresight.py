"""How many merges a summary still takes, while the notes that they merge are not written yet.

Pure arithmetic. An estimate, good for the time left; nothing is decided by it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Foreseen:
    """Calls that are sure to come and can't be planned yet, in about this number and size."""

    calls: int = 0
    prompt_tokens: int = 0

    def __add__(self, other: Foreseen) -> Foreseen:
        return Foreseen(self.calls + other.calls, self.prompt_tokens + other.prompt_tokens)


def merges(
    n_notes: int, *, width: int, note_tokens: float, frame_tokens: int, most_tokens: int
) -> Foreseen:
    """Return the merges from so many notes down to one.

    Args:
        width: notes that meet in a merge, 2 at least.
        note_tokens: what a note takes in a merge's prompt; frame_tokens: what the rest of the
            prompt takes; most_tokens: what all of it may take.
    """
    found = Foreseen()
    while n_notes > 1:
        full, rest = divmod(n_notes, width)
        widths = [width] * full + [rest] * (rest > 1)  # one that is left over goes up as it is
        sizes = [min(frame_tokens + each * note_tokens, most_tokens) for each in widths]
        found += Foreseen(len(sizes), round(sum(sizes)))
        n_notes = full + bool(rest)
    return found
