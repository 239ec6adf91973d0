"""Running headers, footers and page numbers: found across pages and taken out.

Pure functions over pages. A line goes only if it stands at a page's outer edge and either
says the same there on other pages (the page's own number apart), or is that number, or stands
with that number in the place where other pages have theirs, or stands alone above the text
where most pages have such a line. Rows of a table that happen to recur hold other numbers than
the page's, and so stay; so does what stands as close to the text as its own lines do.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tasks.extract.headings import body_size
from tasks.extract.layout import leading
from tasks.extract.pages import Line, Page

_EDGE_ROWS = 6  # outermost rows looked at, above and below
_EDGE = 0.18  # of the page's height, in which they must stand
_MIN_REPEATS = 3  # of the same line; 2 in a document of few pages
_FEW_PAGES = 4
_MIN_DENSITY = 0.3  # of the pages between the first and the last that have the line
_NOWHERE = 1e9
_SLOT = 3.0  # points within which lines stand at the same height
_NEAR_EDGE = 30.0  # points from the outermost line, for a number with other lines beyond it
_NEAR_START, _NEAR_END = 6, 10  # characters: "Page 3 of 10" has its number at an end
_LARGER = 1.12  # times the body's size: a heading rather than a header
_USUAL = 0.2  # of the pages have their number at a place that numbers have
_APART = 1.7  # lines from the text: more than between paragraphs
_FAR_APART = 2.3  # lines from the text: more than from a heading
_TIGHT, _TIGHT_SIZES = 1.15, 2.2  # lines, and sizes of type, from the text: one of its own
_MOST = 0.6  # of the pages have a line where headers are
_TOKEN = re.compile(r"\d+|\b[ivxlcdm]+\b|\b[IVXLCDM]+\b")
_NUMBER_ONLY = re.compile(
    r"[\s\-–—―~|·•.\[\](){}<>/第]*"
    r"(?:(?:page|pages|p\.|pg\.?|seite|s\.|página|pág\.|pagina|pag\.|side|sida|strona|str\."
    r"|страница|стр\.|ページ|頁|页)[\s:]*)?[\s\-–—|·第]*#"
    r"[\s\-–—|·页頁]*(?:(?:/|of|von|de|sur|di|van|av|из|z|共|,|，)?[\s总總共]*(?:\d+|#))?"
    r"[\s\-–—―~|·•.\])}>页頁共ページ]*(?:p ?a ?g ?e)?",
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
    def is_number(self) -> bool:
        return "#" in self.masked and bool(_NUMBER_ONLY.fullmatch(self.masked))

    @property
    def place(self) -> tuple[int, bool]:
        return self.slot, self.below


def without_margins(pages: Sequence[Page]) -> list[Page]:
    """Return the pages without what repeats at their edges."""
    text = _Text.of(pages)
    offsets = _offsets(pages)
    edges = [edge for page in pages for edge in _edges(page, offsets)]
    gone = _repeated(edges, 2 if len(pages) <= _FEW_PAGES else _MIN_REPEATS)
    gone |= _numbers(edges, gone)
    gone |= _beside_numbers(edges, gone)
    gone |= _headers(edges, text)
    gone_lines = {id(edges[k].line) for k in _apart(edges, _outside(edges, gone), text)}
    bare = [
        replace(page, lines=tuple(line for line in page.lines if id(line) not in gone_lines))
        for page in pages
    ]
    # What is all that a document says is its text, wherever it stands.
    return bare if any(page.lines for page in bare) else list(pages)


def _outermost(page: Page) -> list[tuple[Line, bool]]:
    """The lines nearest the top and bottom edges, and whether they are at the bottom."""
    by_height = sorted(page.lines, key=lambda line: line.y0)
    top = [line for line in _rows(by_height) if line.y0 < _EDGE * page.height]
    low = [line for line in _rows(by_height[::-1]) if line.y1 > (1 - _EDGE) * page.height]
    return [(line, False) for line in top] + [(line, True) for line in low if line not in top]


def _rows(lines: Sequence[Line]) -> list[Line]:
    """The first few rows of lines, with all that stand in them."""
    rows = list(dict.fromkeys(round(line.y0 / _SLOT) for line in lines))[:_EDGE_ROWS]
    return [line for line in lines if round(line.y0 / _SLOT) in rows]


@dataclass(frozen=True, slots=True)
class _Text:
    """How the text itself is set, and where its lines are."""

    size: float
    step: float
    bold: bool
    heights: dict[int, list[Line]]

    @classmethod
    def of(cls, pages: Sequence[Page]) -> _Text:
        size = body_size(pages) or 10.0
        step = leading([line for page in pages for line in page.lines]) * size
        letters = sum(len(line.text) for page in pages for line in page.lines)
        bold = sum(len(line.text) for page in pages for line in page.lines if line.bold)
        return cls(
            size, step, bold > 0.5 * letters, {page.index: list(page.lines) for page in pages}
        )

    def distance(self, edge: _Edge, but: set[int]) -> tuple[float, Line | None]:
        """How far inwards the next line is, those in `but` (by id) passed over, and which."""
        sign, own = _sign(edge), edge.line
        inwards = [
            ((line.y1 - own.y1) * sign, line)
            for line in self.heights[edge.page]
            if id(line) not in but and (line.y1 - own.y1) * sign > _SLOT
        ]
        return min(inwards, key=lambda item: item[0], default=(_NOWHERE, None))

    def is_close(self, edge: _Edge, but: set[int]) -> bool:
        """Say whether a line stands to the next as the text's own lines and headings do."""
        own = edge.line
        distance, inner = self.distance(edge, but)
        if own.size >= _LARGER * self.size or (
            own.bold and not self.bold and own.size >= self.size
        ):
            return distance < _FAR_APART * self.step
        if inner is None or not own.size:
            return False
        same = max(abs(inner.size - own.size), abs(self.size - own.size)) < 0.3
        return same and distance < max(_TIGHT * self.step, _TIGHT_SIZES * own.size)


def _offsets(pages: Sequence[Page]) -> set[int]:
    """Differences between printed numbers and page indices that hold on neighbouring pages."""
    votes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for page in pages:
        found = {
            (number - page.index, round(line.y0 / _NEAR_EDGE))
            for line, _ in _outermost(page)
            for number in map(_number, _ends(line.text))
            if number is not None
        }
        for place in found:
            votes[place].append(page.index)
    enough = 2 if len(pages) <= _FEW_PAGES else _MIN_REPEATS
    return {offset for (offset, _), on in votes.items() if _longest_run(on) >= enough} or {0}


def _longest_run(indices: Sequence[int]) -> int:
    """How many follow each other with at most one left out between two of them."""
    longest = run = 1
    for before, index in pairwise(indices):
        run = run + 1 if index - before <= 2 else 1
        longest = max(longest, run)
    return longest


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
        for text in {edge.masked, edge.line.text}:  # a year may be the number of one page
            places[" ".join(text.split()).casefold(), edge.below].append(k)
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


def _numbers(edges: Sequence[_Edge], gone: set[int]) -> set[int]:
    """Lines that are nothing but the number of their page, at its very edge.

    Where a page has its number at a place that numbers have, another one elsewhere on it is
    none: that of an exercise, say.
    """
    found = {k for k in _outer(edges) if edges[k].is_number}
    numbered = found | {k for k, edge in enumerate(edges) if k in gone or _at_end(edge)}
    numbered = {k for k in numbered if "#" in edges[k].masked}
    usual = _usual_places(edges, numbered)
    settled = {edges[k].page for k in numbered if edges[k].place in usual}
    return {k for k in found if edges[k].place in usual or edges[k].page not in settled}


def _outer(edges: Sequence[_Edge]) -> set[int]:
    """Lines near the outermost of their page's edge."""
    outermost: dict[tuple[int, bool], float] = {}
    for edge in edges:
        place, y = (edge.page, edge.below), edge.line.y0 * _sign(edge)
        outermost[place] = min(outermost.get(place, y), y)
    return {
        k
        for k, edge in enumerate(edges)
        if edge.line.y0 * _sign(edge) - outermost[edge.page, edge.below] <= _NEAR_EDGE
    }


def _usual_places(edges: Sequence[_Edge], numbered: set[int]) -> set[tuple[int, bool]]:
    heights = Counter(edges[k].place for k in numbered)
    n_pages = len({edge.page for edge in edges}) or 1
    return {
        (slot + d, below)
        for (slot, below), count in heights.items()
        if count >= max(2, _USUAL * n_pages)
        for d in (-1, 0, 1)
    }


def _headers(edges: Sequence[_Edge], text: _Text) -> set[int]:
    """Lines alone above the text, where most pages have one: names of sections that change.

    Where the text itself begins as high on some page, such a line is a paragraph.
    """
    n_pages = len({edge.page for edge in edges})
    tops = {page: min((line.y0 for line in on), default=0) for page, on in text.heights.items()}
    first = [
        k
        for k, edge in enumerate(edges)
        if not edge.below and edge.line.y0 <= tops[edge.page] + _SLOT
    ]
    distances = {k: text.distance(edges[k], set())[0] / text.step for k in first}
    begins = {edges[k].slot for k in first if distances[k] < _TIGHT}
    alone = [
        k
        for k in first
        if distances[k] >= _APART
        and edges[k].line.size < _LARGER * text.size
        and not begins & {edges[k].slot + d for d in (-1, 0, 1)}
    ]
    heights = Counter(slot for slot, _ in {(edges[k].slot, edges[k].page) for k in alone})
    return {
        k
        for k in alone
        if sum(heights[edges[k].slot + d] for d in (-1, 0, 1)) >= max(_FEW_PAGES, _MOST * n_pages)
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
        if edge.place in usual and (k in gone or _at_end(edge))
    }
    named = {
        (edge.page, edge.line.row)
        for edge in edges
        if edge.is_number and re.search(r"[^\W\d_]", edge.masked)
    }
    return {
        k
        for k, edge in enumerate(edges)
        if len(edge.line.text) < 120
        and (
            (edge.place in usual and (edge.page, edge.below) in with_number)
            or (edge.page, edge.line.row) in named
        )
    }


def _outside(edges: Sequence[_Edge], gone: set[int]) -> set[int]:
    """Of the lines found, those with nothing but each other between them and the edge."""
    kept = {k for k in gone if edges[k].is_number}
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


def _apart(edges: Sequence[_Edge], gone: set[int], text: _Text) -> set[int]:
    """Of the lines found, those that stand off from the text, or are set in smaller type."""
    on_page: dict[int, list[_Edge]] = defaultdict(list)
    for k in sorted(gone, key=lambda k: -edges[k].line.y0 * _sign(edges[k])):
        on_page[edges[k].page].append(edges[k])
    close = {id(edge) for found in on_page.values() for edge in _close(found, text)}
    return {k for k in gone if id(edges[k]) not in close}


def _close(found: Sequence[_Edge], text: _Text) -> list[_Edge]:
    """Of the lines found on one page, the innermost first, those that belong to the text."""
    left = {id(edge.line) for edge in found}
    close: list[_Edge] = []
    for edge in found:
        in_row = any(
            line.row == edge.line.row and line.y0 < edge.line.y1 and id(line) not in left
            for line in text.heights[edge.page]
        )
        rivals = any("#" in other.masked and other.below != edge.below for other in found)
        by_row = edge.is_number and (in_row or not rivals)
        if in_row if by_row else text.is_close(edge, left):
            left.discard(id(edge.line))
            close.append(edge)
    return close


def _at_end(edge: _Edge) -> bool:
    return edge.masked.startswith("#") or edge.masked.endswith("#")
