"""Figures and names of a statement that stand in none of the passages it cites.

Pure text against text, lenient where languages write one thing in several ways: better an
invention missed than a true statement marked. Knows nothing of segments or answers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from tasks.generate.figures import figures, numbers

_NAME = re.compile(r"[^\W\d_][\w’'&./+-]*")
_QUOTED = re.compile(r"“([^”]{2,60})”|\"([^\"]{2,60})\"|«([^»]{2,60})»")
_SENTENCE_START = re.compile(r"(?:^|[.!?:;—–(\"“]\s*)$")
# Capitalised without being names.
_ORDINARY = frozenset(("i", "a", "an", "the", "it", "its", "this", "that", "these", "those"))


def unsupported(text: str, passages: str, language: str) -> tuple[str, ...]:
    """Return the figures and names of a statement that the passages lack, as they are written.

    Args:
        language: of the statement. Names are Latin words with a capital within a sentence, and
            quoted terms; not looked for in German, whose nouns all have one (but for words
            with a second capital), nor in passages of another script.
    """
    found = [*_figures_missing(text, passages), *_names_missing(text, passages, language)]
    return tuple(dict.fromkeys(found))


def _figures_missing(text: str, passages: str) -> Iterator[str]:
    known = numbers(passages)
    for written, values in figures(text):
        if not values & known:
            yield written


def _names_missing(text: str, passages: str, language: str) -> Iterator[str]:
    letters = [c for c in passages if c.isalpha()]
    if sum(_is_latin(c) for c in letters) < 0.5 * len(letters) and _is_latin_text(text):
        return  # a name may be written in another script there
    known = _folded(passages)
    for quoted in _QUOTED.findall(text) if _is_latin_text(text) else ():
        term = next(filter(None, quoted))
        if _folded(term).strip(" .,") not in known:
            yield term
    for match in _NAME.finditer(text):
        word = match.group().rstrip("’'&./+-")
        if _is_name(text, match, word, language) and _stem(word) not in known:
            yield word


def _is_name(text: str, match: re.Match[str], word: str, language: str) -> bool:
    if not word[:1].isupper() or not _is_latin(word[0]) or _folded(word) in _ORDINARY:
        return False
    if sum(c.isupper() for c in word) > 1 and len(word) > 1:
        return True
    starts = _SENTENCE_START.search(text, 0, match.start())
    return len(word) > 1 and not starts and language[:2] != "de"


def _stem(word: str) -> str:
    folded = _folded(word)
    folded = re.sub(r"['’]s?$", "", folded)
    return folded[:-1] if folded.endswith("s") and len(folded) > 3 else folded


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("’", "'").split())


def _is_latin(character: str) -> bool:
    return character < "\u0250" or "\u1e00" <= character < "\u1f00"


def _is_latin_text(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    return sum(map(_is_latin, letters)) > 0.5 * len(letters)
