"""Captions for tests: sentences shared among cues that end in the middle of them."""

from __future__ import annotations

from collections.abc import Sequence

Cue = tuple[int, int, str]  # from, to, text; milliseconds


def cues_of(said: Sequence[str], length_s: float) -> list[Cue]:
    """Return cues of seven words each, with odd milliseconds between them."""
    words = " ".join(said).split()
    parts = [words[at : at + 7] for at in range(0, len(words), 7)]
    step = int(length_s * 1000 / len(parts))
    return [
        (n * step + n % 7, (n + 1) * step - 40 - n % 13, " ".join(part))
        for n, part in enumerate(parts)
    ]


def srt(cues: Sequence[Cue]) -> str:
    def clock(ms: int) -> str:
        return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"

    return "\n".join(
        f"{n}\n{clock(start)} --> {clock(end)}\n{text}\n"
        for n, (start, end, text) in enumerate(cues, start=1)
    )
