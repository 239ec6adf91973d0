"""Numbers of lines, printed in the margin of contracts, drafts and poems: taken out.

Pure functions over pages. They stand in a column of their own, beside prose, and count.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from tasks.extract.pages import Line, Page

_NUMBER = re.compile(r"\d{1,5}")
_NUMBERED = re.compile(r"(\d{1,5})\s+(?=\S)")
_FEW = 4  # numbers of a column, on the page that has most
_PAGES = 0.5  # of all pages have such a column
_SLOT = 3.0  # points within which they are aligned, left or right
_PROSE_CHARS = 25  # of the middling line beside them; cells of tables are shorter
_MANY = 8  # lines that must count on for numbers that are part of their lines
_SHARE = 0.8  # of the lines of a page that count on
_RUNNING_ON = 0.3  # of these begin in the middle of a sentence


def without_line_numbers(pages: Sequence[Page]) -> list[Page]:
    """Return the pages without numbers of lines."""
    gone = {id(line) for line in _columns(pages)}
    kept = [
        replace(page, lines=tuple(line for line in page.lines if id(line) not in gone))
        for page in pages
    ]
    return [_without_first_numbers(page) for page in kept]


def _columns(pages: Sequence[Page]) -> Iterable[Line]:
    """Find numbers that stand outside of the text, one below the other, and count."""
    columns: dict[tuple[str, int], list[list[Line]]] = defaultdict(list)
    for page in pages:
        on_page: dict[tuple[str, int], list[Line]] = defaultdict(list)
        for side, line in _outside(page):
            on_page[side, round((line.x1 if side == "left" else line.x0) / _SLOT)].append(line)
        for place, lines in on_page.items():
            columns[place].append(sorted(lines, key=lambda line: line.y0))
    for parts in columns.values():
        enough = max(map(len, parts)) >= _FEW and len(parts) >= _PAGES * len(pages)
        if enough and _count(parts):
            for part in parts:
                yield from part


def _outside(page: Page) -> Iterable[tuple[str, Line]]:
    """Yield the numbers beside the text of a page, and on which side of it they stand."""
    numbers = [line for line in page.lines if _NUMBER.fullmatch(line.text)]
    text = [line for line in page.lines if not _NUMBER.fullmatch(line.text)]
    if not numbers or len(text) < _FEW:
        return
    if statistics.median(len(line.text) for line in text) < _PROSE_CHARS:
        return
    left = statistics.quantiles((line.x0 for line in text), n=10)[0]
    right = statistics.quantiles((line.x1 for line in text), n=10)[-1]
    for line in numbers:
        if line.x1 < left:
            yield "left", line
        elif line.x0 > right:
            yield "right", line


def _count(parts: Sequence[Sequence[Line]]) -> bool:
    """Say whether most numbers of a column follow the one above by the same step."""
    steps = [int(below.text) - int(above.text) for part in parts for above, below in pairwise(part)]
    usual = statistics.mode(steps) if steps else 0
    return usual > 0 and steps.count(usual) >= _SHARE * len(steps)


def _without_first_numbers(page: Page) -> Page:
    """Take out numbers that the page draws as a part of each line."""
    found = [_NUMBERED.match(line.text) for line in page.lines]
    values = [int(match[1]) for match in found if match]
    counting = sum(b - a == 1 for a, b in pairwise(values)) + 1
    if counting < max(_MANY, _SHARE * len(page.lines)):
        return page
    rests = [
        line.text[match.end() :] for line, match in zip(page.lines, found, strict=True) if match
    ]
    if sum(rest[0].islower() for rest in rests) < _RUNNING_ON * len(rests):
        return page
    lines = tuple(
        replace(line, text=line.text[match.end() :]) if match else line
        for line, match in zip(page.lines, found, strict=True)
    )
    return replace(page, lines=lines)
