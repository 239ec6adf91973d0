"""Lines joined into running text: hyphenated words, Latin with spaces, CJK without.

Pure over strings. What becomes of a hyphen at the end of a line is decided by the document's
own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.extract.characters import HYPHEN, is_cjk

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LAST = re.compile(r"([^\W\d_]+)[-‐\u00ad]$")
_FIRST = re.compile(r"[^\W\d_]+")
_CJK_MARKS = frozenset("，。；：！？、（）《》「」『』【】")
_CONNECTIVES = frozenset({"and", "or", "und", "oder", "bzw", "bis", "et", "ou", "to"})


@dataclass(frozen=True)
class Vocabulary:
    """The words of a document, lower case, and its compounds with a hyphen."""

    words: frozenset[str]
    compounds: frozenset[str]
    prefixes: frozenset[str]

    @classmethod
    def of(cls, lines: Iterable[str]) -> Vocabulary:
        """Collect the words of lines, but for those that a line's end may have broken."""
        words: set[str] = set()
        broken = False
        for line in lines:
            found = _WORD.findall(line.lower())
            rest = found[1:] if broken else found
            broken = line.endswith((HYPHEN, "-"))
            words.update(rest[:-1] if broken else rest)
        compounds = {word for word in words if "-" in word}
        prefixes = {compound.partition("-")[0] for compound in compounds}
        return cls(frozenset(words - compounds), frozenset(compounds), frozenset(prefixes))


def join(text: str, line: str, vocabulary: Vocabulary) -> str:
    """Append a line to the text before it."""
    if not text or not line:
        return text + line
    last = _LAST.search(text)
    if last and (first := _FIRST.match(line)):
        return _rejoin(text[:-1], last[1], first[0], line, vocabulary)
    if text.endswith(HYPHEN):
        return text[:-1] + "-" + line
    if is_cjk(text[-1]) and is_cjk(line[0]):
        return text + line
    if text[-1] in _CJK_MARKS or line[0] in _CJK_MARKS:
        return text + line
    if _is_broken_address(text, line):
        return text + line
    return f"{text} {line}"


def finish(text: str) -> str:
    """Make visible a hyphen that nothing followed."""
    return text[:-1] + "-" if text.endswith(HYPHEN) else text


def _rejoin(stem: str, left: str, right: str, line: str, vocabulary: Vocabulary) -> str:
    low_left, low_right = left.lower(), right.lower()
    joined, compound = low_left + low_right, f"{low_left}-{low_right}"
    if right in _CONNECTIVES and joined not in vocabulary.words:
        return f"{stem}- {line}"
    if joined in vocabulary.words and compound not in vocabulary.compounds:
        return stem + line
    kept = compound in vocabulary.compounds or (
        low_left in vocabulary.prefixes and low_right in vocabulary.words
    )
    if kept or (right[0].isupper() and not (left + right).isupper()):
        return f"{stem}-{line}"
    return stem + line


def _is_broken_address(text: str, line: str) -> bool:
    """An address goes on where a line broke it after a slash."""
    word = text.rsplit(maxsplit=1)[-1]
    return "://" in word and word.endswith("/") and line[0].isalnum() and line[0].islower()
