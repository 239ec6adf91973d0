"""Sentences of a paragraph, and the language of a text.

Knows nothing of pages. Joined, the sentences of a text are that text, but for spaces.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import sentencex

MAX_CHARS = 1000  # of a segment, which must be usable as one line
_ENOUGH_LETTERS = 40
_SAMPLE = 6000
_WORD = re.compile(r"[^\W\d_]+")
_COMMON = {
    code: frozenset(words.split())
    for code, words in {
        "en": "the of and to is that for with are this be by it from",
        "de": "der die und das ist nicht ein eine mit den dem zu von sich auch",
        "fr": "le les des et est une dans pour que qui sur pas au du",
        "es": "el los las y una por con para que del se como",
    }.items()
}
_BULLET = re.compile(r"[•‣◦▪▫●○■□➢✓*–—-]\s+")
_CLAUSE_END, _SPACE = re.compile(r"[;；:：,，、)）】]\s*"), re.compile(r"\s+")


def split(text: str, language: str) -> list[tuple[int, str]]:
    """Return the sentences of a text, each with its position."""
    found: list[tuple[int, str]] = []
    bullet = _BULLET.match(text)  # sentencex takes an item of a list for one sentence
    position = bullet.end() if bullet else 0
    for sentence in sentencex.segment(language, text[position:]):
        found += _pieces(sentence, position)
        position += len(sentence)
    return _without_orphans(text, found)


def detect_language(text: str) -> str:
    """Return the ISO 639-1 code of a text's language, or "und" where there is too little."""
    middle = max(0, len(text) // 2 - _SAMPLE // 2)
    sample = text[middle : middle + _SAMPLE].lower()
    if sum(c.isalpha() + (c > "\u2e80") for c in sample) < _ENOUGH_LETTERS:
        return "und"
    return _by_common_words(sample) or _by_model(sample)


def _by_common_words(sample: str) -> str:
    """The language whose commonest words stand out clearly, or an empty string."""
    words = Counter(_WORD.findall(sample))
    counts = sorted((sum(words[w] for w in common), code) for code, common in _COMMON.items())
    (second, _), (first, code) = counts[-2:]
    clear = first >= 20 and first >= 0.1 * words.total() and first > 2 * second
    return code if clear else ""


def _by_model(sample: str) -> str:
    import py3langid  # its model takes most of a second to load: a third of a book's time

    ranked = (str(code) for code, _ in py3langid.rank(sample))
    return next((code for code in ranked if len(code) == 2), "und")  # ISO 639-1


def _pieces(sentence: str, position: int) -> Iterator[tuple[int, str]]:
    """Cut what is too long for a line after a clause, else at a space, else anywhere."""
    start = 0
    while len(sentence) - start > MAX_CHARS:
        window = sentence[start : start + MAX_CHARS]
        ends = (
            [match.end() for match in pattern.finditer(window, MAX_CHARS // 2)]
            for pattern in (_CLAUSE_END, _SPACE)
        )
        cut = next((found[-1] for found in ends if found), MAX_CHARS)
        yield position + start, window[:cut]
        start += cut
    yield position + start, sentence[start:]


def _without_orphans(text: str, found: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Join what holds no letter ("1.", a closing bracket) to the sentence that follows."""
    starts = [0]  # of the text, for a bullet belongs to its first sentence
    for position, sentence in found[1:]:
        before = text[starts[-1] : position]
        whole = any(map(str.isalpha, before)) and any(map(str.isalpha, sentence))
        if whole or len(before) + len(sentence) > MAX_CHARS:
            starts.append(position)
    cuts = [*starts, len(text)]
    return [(a, text[a:b].strip()) for a, b in pairwise(cuts) if text[a:b].strip()]
