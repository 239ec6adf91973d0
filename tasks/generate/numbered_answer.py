"""The other half of the numbered-line protocol: translations, read back line by line.

Owns the form `[n] text` in answers and the habits that models have in it. Knows nothing of
languages, checks or requests. Numbers count from 1 within one call.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.generate.lines import without_thinking

_START = r"^\s*(?:[-*•>]\s+)?\*{0,2}"
_NUMBERED = re.compile(
    rf"{_START}[\[［【]\s*(\d{{1,5}})\s*[\]］】]\*{{0,2}}(?:\.(?=\s)|[:：])?\s?(.*)$"
)
_BARE = re.compile(rf"{_START}[(（]?(\d{{1,5}})\s?[.)）、:：](?!\d)\*{{0,2}}\s?(.*)$")
_RANGE = re.compile(rf"{_START}[\[［【]\s*\d{{1,5}}\s*[-–~,，、]\s*\d")
_NOISE = re.compile(r"^\s*(?:`{3,}.*|</?\w+>)\s*$")
_REMARK = re.compile(r"^\s*[(（]?(?:note|translator's note|注|译者注|译注)\s*[:：]", re.IGNORECASE)
_TALK = re.compile(
    r"[:：]\s*$|^\s*(?:sorry|sure|certainly|of course|okay|here is|here's|translation"
    r"|i(?:'m| am)? (?:can|un|sorry)|译文|翻译|以下|好的|当然|抱歉|对不起|很抱歉)",
    re.IGNORECASE,
)
_DIRECTIONS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class NumberedAnswer:
    """An answer as it was understood.

    Attributes:
        texts: what stands at each number, the first time that it stands there.
        repeated: numbers that stand there again, with another text.
        misplaced: numbers out of order: the fewest without which the others are in it.
        unknown: numbers that no line has.
    """

    texts: Mapping[int, str]
    repeated: frozenset[int] = frozenset()
    misplaced: frozenset[int] = frozenset()
    unknown: tuple[int, ...] = ()


def read_numbered(text: str, n_lines: int, *, truncated: bool = False) -> NumberedAnswer:
    """Read an answer's lines.

    A line without a number goes on from the one above it; what stands before the first number, or
    apart from all after a blank line, is left out, and so are fences and remarks to the user. Where
    no number stands in brackets, those before a point or a colon count. Several lines under one
    number, [2-3], are an unknown one. For a single line, one row without a number will do.

    Args:
        truncated: it was cut off, so that its last line is not whole.
    """
    shown = without_thinking(text)
    found = list(_rows(shown))
    if n_lines == 1 and not found:
        rows = [row for row in _cleaned(shown) if row.strip() and not _NOISE.match(row)]
        if len(rows) == 1 and not _TALK.search(rows[0]):
            found = [(1, _joined(rows))]
    if truncated and found:
        found.pop()
    texts: dict[int, str] = {}
    order: list[int] = []
    repeated, unknown = set(), []
    for number, row in found:
        if not 1 <= number <= n_lines:
            unknown.append(number)
        elif number not in texts:
            texts[number] = row
            order.append(number)
        elif texts[number] != row:
            repeated.add(number)
    misplaced = frozenset(order) - frozenset(_longest_ascent(order))
    return NumberedAnswer(texts, frozenset(repeated), misplaced, tuple(unknown))


def _rows(text: str) -> Iterator[tuple[int, str]]:
    rows = _cleaned(text)
    form = _NUMBERED if any(_NUMBERED.match(row) for row in rows) else _BARE
    number: int | None = None
    parts: list[str] = []
    is_open = False
    for row in rows:
        match = form.match(row)
        if match or _RANGE.match(row):
            if number is not None:
                yield number, _joined(parts)
            number, parts, is_open = (int(match[1]), [match[2]], True) if match else (0, [], True)
        elif not row.strip() or _REMARK.match(row):
            is_open = False
        elif is_open and not _NOISE.match(row):
            parts.append(row)
    if number is not None:
        yield number, _joined(parts)


def _cleaned(text: str) -> list[str]:
    return unicodedata.normalize("NFC", _DIRECTIONS.sub("", text)).splitlines()


def _joined(parts: Sequence[str]) -> str:
    return " ".join(" ".join(parts).split())


def _longest_ascent(numbers: Sequence[int]) -> list[int]:
    """Return a longest strictly ascending subsequence, by patience sorting."""
    tails: list[int] = []  # the smallest end of an ascent of each length
    positions: list[int] = []
    for number in numbers:
        at = bisect_left(tails, number)
        tails[at : at + 1] = [number]
        positions.append(at)
    ascent: list[int] = []
    length = len(tails) - 1
    for number, at in zip(reversed(numbers), reversed(positions), strict=True):
        if at == length and (not ascent or number < ascent[-1]):
            ascent.append(number)
            length -= 1
    return ascent[::-1]
