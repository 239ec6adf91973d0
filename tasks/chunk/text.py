"""Make document text fit for a prompt: on one line, unable to end its fence, not too long.

Pure functions of text and a function that counts its tokens. Knows nothing of chunks, prompts
or models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

CountTokens = Callable[[str], int]

# The tags of our prompts; a document that contains them must not be able to close one.
_FENCE = re.compile(r"<(\s*/?\s*(?:source|notes|context|glossary|pairs)\s*)>", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Where a sentence that is too long may be cut, the best places first.
_CUTS = (
    re.compile(r"(?<=[;:.!?])\s+|(?<=[；：。！？])"),
    re.compile(r"(?<=,)\s+|(?<=[，、])|\s+(?=[–—])|(?<=[)\]）】」』”])\s*"),
    re.compile(r"\s+"),
    re.compile(r"(?<=.)(?=.)"),
)


def line_text(text: str) -> str:
    """Return text on one line, with our own fence tags in it made harmless."""
    return " ".join(_FENCE.sub(r"‹\1›", _CONTROL.sub(" ", text)).split())


def split_text(text: str, max_tokens: int, tokens: CountTokens) -> list[str]:
    """Cut text into parts of at most max_tokens: at clauses, else words, else characters.

    A single character with more tokens than that is a part of its own.
    """
    return list(_split(text, max_tokens, tokens, 0))


def shorten(text: str, max_tokens: int, tokens: CountTokens) -> str:
    """Return text, or its beginning with an ellipsis if it has more than max_tokens."""
    if tokens(text) <= max_tokens:
        return text
    return split_text(text, max(1, max_tokens - 2), tokens)[0] + " …"


def _split(text: str, max_tokens: int, tokens: CountTokens, level: int) -> Iterator[str]:
    if not text:
        return
    if level == len(_CUTS) or tokens(text) <= max_tokens:
        yield text
        return
    ends = [match.end() for match in _CUTS[level].finditer(text) if match.end() > 0]
    ends = [end for end in ends if end < len(text)] + [len(text)]
    start = first = 0
    while first < len(ends):
        n = _fitting(text, start, ends[first:], max_tokens, tokens)
        end = ends[first + max(n, 1) - 1]
        part = text[start:end].strip()
        if n:
            yield part
        else:
            yield from _split(part, max_tokens, tokens, level + 1)
        start, first = end, first + max(n, 1)


def _fitting(text: str, start: int, ends: list[int], max_tokens: int, tokens: CountTokens) -> int:
    """Return how many of the pieces that end at `ends` fit together; search by doubling."""
    fits, over = 0, 1
    while over <= len(ends) and tokens(text[start : ends[over - 1]].strip()) <= max_tokens:
        fits, over = over, over * 2
    over = min(over, len(ends) + 1)
    while over - fits > 1:
        middle = (fits + over) // 2
        if tokens(text[start : ends[middle - 1]].strip()) <= max_tokens:
            fits = middle
        else:
            over = middle
    return fits
