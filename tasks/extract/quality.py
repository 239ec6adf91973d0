"""The quality gate: whether a page's extracted text can be what is printed on it.

Pure functions over strings. Catches what PDF libraries do without an error: words glued
together, and characters that mean nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_WORD = re.compile(r"[^\W\d_]+")
_ENOUGH = 40  # words or characters, below which nothing can be said
_LONGEST_MEAN = 11.0  # letters; German and Finnish prose stay below 8
_MOST_BAD = 0.05  # share of characters that no reader could read


def damage(text: str) -> float:
    """Return how bad text is: 0 is clean, from 1 it can't be trusted."""
    counts = Counter(text)
    visible = sum(n for c, n in counts.items() if not c.isspace())
    if visible < _ENOUGH:
        return 0.0
    bad = sum(n for c, n in counts.items() if _is_bad(c)) / visible
    return max(bad / _MOST_BAD, _mean_word(text) / _LONGEST_MEAN)


def is_plausible(text: str) -> bool:
    """Say whether text looks like language rather than like a failed extraction."""
    return damage(text) < 1.0


def is_better(other: str, text: str) -> bool:
    """Say whether another reading of a page can be trusted, and keeps its Chinese, if any."""
    return is_plausible(other) and len(other) > len(text) / 3 and _cjk(other) >= _cjk(text)


def _is_bad(character: str) -> bool:
    """Replacement, private use and unassigned characters, and controls."""
    if character.isspace() or character in "\x02\ufffe\u00ad":  # marks of a hyphen
        return False
    return character == "\ufffd" or unicodedata.category(character) in ("Co", "Cn", "Cc", "Cs")


def _mean_word(text: str) -> float:
    """Mean length of words in scripts that part them by spaces; 0 where there are few."""
    lengths = [len(word) for word in _WORD.findall(text) if word[0] < "\u0e00"]
    return sum(lengths) / len(lengths) if len(lengths) >= _ENOUGH else 0.0


def _cjk(text: str) -> int:
    return sum("\u3040" <= c <= "\u9fff" for c in text)
