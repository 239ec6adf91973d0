"""Plain text to blocks: paragraphs out of lines, and chapters by what their headings look like.

A text is either broken into lines of about one width, as Project Gutenberg's are, or has a
paragraph a line. Which of both is told by how full its lines are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from tasks.extract.characters import clean
from tasks.extract.joining import Vocabulary, finish, join
from tasks.extract.pieces import Parsed
from tasks.extract.unpaged import Block, to_parsed

_NUMBER = r"[0-9０-９零〇○一二三四五六七八九十百千万两兩壹贰叁肆伍陆柒捌玖拾廿卅]{1,9}"
_ROMAN_OR_WORD = (
    r"(?:\d{1,4}|[IVXLC]{1,8}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|(?:twen|thir|for|fif)ty"
    r"(?:-\w+)?|the\s+(?:first|second|third|fourth|fifth|last))"
)
# By level: volumes, chapters, sections.
_HEADINGS = (
    re.compile(rf"(?:第\s*{_NUMBER}\s*[卷部集篇编編]|[卷篇]\s*{_NUMBER}(?=\s|$|[：:·、]))"),
    re.compile(
        rf"(?:第\s*{_NUMBER}\s*[章回话話折幕讲講]"
        r"|(?:序[章言幕]?|楔子|引[子言]|前言|自序|后记|後記|尾声|尾聲|番外|附录|附錄|跋)(?=\s|$|[：:·\d一二三四五六七八九十]))"
    ),
    re.compile(rf"第\s*{_NUMBER}\s*[节節]"),
    re.compile(rf"(?:part|book|volume)\s+{_ROMAN_OR_WORD}(?=\s*$|\s*[.:—–-])", re.IGNORECASE),
    re.compile(
        rf"(?:(?:chapter|canto|kapitel|chapitre|capítulo)\s+{_ROMAN_OR_WORD}(?=\s*$|\s*[.:—–-]|\s+[A-Z])"
        r"|(?:prologue|epilogue|preface|foreword|introduction|afterword|appendix)\s*\.?\s*$)",
        re.IGNORECASE,
    ),
)
_LEVELS = (1, 2, 3, 1, 2)
# Lines between blank ones alone: "1.2 Title", "IV", "THE END". Below chapters, whose titles
# may stand so; never entries of a table of contents, as a title page has such lines too.
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){1,3})\.?\s+[^\W\d_]")
_NUMBERED_FIRST = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+[^\W\d_a-z]")  # where others nest
_ROMAN = re.compile(r"[IVXLC]{1,8}\.?$")
_CHAPTER_LEVEL, _CAPITALS_LEVEL = 2, 6
_MIN_CAPITALS = 4
_SHOUTED = 0.3  # of the text, beyond which capitals mean nothing
_MAX_HEADING = 60  # columns
_ENDS_PROSE = tuple("。，；,;…”")
_ENDS = tuple('.!?。！？…”"」』:：')
_UNDERLINE = re.compile(r"(={3,}|-{3,}|~{3,}|\*{3,})\s*")
_ITEM = re.compile(r"\s*(?:[-*•·‣◦]|\(?\d{1,3}[.)]|[（(][一二三四五六七八九十\d]+[）)])\s")
_FIRST_WORD = re.compile(r"\S+")
_BREAKS = re.compile(r"\r\n?|[\n\x0b\x0c\x85\u2028\u2029]")
_TITLE = re.compile(
    r"^\ufeff?Title:[ \t]+(\S.{1,150})$", re.MULTILINE
)  # as Project Gutenberg has it
_MIN_WIDTH, _MAX_WIDTH = 30, 130  # columns of a text that is broken into lines
_FEW = 4  # lines, below which nothing can be said
_RUN = 3  # headings in a row, without text between: the table of contents


def parse_text(text: str) -> Parsed:
    """Read a plain text. Its first heading is a chapter's, so its title is what it says or none."""
    title = _TITLE.search(text[:5000])
    parsed = to_parsed(list(read_blocks(text)))
    return replace(parsed, title=clean(title[1]) if title else "")


def read_blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a text: each line that is not blank is in exactly one."""
    lines = _BREAKS.split(text.removeprefix("\ufeff").expandtabs(4))
    blocks = _headed(_paragraphs(lines))
    for may_list, run in groupby(blocks, key=_may_be_listed):
        found = list(run)
        n_entries = _entries(found) if may_list else 0
        if n_entries:
            yield Block("\n".join(block.text for block in found[:n_entries]), "contents")
        yield from found[n_entries:]


def _entries(headings: Sequence[Block]) -> int:
    """Return how many of the headings in a row are a table of contents, and not chapters' own.

    The chapter that begins after the table is named for the second time.
    """
    if all(a.level < b.level for a, b in pairwise(headings)) or len(headings) < _RUN:
        return 0
    texts = [heading.text.casefold() for heading in headings]
    end = len(texts)
    while any(_is_named(texts[end - 1], entry) for entry in texts[: end - 1]):
        end -= 1
    return end


def _is_named(heading: str, entry: str) -> bool:
    """Say whether an entry of contents names a heading, which may stand without its title."""
    return entry == heading or re.match(rf"{re.escape(heading)}[\s.:—–-]", entry) is not None


def _may_be_listed(block: Block) -> bool:
    return block.role == "heading" and block.level < _CAPITALS_LEVEL


def _headed(paragraphs: Iterator[tuple[list[str], bool]]) -> Iterator[Block]:
    """Tell headings from paragraphs, and join the lines of the latter."""
    kept = list(paragraphs)
    vocabulary = Vocabulary.of(line.strip() for lines, _ in kept for line in lines)
    alone_patterns = _patterns_alone(kept)
    for lines, alone in kept:
        if len(lines) == 2 and _UNDERLINE.fullmatch(lines[1].strip()):
            yield Block(clean(lines[0]), "heading", 1 if lines[1].strip()[0] == "=" else 2)
            continue
        text = ""
        for line in map(clean, lines):
            text = join(text, line, vocabulary)
        text = finish(text)
        level = _level(text) if len(lines) <= 2 else 0
        if alone and not level and len(lines) == 1:
            level = _level_alone(text, *alone_patterns)
        yield Block(text, "heading" if level else "text", level)


def _level(text: str) -> int:
    """Return the level of the heading that a short paragraph is, 0 if it is none."""
    if _columns(text) > _MAX_HEADING or text.endswith(_ENDS_PROSE):
        return 0
    for pattern, level in zip(_HEADINGS, _LEVELS, strict=True):
        if pattern.match(text):
            return level
    return 0


def _patterns_alone(paragraphs: Sequence[tuple[list[str], bool]]) -> tuple[re.Pattern[str], bool]:
    """Return what numbers of headings look like in this text, and whether capitals mark some."""
    whole = [("".join(lines), alone) for lines, alone in paragraphs]
    nested = any(alone and _NUMBERED.match(text) for text, alone in whole)
    capital = sum(len(text) for text, _ in whole if _is_capital(text))
    shouts = capital > _SHOUTED * sum(len(text) for text, _ in whole)
    return _NUMBERED_FIRST if nested else _NUMBERED, not shouts


def _level_alone(text: str, numbered: re.Pattern[str], capitals: bool) -> int:
    """Return the level of the heading that a line between blank ones is, 0 if it is none."""
    if _columns(text) > _MAX_HEADING or text.endswith((*_ENDS_PROSE, *_ENDS)):
        return _CAPITALS_LEVEL if _ROMAN.match(text) else 0
    if found := numbered.match(text):
        return _CHAPTER_LEVEL + found[1].count(".")
    marked = _ROMAN.match(text) or (capitals and _is_capital(text))
    return _CAPITALS_LEVEL if marked else 0


def _is_capital(text: str) -> bool:
    """Say whether a line is set in capitals, and is words."""
    capitals = sum(map(str.isupper, text))
    return text.isupper() and capitals >= _MIN_CAPITALS and capitals >= 0.6 * len(text)


def _paragraphs(lines: Sequence[str]) -> Iterator[tuple[list[str], bool]]:
    """Yield the lines of each paragraph, and whether it stands between blank ones."""
    width = _width(lines)
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        if blank:
            continue
        paragraph: list[str] = []
        alone = True
        for line in group:
            if paragraph and not _goes_on(paragraph[-1], line, width):
                alone = False
                yield paragraph, alone
                paragraph = []
            paragraph.append(line)
        yield paragraph, alone


def _goes_on(above: str, line: str, width: int) -> bool:
    """Say whether a paragraph goes on from one line to the next."""
    if _UNDERLINE.fullmatch(line.strip()):
        return not _UNDERLINE.fullmatch(above.strip())
    if not width or _ITEM.match(line) or _level(clean(above)):
        return False
    if _indent(line) > _indent(above) and not _ITEM.match(above):
        return False
    return _is_full(above, line, width)


def _is_full(above: str, line: str, width: int) -> bool:
    """Say whether the next line's first word had no more room on this one."""
    word = _FIRST_WORD.search(line)
    first = word[0] if word else ""
    if first and unicodedata.east_asian_width(first[0]) in "WF":
        first = first[:2]  # a mark may not begin a line, so it may have taken one along
    return _columns(above.rstrip()) + 1 + _columns(first) >= width - 1


def _width(lines: Sequence[str]) -> int:
    """Return the columns that a text is broken at; 0 where a line is a paragraph."""
    pairs = [(a, b) for a, b in pairwise(lines) if a.strip() and b.strip()]
    if len(pairs) < _FEW:
        return 0
    columns = sorted(_columns(above.rstrip()) for above, _ in pairs)
    width = columns[min(len(columns) - 1, len(columns) * 95 // 100)]
    if not _MIN_WIDTH <= width <= _MAX_WIDTH:
        return 0
    full = sum(_is_full(a, b, width - 4) for a, b in pairs)
    ended = sum(above.rstrip().endswith(_ENDS) for above, _ in pairs)
    return width - 4 if full >= 0.5 * len(pairs) and ended < 0.5 * len(pairs) else 0


def _indent(line: str) -> int:
    return _columns(line) - _columns(line.lstrip())


def _columns(text: str) -> int:
    """Return how wide text is printed: a Chinese character takes two columns."""
    if text.isascii():
        return len(text)
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
