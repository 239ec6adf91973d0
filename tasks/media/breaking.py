"""Where text may be broken, in any script: into words, lines and cues.

Knows nothing of time, captions or translations. What is broken here and joined again is the text,
but for its spaces. Of Thai, Lao, Khmer and Burmese only the spaces are known.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from tasks.extract.characters import is_cjk

LINES = 2  # that a cue may have
_COLUMNS = {"zh": 36, "ja": 36, "yue": 36, "ko": 40}  # a full-width character has two
_LATIN_COLUMNS = 42
_SPACELESS = frozenset({"zh", "ja", "yue"})
_CLOSERS = "\"'”’»)\\]}）」』】》〉］｝"
_SENTENCE_END = re.compile(rf"[.!?…。！？｡؟।][{_CLOSERS}]*$")
_CLAUSE_END = re.compile(rf"(?:[,;:，、；：،؛]|[–—]|[)）」』】》])[{_CLOSERS}]*$")
_NO_LINE_START = frozenset("ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ～")
_NEUTRAL_QUOTES = "\"'"  # open or close: text is not broken on either side of them
_OF_NUMBERS = ".,:．，：～·"
_FULL_WIDTH_WORD = re.compile("[０-９Ａ-Ｚａ-ｚ]")
_LONG_HANGUL = re.compile("[\uac00-\ud7a3]{13,}")  # no word, but a line without its spaces
_HIRAGANA = re.compile("[\u3040-\u309f]")
# After particles and before pronouns, prepositions and conjunctions a word of Chinese seldom goes
# on; without a dictionary more can't be known.
_AFTER = frozenset("的了着吗呢吧啊")
_BEFORE = frozenset("和与或但把被从这那我你她也都就")


class Joinable(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def is_spaced(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """What no line break parts: a word with its punctuation, or a character of Chinese or Japanese.

    Attributes:
        is_spaced: whether a space stands before it.
    """

    text: str
    is_spaced: bool


def pieces(text: str) -> list[Piece]:
    """Return the pieces of a text; the first one is taken to be spaced."""
    return [
        Piece(part, is_spaced=not i) for token in text.split() for i, part in enumerate(_cut(token))
    ]


def join(parts: Iterable[Joinable]) -> str:
    """Return pieces or words as a text."""
    return "".join(" " + part.text if part.is_spaced else part.text for part in parts).strip()


def gap(before: str, after: str) -> str:
    """Return what stands between two lines that are joined: no space within Chinese or Japanese."""
    if not before or not after:
        return ""
    return "" if is_cjk(before[-1]) and is_cjk(after[0]) else " "


def may_part(before: str, after: str) -> bool:
    """Say whether a line may end between two texts without a space between them.

    As the rules for Chinese and Japanese have it: no line starts with closing punctuation, a
    small kana or a mark of length, and none ends with an opening bracket.
    """
    a, b = before[-1], after[0]
    if not (_is_ideographic(a) or _is_ideographic(b)):
        return False
    if unicodedata.category(a) in ("Ps", "Pi", "Sc") or a in _NEUTRAL_QUOTES:
        return False
    kind = unicodedata.category(b)
    if kind in ("Pc", "Pd", "Pe", "Pf", "Po", "Lm", "Mn", "Mc", "Me") or b in _NO_LINE_START:
        return False
    within_number = a in _OF_NUMBERS and before[-2:-1].isdigit() and b.isdigit()
    return not within_number


def reluctance(before: str, after: str, *, is_spaced: bool) -> float:
    """Return how bad a place for a break it is, from 0 (a sentence ends) to 1."""
    if _SENTENCE_END.search(before):
        return 0.0
    if _CLAUSE_END.search(before):
        return 0.2
    a, b = before[-1], after[0]
    if is_spaced and is_cjk(a) and is_cjk(b):
        return 0.2  # a space is what Chinese subtitles have for a comma
    if unicodedata.category(b) in ("Ps", "Pi"):
        return 0.4
    if is_spaced:  # short words belong to what follows: articles, prepositions, conjunctions
        return 0.9 if len(before) <= 3 else 0.6
    if _HIRAGANA.match(a) and not _HIRAGANA.match(b):
        return 0.6
    if is_cjk(a) != is_cjk(b) or a in _AFTER or b in _BEFORE:
        return 0.7
    return 1.0


def ends_sentence(text: str) -> bool:
    return bool(_SENTENCE_END.search(text))


def ends_clause(text: str) -> bool:
    """Say whether a sentence or a part of one ends here."""
    return bool(_SENTENCE_END.search(text) or _CLAUSE_END.search(text))


def width(text: str) -> int:
    """Return the columns that a text takes: two for a full-width character, none for a mark on
    another one."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


class Columns:
    """Widths of stretches of pieces that are joined."""

    def __init__(self, parts: Sequence[Joinable]) -> None:
        sizes = [width(part.text) for part in parts]
        self._ends = list(
            accumulate(size + part.is_spaced for size, part in zip(sizes, parts, strict=True))
        )
        self._starts = [end - size for end, size in zip(self._ends, sizes, strict=True)]

    def width(self, start: int, end: int) -> int:
        return self._ends[end - 1] - self._starts[start]

    def fits(self, start: int, end: int, limit: int) -> bool:
        """Say whether a stretch fits the lines of a cue."""
        for _ in range(LINES):
            # As many as the line holds.
            start = bisect_right(self._ends, self._starts[start] + limit, start, end)
            if start == end:
                return True
        return False


def line_columns(language: str) -> int:
    """Return how many columns a line of a subtitle may have in a language."""
    return _COLUMNS.get(_base(language), _LATIN_COLUMNS)


def is_spaceless(language: str) -> bool:
    """Say whether the words of a language are written without spaces between them."""
    return _base(language) in _SPACELESS


def has_words(text: str) -> bool:
    """Say whether it holds anything that can be read out: a letter or a digit."""
    return any(map(str.isalnum, text))


def _base(language: str) -> str:
    return language.lower().partition("-")[0]


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 1 + (unicodedata.east_asian_width(character) in "WF")


def _is_ideographic(character: str) -> bool:
    return is_cjk(character) and not _FULL_WIDTH_WORD.match(character)


def _cut(token: str) -> Iterator[str]:
    """Yield the pieces of what stands between spaces."""
    if token.isascii():
        yield token
        return
    start = 0
    hangul = {i for run in _LONG_HANGUL.finditer(token) for i in range(run.start() + 1, run.end())}
    for i in range(1, len(token)):
        if i in hangul or may_part(token[max(0, i - 2) : i], token[i]):
            yield token[start:i]
            start = i
    yield token[start:]
