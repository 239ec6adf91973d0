"""Words as a model hears them in a window, made words of the recording.

Owns their times there, how they are spaced, and that each begins after the one before and lasts.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tasks.media.guards import is_over_silence
from tasks.media.speech_languages import UNSPACED
from tasks.media.speech_request import RATE
from tasks.media.transcript import TimedWord

if TYPE_CHECKING:
    from tasks.media.pieces import Window

_SHORTEST_S = 0.02  # what Whisper tells apart
# Of speech without silence: longer than any word lasts, or than anybody hesitates aloud.
_LONGEST_S = _PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class RawWord:
    """A word with the space before it, as faster-whisper has it, and its time in the window."""

    text: str
    start_s: float
    end_s: float
    probability: float

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


def gaps(words: Iterable[RawWord], length_s: float) -> Iterator[tuple[float, float]]:
    """Yield from when to when, in a window, there is speech without words, as far as that is more
    than a pause or a word may last.

    Whisper may leave out sentences where others resemble them. Their time then lies between two
    words, or belongs to one that lasts far too long.
    """
    before = 0.0
    for word in words:
        if word.start_s - before > _PAUSE_S:
            yield before + _PAUSE_S, word.start_s
        if word.end_s - word.start_s > _LONGEST_S:
            yield word.start_s, word.end_s - _LONGEST_S
        before = max(before, word.end_s)
    if length_s - before > _PAUSE_S:
        yield before + _PAUSE_S, length_s


def placed(words: Iterable[RawWord], window: Window, language: str) -> Iterator[TimedWord]:
    """Yield a window's words at their times in the recording."""
    is_first, before_s = True, 0.0
    for word in words:
        text = word.text.strip()
        if not text:
            continue
        start_s, end_s = window.place(word.start_s, word.end_s)
        yield TimedWord(
            text,
            round(start_s, 3),
            round(end_s, 3),
            # A window's first word may come without the space that parts it from the last one's.
            is_spaced=word.text[0].isspace() or (is_first and language not in UNSPACED),
            probability=round(word.probability, 4),
            marks=tuple(_marks(word, before_s, window.length / RATE)),
        )
        is_first, before_s = False, word.end_s


def _marks(word: RawWord, before_s: float, speech_s: float) -> Iterator[str]:
    """Yield what is strange about when a word is said, in a window, after another's end."""
    if word.start_s - before_s > _PAUSE_S or word.end_s - word.start_s > _LONGEST_S:
        yield "gap"
    if is_over_silence(word.start_s, word.end_s, speech_s):
        yield "over_silence"


def in_order(words: Sequence[TimedWord]) -> tuple[TimedWord, ...]:
    """Return words with as little changed as makes each begin after the one before, and last."""
    ordered: list[TimedWord] = []
    for word in words:
        start_s, end_s = word.start_s, word.end_s
        if ordered:
            before = ordered[-1]
            start_s = max(start_s, round(before.start_s + _SHORTEST_S, 3))
            if before.end_s > start_s:
                ordered[-1] = replace(before, end_s=start_s)
        end_s = max(end_s, round(start_s + _SHORTEST_S, 3))
        ordered.append(replace(word, start_s=start_s, end_s=end_s))
    return tuple(ordered)
