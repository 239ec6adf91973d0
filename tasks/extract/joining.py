"""Lines joined into running text: hyphenated words, Latin with spaces, CJK without.

Pure over strings. What becomes of a hyphen at the end of a line is decided by the document's
own words, and where these say nothing by those of its language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tasks import dictionary
from tasks.extract.characters import HYPHEN, is_cjk

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LAST = re.compile(r"([^\W\d_]+)[-‐\u00ad]$")
_FIRST = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"[a-z][A-Z]")
_CJK_MARKS = frozenset("，。；：！？、（）《》「」『』【】")
_CONNECTIVES = frozenset({"and", "or", "und", "oder", "bzw", "bis", "et", "ou", "to"})


# Write compounds as one word: a hyphen of their own stands before a capital only.
_CLOSED = frozenset({"de", "nl", "sv", "da", "no", "nb", "fi", "hu"})
# Words, too, but at the end of a line rather parts of longer ones.
_BEGINNINGS = frozenset({"re", "con", "pro", "in", "an", "be", "de", "dis", "en", "com", "per"})
_ENDINGS = frozenset({"able", "age", "ant", "ate", "ing", "less", "ness", "ship", "ties", "ting"})
_MET = 51  # times; the lists give 50 to words that are known but were not met
_SHORT, _SHORT_MET = 3, 5000  # letters: rare words as short as that are parts of others, too


@dataclass(frozen=True)
class Vocabulary:
    """The words of a document, lower case, its compounds with a hyphen, and its language."""

    words: frozenset[str]
    compounds: frozenset[str]
    prefixes: frozenset[str]
    language: str = "und"

    def knows(self, word: str) -> bool:
        return word in self.words or bool(dictionary.count(word, self.language))

    def has_part(self, word: str) -> bool:
        """Say whether a word can be a part of a compound that is written with a hyphen."""
        met = dictionary.count(word, self.language)
        return met >= (_SHORT_MET if len(word) <= _SHORT else _MET)

    @classmethod
    def of(cls, lines: Iterable[str], language: str = "und") -> Vocabulary:
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
        return cls(
            frozenset(words - compounds), frozenset(compounds), frozenset(prefixes), language
        )


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
    goes_on = line[len(right) : len(right) + 1] == "-"
    if right in _CONNECTIVES and not goes_on and not vocabulary.knows(left.lower() + right):
        return f"{stem}- {line}"
    chained = goes_on or stem[: -len(left)].endswith("-")
    kept = _keeps_hyphen(left, right, vocabulary, chained=chained)
    return f"{stem}-{line}" if kept else stem + line


def _keeps_hyphen(left: str, right: str, vocabulary: Vocabulary, *, chained: bool) -> bool:
    low_left, low_right = left.lower(), right.lower()
    joined, compound = low_left + low_right, f"{low_left}-{low_right}"
    if compound in vocabulary.compounds or joined in vocabulary.words:
        return compound in vocabulary.compounds
    by_case = _keeps_by_case(left, right, vocabulary.language)
    if by_case is not None:
        return by_case
    if vocabulary.knows(joined):
        return False
    if low_left in vocabulary.prefixes and low_right in vocabulary.words:
        return True
    if dictionary.count(compound, vocabulary.language):
        return True
    if chained and _is_link(low_left, low_right, vocabulary):
        return True
    if vocabulary.language in _CLOSED:
        return False
    if not chained and (low_left in _BEGINNINGS or low_right in _ENDINGS):
        return False
    return vocabulary.has_part(low_left) and vocabulary.has_part(low_right)


def _keeps_by_case(left: str, right: str, language: str) -> bool | None:
    """Judge by capitals, if these say anything: a word changes its case at a hyphen of its own."""
    if right[0].isupper():
        if (left + right).isupper():  # a word all in capitals
            return None
        plural = left.isupper() and len(left) > 1 and right[:2].isupper()  # SPECI-MENs
        name = language not in _CLOSED and _CAMEL.search(left)  # RemoteProtocol-Error
        return not (plural or name)
    return True if len(left) > 1 and left.isupper() else None  # PDF-reader


def _is_link(left: str, right: str, vocabulary: Vocabulary) -> bool:
    """Say whether words are links of a chain such as an option's or a package's name.

    The document has them, or English has, in which such names are written in any language.
    """
    if len(left) >= _SHORT and len(right) >= _SHORT and {left, right} <= vocabulary.words:
        return True
    met = min(dictionary.count(left, "en"), dictionary.count(right, "en"))
    return met >= _SHORT_MET and not dictionary.count(left + right, "en")


def _is_broken_address(text: str, line: str) -> bool:
    """An address goes on where a line broke it after a slash."""
    word = text.rsplit(maxsplit=1)[-1]
    return "://" in word and word.endswith("/") and line[0].isalnum() and line[0].islower()
