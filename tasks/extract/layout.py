"""Reading order: columns, and the pieces of a line put together again.

Pure functions over lines. PDFium gives text in the order in which the page draws it, which
is mostly the reading order; what this changes is pages in columns that are drawn row by row.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tasks.extract.pages import Line

_MIN_LINES = 5  # on each side of a gutter
_MIN_CHARS = 16  # of a column's middling line; cells of tables are shorter
_MIN_FILL = 0.75  # of the column's width, by its middling line; cells leave more empty
_INITIAL = 1.5  # times the size of the line
_MAX_CROSSING = 0.35  # of all lines may run across a gutter (titles, figures)


def reading_order(lines: Sequence[Line]) -> list[Line]:
    """Put the pieces of one page in reading order and join those that are one line."""
    return _merge(_by_columns(list(lines)))


def _by_columns(lines: list[Line]) -> list[Line]:
    """Order by band, then column, then as drawn. A band ends at a line that crosses the gutter."""
    gutter = _gutter(lines)
    if gutter is None:
        return lines
    ordered: list[Line] = []
    for band in _bands(lines, gutter):
        left = [line for line in band if _middle(line) < gutter]
        right = [line for line in band if _middle(line) >= gutter]
        crossing = len(band) == 1 and _crosses(band[0], gutter)
        ordered += band if crossing else [*_by_columns(left), *_by_columns(right)]
    return ordered


def _bands(lines: Sequence[Line], gutter: float) -> list[list[Line]]:
    crossing = sorted((line for line in lines if _crosses(line, gutter)), key=lambda line: line.y0)
    bands: list[list[Line]] = [[] for _ in range(2 * len(crossing) + 1)]
    for k, line in enumerate(crossing):
        bands[2 * k + 1].append(line)
    for line in lines:
        if not _crosses(line, gutter):
            bands[2 * sum(other.y0 < line.y0 for other in crossing)].append(line)
    return [band for band in bands if band]


def _middle(line: Line) -> float:
    return (line.x0 + line.x1) / 2


def _crosses(line: Line, gutter: float) -> bool:
    return line.x0 < gutter - 2 and line.x1 > gutter + 2


def _gutter(lines: Sequence[Line]) -> float | None:
    """Find the left edge of a column that has another one beside it."""
    if len(lines) < 2 * _MIN_LINES:
        return None
    left_edge, right_edge = min(line.x0 for line in lines), max(line.x1 for line in lines)
    low = left_edge + 0.2 * (right_edge - left_edge)
    starts = Counter(round(line.x0) for line in lines if line.x0 > low)
    for start, count in starts.most_common(4):
        if count >= _MIN_LINES - 1 and _parts_columns(lines, start - 2):
            return start - 2
    return None


def _parts_columns(lines: Sequence[Line], gutter: float) -> bool:
    left = [line for line in lines if line.x1 <= gutter]
    right = [line for line in lines if line.x0 >= gutter]
    crossing = len(lines) - len(left) - len(right)
    if min(len(left), len(right)) < _MIN_LINES or crossing > _MAX_CROSSING * len(lines):
        return False
    if not _beside(left, right):
        return False
    return _is_prose(left) and _is_prose(right)


def _beside(left: Sequence[Line], right: Sequence[Line]) -> bool:
    top = max(min(line.y0 for line in side) for side in (left, right))
    bottom = min(max(line.y1 for line in side) for side in (left, right))
    return bottom - top > 3 * statistics.median(line.y1 - line.y0 for line in left)


def _is_prose(column: Sequence[Line]) -> bool:
    edge = statistics.quantiles((line.x1 for line in column), n=10)[-1]
    start = statistics.quantiles((line.x0 for line in column), n=10)[0]
    if edge - start <= 0:
        return False
    fill = statistics.median((line.x1 - line.x0) / (edge - start) for line in column)
    chars = statistics.median(_width(line.text) for line in column)
    return fill >= _MIN_FILL and chars >= _MIN_CHARS


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(1 + (c > "\u2e80") for c in text)


def _merge(lines: Sequence[Line]) -> list[Line]:
    """Join neighbours that stand on one line: cells of a row, sub- and superscripts."""
    merged: list[Line] = []
    for line in lines:
        last = merged[-1] if merged else None
        if last is not None and last.row == line.row:
            merged[-1] = _joined(last, line, " ", cells=last.cells + 1)
        elif last is not None and _is_initial(last, line):
            merged[-1] = replace(line, text=last.text + line.text, x0=last.x0)
        elif last is not None and _touches(last, line):
            space = " " if line.x0 - last.x1 > 0.15 * line.size else ""
            merged[-1] = _joined(last, line, space, cells=last.cells)
        else:
            merged.append(line)
    return merged


def _is_initial(last: Line, line: Line) -> bool:
    """Say whether a line is one large letter, with the rest of its word beside it."""
    return (
        len(last.text) == 1
        and len(line.text) >= _MIN_CHARS
        and last.text.isalpha()
        and last.size > _INITIAL * line.size > 0
        and line.text[0].isalpha()
        and last.y0 < line.y1
        and line.y0 < last.y1
        and 0 <= line.x0 - last.x1 < 1.5 * line.size
    )


def _touches(last: Line, line: Line) -> bool:
    gap = line.x0 - last.x1
    if not -0.3 * line.size < gap < 0.6 * line.size:
        return False
    overlap = min(last.y1, line.y1) - max(last.y0, line.y0)
    return overlap > 0.4 * min(last.y1 - last.y0, line.y1 - line.y0)


def _joined(last: Line, line: Line, space: str, *, cells: int) -> Line:
    return replace(
        last,
        text=f"{last.text}{space}{line.text}",
        x0=min(last.x0, line.x0),
        y0=min(last.y0, line.y0),
        x1=max(last.x1, line.x1),
        y1=max(last.y1, line.y1),
        size=max(last.size, line.size),
        bold=last.bold and line.bold,
        mono=last.mono and line.mono,
        row=line.row,
        cells=cells,
    )


def leading(lines: Sequence[Line]) -> float:
    """Return the usual distance from a line to the next, in units of the type's size."""
    steps = [
        (b.y1 - a.y1) / a.size
        for a, b in pairwise(lines)
        if a.page == b.page and a.size and abs(a.size - b.size) < 0.5 and b.y1 - a.y1 > 0
    ]
    near = [step for step in steps if 0.8 < step < 2.2]
    return statistics.median(near) if near else 1.3
