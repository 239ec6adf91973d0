"""Running headers, footers and page numbers: found across pages and taken out.

Pure functions over pages. A line goes only if it stands at a page's outer edge and either
says the same there on other pages (the page's own number apart), or is that number, or stands
with that number in the place where other pages have theirs. Rows of a table that happen to
recur hold other numbers than the page's, and so stay.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.extract.pages import Line, Page

_EDGE_LINES = 4  # outermost lines looked at, above and below
_EDGE = 0.18  # of the page's height, in which they must stand
_MIN_REPEATS = 3  # of the same line; 2 in a document of few pages
_FEW_PAGES = 4
_MIN_DENSITY = 0.3  # of the pages between the first and the last that have the line
_NOWHERE = 1e9
_SLOT = 3.0  # points within which lines stand at the same height
_NEAR_EDGE = 30.0  # points from the outermost line, for a number with other lines beyond it
_NEAR_START, _NEAR_END = 6, 10  # characters: "Page 3 of 10" has its number at an end
_TOKEN = re.compile(r"\d+|\b[ivxlcdm]+\b|\b[IVXLCDM]+\b")
_NUMBER_ONLY = re.compile(
    r"[\s\-–—|·•.\[\](){}/第页頁]*(?:(?:page|p\.|seite|страница|página)\s*)?[\s\-–—|·第]*#"
    r"(?:\s*(?:/|of|von|de|sur|共)?\s*\d+)?[\s\-–—|·•.\])页頁共]*",
    re.IGNORECASE,
)
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}


@dataclass(frozen=True, slots=True)
class _Edge:
    """A line at the edge of a page, with its page's number masked as #."""

    page: int
    line: Line
    below: bool
    slot: int
    masked: str

    @property
    def numbered(self) -> bool:
        return "#" in self.masked


def without_margins(pages: Sequence[Page]) -> list[Page]:
    """Return the pages without what repeats at their edges."""
    offsets = _offsets(pages)
    edges = [edge for page in pages for edge in _edges(page, offsets)]
    gone = _repeated(edges, 2 if len(pages) <= _FEW_PAGES else _MIN_REPEATS)
    gone |= _numbers(edges)
    gone |= _beside_numbers(edges, gone)
    gone_lines = {id(edges[k].line) for k in _outside(edges, gone)}
    return [
        replace(page, lines=tuple(line for line in page.lines if id(line) not in gone_lines))
        for page in pages
    ]


def _outermost(page: Page) -> list[tuple[Line, bool]]:
    """The lines nearest the top and bottom edges, and whether they are at the bottom."""
    by_height = sorted(page.lines, key=lambda line: line.y0)
    top = [line for line in by_height[:_EDGE_LINES] if line.y0 < _EDGE * page.height]
    bottom = [line for line in by_height[-_EDGE_LINES:] if line.y1 > (1 - _EDGE) * page.height]
    return [(line, False) for line in top] + [(line, True) for line in bottom if line not in top]


def _offsets(pages: Sequence[Page]) -> set[int]:
    """Differences between printed numbers and page indices that hold on many pages."""
    votes: Counter[int] = Counter()
    for page in pages:
        numbers = {_number(token) for line, _ in _outermost(page) for token in _ends(line.text)}
        votes.update({number - page.index for number in numbers if number is not None})
    enough = max(_MIN_REPEATS, 0.05 * len(pages))
    return {offset for offset, count in votes.items() if count >= enough} or {0}


def _ends(text: str) -> list[str]:
    tokens = _TOKEN.findall(text)
    return [*tokens[:1], *tokens[-2:]]


def _number(token: str) -> int | None:
    if token.isascii() and token.isdigit():
        return int(token) if len(token) < 6 else None
    if not token.isascii() or not token.isalpha():
        return None
    values = [_ROMAN[c] for c in token.lower()]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


def _edges(page: Page, offsets: set[int]) -> list[_Edge]:
    own = {page.index + offset for offset in offsets}

    def mask(match: re.Match[str]) -> str:
        token, after = match[0], len(match.string) - match.end()
        at_end = match.start() <= _NEAR_START or after <= _NEAR_END
        return "#" if at_end and (token == page.label or _number(token) in own) else token

    return [
        _Edge(page.index, line, below, round(line.y0 / _SLOT), _TOKEN.sub(mask, line.text))
        for line, below in _outermost(page)
    ]


def _repeated(edges: Sequence[_Edge], enough: int) -> set[int]:
    """Lines that say the same at the same height on several pages, lying close together."""
    places: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for k, edge in enumerate(edges):
        places[" ".join(edge.masked.split()).casefold(), edge.below].append(k)
    gone: set[int] = set()
    for (masked, _), members in places.items():
        if not re.search(r"[^\W\d_]", masked.replace("#", "")):
            continue
        for group in _same_height(edges, members):
            found = {edges[k].page for k in group}
            span = max(found) - min(found) + 1
            if len(found) >= enough and len(found) >= _MIN_DENSITY * span:
                gone.update(group)
    return gone


def _same_height(edges: Sequence[_Edge], members: Sequence[int]) -> list[list[int]]:
    groups: list[list[int]] = []
    for k in sorted(members, key=lambda k: edges[k].line.y0):
        if groups and edges[k].line.y0 - edges[groups[-1][-1]].line.y0 <= _SLOT:
            groups[-1].append(k)
        else:
            groups.append([k])
    return groups


def _numbers(edges: Sequence[_Edge]) -> set[int]:
    """Lines that are nothing but the number of their page, at its very edge."""
    outer: dict[tuple[int, bool], float] = {}
    for edge in edges:
        place, y = (edge.page, edge.below), edge.line.y0
        outer[place] = (max if edge.below else min)(outer.get(place, y), y)
    return {
        k
        for k, edge in enumerate(edges)
        if edge.numbered
        and _NUMBER_ONLY.fullmatch(edge.masked)
        and abs(edge.line.y0 - outer[edge.page, edge.below]) <= _NEAR_EDGE
    }


def _beside_numbers(edges: Sequence[_Edge], gone: set[int]) -> set[int]:
    """Lines such as "8  1.2 Metric spaces", or the other part of such a line.

    They differ from page to page, but stand where most pages have their number.
    """
    heights: Counter[tuple[int, bool]] = Counter()
    for k, edge in enumerate(edges):
        if k in gone or _at_end(edge):
            heights.update({(edge.slot, edge.below)})
    n_pages = len({edge.page for edge in edges}) or 1
    usual = {
        (slot + d, below)
        for (slot, below), count in heights.items()
        if count >= max(_MIN_REPEATS, 0.2 * n_pages)
        for d in (-1, 0, 1)
    }
    with_number = {
        (edge.page, edge.below)
        for k, edge in enumerate(edges)
        if (edge.slot, edge.below) in usual and (k in gone or _at_end(edge))
    }
    return {
        k
        for k, edge in enumerate(edges)
        if (edge.slot, edge.below) in usual
        and (edge.page, edge.below) in with_number
        and len(edge.line.text) < 120
    }


def _outside(edges: Sequence[_Edge], gone: set[int]) -> set[int]:
    """Of the lines found, those with nothing but each other between them and the edge."""
    kept = {k for k in gone if _NUMBER_ONLY.fullmatch(edges[k].masked)}
    reached: dict[tuple[int, bool], float] = {}
    inwards = sorted(range(len(edges)), key=lambda k: edges[k].line.y0 * _sign(edges[k]))
    for k in inwards:
        edge = edges[k]
        place, y = (edge.page, edge.below), edge.line.y0 * _sign(edge)
        if y > reached.get(place, y) + _NEAR_EDGE:
            continue
        if k in gone:
            kept.add(k)
            reached[place] = y
        elif y > reached.get(place, y - 2 * _SLOT) + _SLOT:
            reached[place] = -_NOWHERE
    return kept


def _sign(edge: _Edge) -> int:
    return -1 if edge.below else 1


def _at_end(edge: _Edge) -> bool:
    return edge.masked.startswith("#") or edge.masked.endswith("#")
