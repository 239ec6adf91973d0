"""Recognised speech as subtitles that can be read, and text as a subtitle's lines.

Owns when a cue begins and ends, and its lines; `tasks.media.cutting` has which words are in it.
Knows nothing of how words were recognised. The limits are those that broadcasters' guides agree
on: two lines of 42 columns (36 for Chinese and Japanese: 18 characters; 40 for Korean), 0.8 to 7
seconds, 18 columns a second, two frames between cues.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import pairwise

from tasks.media.breaking import Columns, Piece, join, line_columns, pieces, reluctance, width
from tasks.media.cutting import LONGEST_MS, SHORTEST_MS, best_cuts
from tasks.media.transcript import Sentence, TimedCue, TimedWord

_GAP_MS = 84  # two frames of 24 a second
_CHAINED_MS = 500  # a shorter pause between cues only flickers
_COLUMNS_PER_S = 18  # 9 full-width characters
_SILENCE_S = 2.0  # no cue goes on over it
_LINE, _LINE_BREAK = 10.0, 0.3  # of wrapping


def lay_out(
    words: Sequence[TimedWord], sentences: Sequence[Sentence], language: str
) -> tuple[tuple[TimedCue, ...], tuple[TimedWord, ...]]:
    """Return cues that show words, and the words with the cues' numbers.

    A cue begins with its first word (or right after the cue before, where words overlap) and stays
    as long as it takes to read, if there is room. Only a word that is too long for a cue by itself
    breaks the limits of columns.
    """
    ends = {sentence.last + 1 for sentence in sentences}
    paragraphs = {
        after.first for before, after in pairwise(sentences) if before.paragraph != after.paragraph
    }
    borders = [0, *_borders(words, ends, paragraphs, line_columns(language)), len(words)]
    spans = [(start, end) for start, end in pairwise(borders) if start < end]
    starts = list(_starts(words, spans))
    cues: list[TimedCue] = []
    numbered: list[TimedWord] = []
    for number, (start, end) in enumerate(spans, start=1):
        following = starts[number] if number < len(starts) else None
        first, text = words[start], join(words[start:end])
        end_ms = _end(starts[number - 1], round(words[end - 1].end_s * 1000), text, following)
        cues.append(
            TimedCue(
                number=number,
                start_ms=starts[number - 1],
                end_ms=end_ms,
                text=wrap(text, language),
                speaker=first.speaker,
                starts_turn=first.starts_turn,
            )
        )
        numbered += [replace(word, cue=number) for word in words[start:end]]
    return tuple(cues), tuple(numbered)


def wrap(text: str, language: str) -> str:
    """Return a text in lines of a subtitle: as few as can be, balanced, and broken at good places.

    What two lines cannot hold gets more of them, and a word that is longer than a line stays
    whole: no text is lost.
    """
    limit = line_columns(language)
    if width(text) <= limit:
        return " ".join(text.split())
    parts = pieces(text)
    return "\n".join(join(parts[a:b]) for a, b in pairwise(_line_borders(parts, limit)))


def _line_borders(parts: Sequence[Piece], limit: int) -> list[int]:
    """Return the best borders of lines: by squares of their widths, which balances them."""
    columns = Columns(parts)
    costs, before = [0.0], [0]
    for end in range(1, len(parts) + 1):
        best, best_start = float("inf"), end - 1
        last = _LINE_BREAK * _reluctance(parts, end) if end < len(parts) else 0.0
        for start in range(end - 1, -1, -1):
            wide = columns.width(start, end)
            if wide > limit and start < end - 1:
                break
            cost = costs[start] + _LINE + (wide / limit) ** 2 + last
            if cost < best:
                best, best_start = cost, start
        costs.append(best)
        before.append(best_start)
    borders = [len(parts)]
    while borders[-1]:
        borders.append(before[borders[-1]])
    return borders[::-1]


def _reluctance(parts: Sequence[Piece], border: int) -> float:
    after = parts[border]
    return reluctance(parts[border - 1].text, after.text, is_spaced=after.is_spaced)


def _borders(
    words: Sequence[TimedWord], ends: AbstractSet[int], paragraphs: AbstractSet[int], limit: int
) -> Iterator[int]:
    """Yield the positions of words with which cues begin, but the first."""
    hard = [border for border in range(1, len(words)) if _parts(words, border, paragraphs)]
    for start, end in pairwise([0, *hard, len(words)]):
        if start:
            yield start
        inner = {border - start for border in ends}
        yield from (start + border for border in best_cuts(words[start:end], inner, limit))


def _parts(words: Sequence[TimedWord], border: int, paragraphs: AbstractSet[int]) -> bool:
    """Say whether no cue may go on over a border."""
    before, word = words[border - 1], words[border]
    return (
        border in paragraphs
        or word.starts_turn
        or word.speaker != before.speaker
        or word.start_s - before.end_s >= _SILENCE_S
    )


def _starts(words: Sequence[TimedWord], spans: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield when cues begin, in milliseconds: each one after the one before."""
    last = -1
    for start, _ in spans:
        last = max(last + 1, round(words[start].start_s * 1000))
        yield last


def _end(start: int, spoken: int, text: str, following: int | None) -> int:
    """Return when a cue ends: as late as it takes to read, if the next one leaves room."""
    end = max(spoken, start + SHORTEST_MS, start + 1000 * width(text) // _COLUMNS_PER_S)
    if following is not None:
        room = following - _GAP_MS
        if room - end < _CHAINED_MS:
            end = room
        if end <= start:
            end = following
    return min(end, start + LONGEST_MS)
