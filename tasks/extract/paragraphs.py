"""Paragraphs: lines grouped by gaps, indents, type and page, under their headings.

Pure functions over pages and headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.extract.characters import HYPHEN, is_cjk
from tasks.extract.headings import Heading, body_size, nested
from tasks.extract.layout import leading
from tasks.extract.pages import Line, Page
from tasks.extract.sections import (
    contents_lines,
    is_reference_list,
    names_contents,
    names_references,
)

if TYPE_CHECKING:
    from tasks.records import SegmentKind

_TERMINAL = tuple(".!?:。！？：;；”\"'」』）)…")
_BULLET = re.compile(r"[•‣◦▪▫●○■□➢✓*]\s?|[–—-]\s")
_ITEM = re.compile(
    r"(?:\(?\d{1,3}[.)]|\[\d{1,3}\]|\(?[a-z][.)])\s|[（(][一二三四五六七八九十\d]+[）)]|[①-⑳]"
)


@dataclass
class Block:
    """A heading, a paragraph, a listing (one segment a line) or a part of a contents table."""

    kind: SegmentKind
    path: tuple[str, ...]
    lines: list[Line] = field(default_factory=list)
    listing: bool = False
    title: str = ""
    page: int = 0


def find_blocks(pages: Sequence[Page], headings: Sequence[Heading]) -> list[Block]:
    """Return all blocks of a document in order. Every line is in exactly one."""
    marks = _marks(headings)
    builder = _Builder(pages)
    for page in pages:
        contents = contents_lines(page.lines, continuing=builder.in_contents)
        skip = 0
        for k in range(len(page.lines) + 1):
            for heading, path in marks.get((page.index, k), ()):
                builder.head(heading, path, page.lines[k : k + heading.length])
                skip = max(skip, k + heading.length)
            if skip <= k < len(page.lines):
                builder.add(page.lines[k], k in contents)
    return _with_code(_with_references(builder.blocks, headings))


def _with_code(blocks: list[Block]) -> list[Block]:
    """Mark listings as code, unless most of the document is set in such letters."""
    listings = [block for block in blocks if block.listing and block.kind == "sentence"]
    listed = sum(len(line.text) for block in listings for line in block.lines)
    if 2 * listed <= sum(len(line.text) for block in blocks for line in block.lines):
        for block in listings:
            block.kind = "code"
    return blocks


def _marks(
    headings: Sequence[Heading],
) -> dict[tuple[int, int], list[tuple[Heading, tuple[str, ...]]]]:
    marks: dict[tuple[int, int], list[tuple[Heading, tuple[str, ...]]]] = {}
    for heading, path in zip(headings, nested(headings), strict=True):
        marks.setdefault((heading.page, heading.start), []).append((heading, path))
    return marks


class _Builder:
    """Takes lines in reading order and decides for each whether a paragraph begins."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self.body = body_size(pages)
        self.leading = leading([line for page in pages for line in page.lines])
        self.right = {page.index: _right_edge(page.lines) for page in pages}
        self.blocks: list[Block] = []
        self.path: tuple[str, ...] = ()

    @property
    def in_contents(self) -> bool:
        return bool(self.blocks) and self.blocks[-1].kind == "contents"

    def head(self, heading: Heading, path: tuple[str, ...], lines: Sequence[Line]) -> None:
        self.path = path
        self.blocks.append(Block("heading", path, list(lines), False, heading.text, heading.page))

    def add(self, line: Line, contents: bool) -> None:
        kind: SegmentKind = "contents" if contents or self._in_contents(line) else "sentence"
        block = self._open(line, kind)
        if block is None:
            listing = line.mono or kind == "contents"
            block = Block(kind, self.path, [], listing, "", line.page)
            self.blocks.append(block)
        block.lines.append(line)

    def _in_contents(self, line: Line) -> bool:
        """A line between entries, under a bookmark named Contents, that ends in a number."""
        return bool(self.path) and names_contents(self.path[-1]) and line.text[-1:].isdigit()

    def _open(self, line: Line, kind: SegmentKind) -> Block | None:
        """Return the block that a line goes on with, if any."""
        last = self.blocks[-1] if self.blocks else None
        if last is None or last.kind == "heading" or last.kind != kind:
            return None
        if kind == "contents":
            return last
        above = last.lines[-1]
        if above.page == line.page and not _jumps(above, line):
            return None if self._begins(last, line) else last
        return self._continued(line)

    def _continued(self, line: Line) -> Block | None:
        """The paragraph that goes on over a page's or column's end, footnotes passed over."""
        for block in self.blocks[:-4:-1]:
            if block.kind != "sentence" or line.mono or not block.lines:
                return None
            above = block.lines[-1]
            if line.page - above.page > 1:
                return None
            if above.size >= 0.92 * line.size:
                return block if not block.listing and self._flows(block, above, line) else None
        return None

    def _flows(self, block: Block, above: Line, line: Line) -> bool:
        if abs(above.size - line.size) > 0.08 * (line.size or 1) or _starts_item(line):
            return False
        if above.text.endswith(HYPHEN):
            return True
        if above.text.endswith(_TERMINAL):
            return False
        first = line.text[0]
        full = above.x1 > self._edge(above) - 2 * above.size
        return first.islower() or (full and (is_cjk(first) or len(block.lines) > 1))

    def _begins(self, block: Block, line: Line) -> bool:
        """Say whether a new paragraph begins with this line, on the same page and column."""
        above, size = block.lines[-1], line.size or 10.0
        if above.text.endswith(HYPHEN):
            return False
        if above.mono != line.mono or _starts_item(line):
            return above.mono != line.mono or self._item_begins(block, above, line)
        if line.mono:
            return line.y1 - above.y1 > 1.8 * self.leading * size
        if abs(above.size - line.size) > 0.12 * size and min(len(above.text), len(line.text)) > 3:
            return True
        if line.y1 - above.y1 > 1.3 * self.leading * max(size, above.size):
            return True
        if line.cells >= 3 or (line.cells >= 2 and above.cells >= 2):
            return True
        return self._indented(block, above, line, size)

    def _item_begins(self, block: Block, above: Line, line: Line) -> bool:
        if _BULLET.match(line.text) and not line.text.startswith(("-", "–", "—")):
            return True
        in_list = _starts_item(block.lines[0])
        return in_list or above.text.endswith(_TERMINAL) or self._is_short(above, 0.85)

    def _indented(self, block: Block, above: Line, line: Line, size: float) -> bool:
        ended = above.text.endswith(_TERMINAL)
        if not ended and line.text[0].islower():
            return False
        item = _starts_item(block.lines[0])
        if line.x0 > above.x0 + 0.8 * size and not (item and len(block.lines) == 1):
            return ended or self._is_short(above, 0.9)
        if line.x0 < above.x0 - 0.8 * size and len(block.lines) > 1:
            hanging = block.lines[1].x0 > block.lines[0].x0 + 0.8 * size
            return hanging and (ended or self._is_short(above, 0.9))
        if line.x0 < block.lines[0].x0 - 0.8 * size and item:
            return True
        if ended and self._is_short(above, 0.8):
            return True
        return self._is_short(above, 0.6)

    def _edge(self, line: Line) -> float:
        """The right edge of the column in which a line stands."""
        edges = self.right[line.page]
        return next((edge for edge in edges if edge >= line.x1 - 1), line.x1)

    def _is_short(self, line: Line, share: float) -> bool:
        edge = self._edge(line)
        return line.x1 < line.x0 + share * (edge - line.x0)


def _jumps(above: Line, line: Line) -> bool:
    return line.y1 < above.y0 - above.size


def _starts_item(line: Line) -> bool:
    return bool(_BULLET.match(line.text) or _ITEM.match(line.text))


def _right_edge(lines: Sequence[Line]) -> list[float]:
    """Where columns end: the rightmost positions at which several lines end, in order."""
    ends = sorted(line.x1 for line in lines)
    edges = [b for a, b in zip(ends, ends[2:], strict=False) if b - a < 4]
    kept: list[float] = []
    for edge in reversed(edges):
        if not kept or kept[-1] - edge > 100:
            kept.append(edge)
    return kept[::-1]


def _with_references(blocks: list[Block], headings: Sequence[Heading]) -> list[Block]:
    """Mark what stands under a heading such as References, where it looks like entries."""
    for start, end in _reference_spans(blocks):
        body = [block for block in blocks[start:end] if block.kind == "sentence"]
        if is_reference_list([" ".join(line.text for line in block.lines) for block in body]):
            for block in body:
                block.kind = "reference"
    return blocks


def _reference_spans(blocks: Sequence[Block]) -> Iterator[tuple[int, int]]:
    for k, block in enumerate(blocks):
        if not _opens_references(block):
            continue
        depth = len(block.path) if block.kind == "heading" else 99
        end = next(
            (
                j
                for j in range(k + 1, len(blocks))
                if blocks[j].kind == "heading" and len(blocks[j].path) <= depth
            ),
            len(blocks),
        )
        yield k + 1, end


def _opens_references(block: Block) -> bool:
    if block.kind == "heading":
        return names_references(block.title)
    return len(block.lines) == 1 and names_references(block.lines[0].text)
