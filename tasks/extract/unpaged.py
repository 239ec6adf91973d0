"""Documents that flow: blocks of text in reading order, and the pieces they make.

What HTML, Markdown, Word, EPUB and plain text have in common once they are read. Knows
nothing of these formats; the pieces have no page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.extract.characters import clean
from tasks.extract.pieces import Parsed, Piece
from tasks.extract.sections import is_reference_list, names_contents, names_references
from tasks.extract.sentences import MAX_CHARS, detect_language, split
from tasks.records import SegmentKind

_WORD = re.compile(r"\S+")
_MAX_HEADING = 300  # characters; a longer one is a paragraph that was set in large type
_MAX_TITLE = 200

Role = Literal["heading", "text", "lines", "code", "contents"]


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph, lines that are not to be run together, a listing, or entries of
    contents.

    Attributes:
        text: of a heading or paragraph on one line; else its lines.
        level: of a heading, from 1.
    """

    text: str
    role: Role = "text"
    level: int = 0


@dataclass(frozen=True)
class _Placed:
    block: Block
    path: tuple[str, ...]


def to_parsed(blocks: Sequence[Block], title: str = "", language: str = "") -> Parsed:
    """Return what blocks come to.

    Args:
        title: the document's own; without one its first heading is its title.
        language: what the document says it is in; its text has the first word.
    """
    placed = list(_place(_cleaned(blocks)))
    found = detect_language("\n".join(each.block.text for each in placed))
    if found == "und" and language:
        found = language.replace("_", "-").partition("-")[0].lower()
    first = next((each.block.text for each in placed if each.block.role == "heading"), "")
    kinds = _kinds(placed)
    pieces = (
        Piece(text, kind, None, paragraph, each.path)
        for paragraph, (each, kind) in enumerate(zip(placed, kinds, strict=True), start=1)
        for text in _split(each.block, found)
    )
    return Parsed((title or first)[:_MAX_TITLE], found, (), tuple(pieces))


def _cleaned(blocks: Sequence[Block]) -> Iterator[Block]:
    # Where most of a document is set as listings, they are its text: a mail, a file from long ago.
    listed = sum(len(block.text) for block in blocks if block.role == "code")
    has_code = 2 * listed <= sum(len(block.text) for block in blocks)
    for block in blocks:
        role: Role = "lines" if block.role == "code" and not has_code else block.role
        rows = block.text.split("\n")
        lines = [line for line in map(_code_line if role == "code" else clean, rows) if line]
        one = role in ("heading", "text")
        text = (" " if one else "\n").join(lines)
        if role == "heading" and len(text) > _MAX_HEADING:
            yield Block(text)
        elif text:
            yield Block(text, role, block.level)


def _code_line(row: str) -> str:
    """Return a line of a listing with its spaces as they were; "" for an empty one."""
    return _WORD.sub(lambda match: clean(match.group()), row.expandtabs(4)).rstrip()


def _place(blocks: Iterator[Block]) -> Iterator[_Placed]:
    """Give each block the headings it stands under; a heading stands under itself."""
    open_: list[Block] = []
    for block in blocks:
        if block.role == "heading":
            while open_ and open_[-1].level >= block.level:
                open_.pop()
            open_.append(block)
        yield _Placed(block, tuple(each.text for each in open_))


def _kinds(placed: Sequence[_Placed]) -> list[SegmentKind]:
    """Tell headings, entries of contents and references from prose."""
    kinds: list[SegmentKind] = [_kind(each) for each in placed]
    under: dict[tuple[str, ...], list[int]] = {}
    for k, each in enumerate(placed):
        if kinds[k] == "sentence" and each.path and names_references(each.path[-1]):
            under.setdefault(each.path, []).append(k)
    for positions in under.values():
        if is_reference_list([placed[k].block.text for k in positions]):
            for k in positions:
                kinds[k] = "reference"
    return kinds


def _kind(placed: _Placed) -> SegmentKind:
    if placed.block.role in ("heading", "code"):
        return placed.block.role
    listed = placed.block.role == "contents" or (placed.path and names_contents(placed.path[-1]))
    return "contents" if listed else "sentence"


def _split(block: Block, language: str) -> Iterator[str]:
    if block.role == "heading":
        yield block.text
        return
    for line in block.text.split("\n"):
        if block.role == "text" or len(line) > MAX_CHARS:
            yield from (sentence for _, sentence in split(line, language))
        else:
            yield line
