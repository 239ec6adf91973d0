"""Captions that roll: each cue shows the last lines of the one before again, and a new one.

So are automatic captions, YouTube's above all. Knows nothing of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tasks.media.timed_blocks import Block

_NEAR_MS = 100  # between two cues of which the second may repeat the first
_ENOUGH = 3  # repetitions, and
_MOST_LINES = 8  # that a screen holds
_SHARE = 0.5  # of the cues: a refrain is repeated too


def rolls(blocks: Sequence[Block]) -> bool:
    """Say whether most cues begin with what the one before ends with."""
    pairs = [(a, b) for a, b in pairwise(blocks) if _near(a, b)]
    repeating = sum(_repeated(a, b) > 0 for a, b in pairs)
    return repeating >= _ENOUGH and repeating >= _SHARE * len(blocks)


def without_repetitions(blocks: Sequence[Block]) -> list[Block]:
    """Return cues with their new lines only; what has none lengthens the one before."""
    kept = list(blocks[:1])
    for before, block in pairwise(blocks):
        repeated = _repeated(before, block) if _near(before, block) else 0
        if repeated < len(block.lines) or not repeated:
            kept.append(replace(block, lines=block.lines[repeated:]))
        else:
            kept[-1] = replace(kept[-1], end_ms=max(kept[-1].end_ms, block.end_ms))
    return kept


def _near(before: Block, after: Block) -> bool:
    return after.start_ms - before.end_ms <= _NEAR_MS


def _repeated(before: Block, after: Block) -> int:
    """Return how many lines at the end of a cue the next one begins with."""
    longest = min(len(before.lines), len(after.lines), _MOST_LINES)
    return next((n for n in range(longest, 0, -1) if before.lines[-n:] == after.lines[:n]), 0)
