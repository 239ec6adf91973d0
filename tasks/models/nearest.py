"""The nearest right names to a wrong one, for one line.

Owns what close means. Knows no models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from unicodedata import normalize

MOST = 5  # in a line
_CLOSE = 0.6  # difflib's own idea of a good match


def nearest(wrong: str, names: Iterable[str]) -> list[str]:
    """Return all names, the nearest first; those equally near by the alphabet.

    Neither case nor width counts, and a name that begins with the wrong one, or with which the
    wrong one begins, is nearer than any other: people leave out what comes last.
    """
    return sorted(set(names), key=lambda name: (-_closeness(wrong, name), name))


def close(wrong: str, names: Iterable[str]) -> list[str]:
    """Return the names that may have been meant, the nearest first; of one that is wrong in its
    case or width alone, no others."""
    near = [name for name in nearest(wrong, names) if _closeness(wrong, name) >= _CLOSE]
    return [name for name in near if _folded(name) == _folded(wrong)] or near


def listed(names: Sequence[str], most: int = MOST) -> str:
    """Return names for one line: "a, b, c and 12 more"."""
    more = len(names) - most
    shown = ", ".join(names[:most])
    return f"{shown} and {more} more" if more > 0 else shown


def _closeness(wrong: str, name: str) -> float:
    one, other = _folded(wrong), _folded(name)
    if one == other:
        return 2.0
    shared = bool(one) and (other.startswith(one) or one.startswith(other))
    return shared + SequenceMatcher(None, one, other).ratio()


def _folded(name: str) -> str:
    return normalize("NFKC", name).casefold().strip()
