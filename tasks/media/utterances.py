"""Sentences of timed words, and paragraphs of sentences.

Knows nothing of captions or of who recognised the words. Every word is in one sentence, in order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tasks.extract.characters import is_cjk
from tasks.extract.sentences import MAX_CHARS, split
from tasks.media.breaking import ends_clause, ends_sentence, join
from tasks.media.transcript import Sentence, TimedWord

_PAUSE_S = 1.0  # ends a sentence that has no punctuation
_SINGLE_MARK = "gap"  # that a sentence has for one of its words; others for half of them
_SILENCE_S = 5.0  # ends any sentence
_PARAGRAPH_PAUSE_S = 2.0
_PARAGRAPH_SENTENCES, _PARAGRAPH_S = 8, 90.0
_FEWEST_SENTENCES = 3  # of a paragraph that is cut for its length
_MOST_WORDS, _FEWEST_WORDS = 30, 4  # of a sentence without punctuation
_CJK_WORD = 4  # characters: 120 are as much as 30 words
_LONG_WORD = 10  # characters
_STOPS_PER_WORD = 1 / 60  # below this, a transcript has no punctuation
_SNAP_S = 2.0  # chapters are given in whole seconds, and by hand
_CLAUSE_S, _CUE_S, _SPACE_S = 1.0, 0.3, 0.2  # pauses that such borders are as good as
_SOUND_WORDS = 10
_SOUNDS = {"[": "]", "(": ")", "（": "）", "【": "】"}


@dataclass(frozen=True, slots=True)
class _Spoken:
    """All words. A border is a position among them: it stands before that word."""

    words: Sequence[TimedWord]
    language: str

    def pause(self, border: int) -> float:
        """Return the seconds of silence at a border; none at the ends."""
        if not 0 < border < len(self.words):
            return 0.0
        return max(0.0, self.words[border].start_s - self.words[border - 1].end_s)

    def pauses(self, seconds: float, start: int = 0, end: int | None = None) -> Iterator[int]:
        """Yield the borders within a stretch at which there is so much silence."""
        last = len(self.words) if end is None else end
        return (border for border in range(start + 1, last) if self.pause(border) >= seconds)

    def distance(self, border: int, time_s: float) -> float:
        """Return how far a time is from the silence at a border."""
        before = self.words[border - 1].end_s if border else float("-inf")
        after = self.words[border].start_s if border < len(self.words) else float("inf")
        return max(before - time_s, time_s - max(before, after), 0.0)


def sentences_of(
    words: Sequence[TimedWord], language: str, *, breaks: Sequence[float] = ()
) -> tuple[Sentence, ...]:
    """Return the sentences of words, across the borders of cues.

    None goes on over another speaker's turn, five seconds of silence or a break. Where there is no
    punctuation, pauses end sentences, and their length does.

    Args:
        breaks: seconds, such as chapters' starts. Each is at the sentence's end or long pause
            within two seconds that is nearest, else at the nearest word's border.
    """
    if not words:
        return ()
    spoken = _Spoken(words, language)
    turns = {0, len(words), *_turns(words)}
    starts = {*turns, *spoken.pauses(_SILENCE_S), *_sounds(spoken)}
    starts = _refined(starts, lambda start, end: _sentence_starts(spoken, start, end))
    broken = set(_borders(spoken, starts, breaks))
    starts = _refined(starts | broken, lambda start, end: _pieces_of_long(spoken, start, end))
    paragraphs = _paragraphs(spoken, sorted(starts), turns | broken)
    numbers = accumulate(int(start in paragraphs) for start in sorted(starts))
    return tuple(
        _sentence(spoken, start, end, number)
        for (start, end), number in zip(pairwise(sorted(starts)), numbers, strict=False)
    )


def _sentence(spoken: _Spoken, start: int, end: int, paragraph: int) -> Sentence:
    words = spoken.words[start:end]
    marks = Counter(mark for word in words for mark in dict.fromkeys(word.marks))
    return Sentence(
        text=join(words),
        first=start,
        last=end - 1,
        start_s=words[0].start_s,
        end_s=max(words[0].start_s, words[-1].end_s),
        paragraph=paragraph,
        speaker=words[0].speaker,
        marks=tuple(m for m, n in marks.items() if 2 * n >= len(words) or m == _SINGLE_MARK),
    )


def _refined(borders: set[int], cut: Callable[[int, int], Iterable[int]]) -> set[int]:
    """Return borders, and those that cutting the stretches between them adds."""
    return borders.union(*(cut(start, end) for start, end in pairwise(sorted(borders))))


def _turns(words: Sequence[TimedWord]) -> Iterator[int]:
    for border, (before, word) in enumerate(pairwise(words), start=1):
        if word.starts_turn or word.speaker != before.speaker:
            yield border


def _sounds(spoken: _Spoken) -> Iterator[int]:
    """Yield the borders of what is no speech ("[MUSIC]"), but where it is amid a sentence."""
    words = spoken.words
    stops = sum(ends_sentence(word.text) for word in words)
    loose = stops < _STOPS_PER_WORD * len(words)
    end = 0
    for start, word in enumerate(words):
        if start < end or word.text[:1] not in _SOUNDS:
            continue
        found = _sound_end(words, start)
        if found and (loose or start == end or ends_sentence(words[start - 1].text)):
            end = found
            yield from (start, end)


def _sound_end(words: Sequence[TimedWord], start: int) -> int:
    """Return the border at which a bracket closes; 0 for one that belongs to a sentence: a round
    one is a sound's where it fills a cue."""
    closing = _SOUNDS[words[start].text[0]]
    window = range(start, min(start + _SOUND_WORDS, len(words)))
    end = next((i + 1 for i in window if words[i].text.endswith(closing)), 0)
    if not end or closing in "]】":
        return end
    cue = words[start].cue
    around = (words[start - 1] if start else None, words[end] if end < len(words) else None)
    return end if cue and all(word is None or word.cue != cue for word in around) else 0


def _sentence_starts(spoken: _Spoken, start: int, end: int) -> Iterator[int]:
    """Yield where sentences start within a stretch; a border inside a word is after it."""
    words = spoken.words[start:end]
    lengths = (len(word.text) + (word.is_spaced and i > 0) for i, word in enumerate(words))
    begins = [
        end_of_it - len(word.text)
        for word, end_of_it in zip(words, accumulate(lengths), strict=True)
    ]
    for (_, before), (position, _) in pairwise(split(join(words), spoken.language)):
        border = start + bisect_left(begins, position)
        # What is too long for a segment is cut anywhere, where it has no punctuation.
        is_end = len(before) <= MAX_CHARS // 2 or ends_clause(before)
        if is_end and border < end:
            yield border


def _borders(spoken: _Spoken, starts: AbstractSet[int], times: Iterable[float]) -> Iterator[int]:
    """Yield the borders at which breaks are."""
    begins = list(accumulate((word.start_s for word in spoken.words), max))
    for time in times:
        at = bisect_left(begins, time)
        first = min(bisect_left(begins, time - _SNAP_S), at - 1)
        last = max(bisect_right(begins, time + _SNAP_S), at + 1)
        near = range(max(0, first), min(last, len(begins)) + 1)
        good = [
            border
            for border in near
            if (border in starts or spoken.pause(border) >= _PAUSE_S)
            and spoken.distance(border, time) <= _SNAP_S
        ]
        yield min(good or near, key=lambda border: spoken.distance(border, time))


def _pieces_of_long(spoken: _Spoken, start: int, end: int) -> Iterator[int]:
    """Yield borders within a sentence that has hardly any punctuation: at pauses, then so that no
    part is too long."""
    words = spoken.words[start:end]
    marks = sum(ends_clause(word.text) for word in words[:-1])
    stops = ends_sentence(words[-1].text)
    size = sum(map(_size, words))
    is_short = size <= _MOST_WORDS * (1 + marks) * (1 + stops) and len(join(words)) <= MAX_CHARS
    if is_short and (stops or marks):
        return
    last = start
    for border in [*spoken.pauses(_PAUSE_S, start, end), end]:
        fits = sum(map(_size, spoken.words[last:border])) >= _FEWEST_WORDS
        if border < end and not fits and spoken.pause(border) < _PARAGRAPH_PAUSE_S:
            continue
        yield from _shortened(spoken, last, border)
        if border < end:
            yield border
        last = border


def _shortened(spoken: _Spoken, start: int, end: int) -> Iterator[int]:
    """Yield the borders that leave no more than the most words in a part: at its best pause."""
    ends = list(accumulate(map(_size, spoken.words[start:end])))
    done = 0.0
    while ends[-1] - done > _MOST_WORDS:
        first = bisect_right(ends, done + _MOST_WORDS / 3)
        most = min(done + _MOST_WORDS, ends[-1] - _FEWEST_WORDS)
        last = max(bisect_right(ends, most), first + 1)
        border = max(range(first, last), key=lambda i: (_fitness(spoken, start + i + 1), i)) + 1
        if start + border >= end:
            return
        yield start + border
        done = ends[border - 1]


def _fitness(spoken: _Spoken, border: int) -> float:
    """Return how good a sentence's end a border without a stop is, in seconds of silence."""
    if not 0 < border < len(spoken.words):
        return 0.0
    before, word = spoken.words[border - 1], spoken.words[border]
    is_comma = word.is_spaced and is_cjk(word.text[:1])  # what Chinese captions have for one
    return (
        spoken.pause(border)
        + _CLAUSE_S * ends_clause(before.text)
        + _CUE_S * (before.cue != word.cue)
        + _SPACE_S * is_comma
    )


def _size(word: TimedWord) -> float:
    """Return how many words it is; where they are not parted by spaces it may be many."""
    characters = sum(map(is_cjk, word.text))
    return characters / _CJK_WORD if characters else max(1.0, len(word.text) / _LONG_WORD)


def _paragraphs(
    spoken: _Spoken, borders: Sequence[int], forced: AbstractSet[int]
) -> AbstractSet[int]:
    """Return the borders between sentences at which paragraphs begin."""
    starts: set[int] = set()
    begun = 0  # position of the paragraph's first border
    for i, border in enumerate(borders[:-1]):
        if border in forced or spoken.pause(border) >= _PARAGRAPH_PAUSE_S:
            starts.add(border)
            begun = i
        while _is_long(spoken, borders, begun, i + 1):
            window = range(min(begun + _FEWEST_SENTENCES, i), i + 1)
            begun = max(window, key=lambda k: (spoken.pause(borders[k]), k))
            starts.add(borders[begun])
    return starts


def _is_long(spoken: _Spoken, borders: Sequence[int], begun: int, end: int) -> bool:
    """Say whether a paragraph of several sentences is too long."""
    if end - begun < 2:
        return False
    seconds = spoken.words[borders[end] - 1].end_s - spoken.words[borders[begun]].start_s
    return end - begun > _PARAGRAPH_SENTENCES or seconds > _PARAGRAPH_S
