"""Headings: bookmarks matched to lines, or, where there are no bookmarks, larger type.

Pure functions over pages. Where a document has bookmarks they rule, for they are the author's
own; type sizes are a guess.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from tasks.extract.characters import is_cjk
from tasks.extract.pages import Bookmark, Line, Page

_LARGER = 1.12  # times the body's size
_MAX_CHARS = 140
_MAX_LINES = 3
_MAX_SHARE = 0.25  # of all lines; where more look like headings, none is
_SENTENCE_END = tuple(".,;:。，；：、…-\u00ad")
_NUMBER = re.compile(
    r"^(?:(?i:chapter|part|section|appendix|kapitel|teil|chapitre)\s+)?"
    r"(?:[A-Z]?\d*(?:\.\d+)+\.?|\d+[.)]?|[A-Z]\.|[IVXLC]+[.)]?"
    r"|第\s*[一二三四五六七八九十百\d]+\s*[章节節部篇])(?:[:：]|(?=\s))\s*"
)
_LEADERS = re.compile(r"(?:\.\s?){4,}")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading that begins at line `start` of its page and takes `length` lines.

    A length of 0 is a bookmark whose title is not printed where it points to.
    """

    text: str
    level: int
    page: int
    start: int
    length: int


def find_headings(pages: Sequence[Page], bookmarks: Sequence[Bookmark]) -> list[Heading]:
    """Return the headings in the order of the text."""
    found = _from_bookmarks(pages, bookmarks) if bookmarks else _from_type(pages)
    return sorted(found, key=lambda heading: (heading.page, heading.start))


def body_size(pages: Sequence[Page]) -> float:
    """Return the type size in which most characters are set."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            sizes[round(line.size, 1)] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def nested(headings: Sequence[Heading]) -> list[tuple[str, ...]]:
    """Return each heading's path: those it stands under, and itself last."""

    def step(path: tuple[tuple[int, str], ...], new: Heading) -> tuple[tuple[int, str], ...]:
        above = tuple(item for item in path if item[0] < new.level)
        return (*above, (new.level, new.text))

    start: tuple[tuple[int, str], ...] = ()
    paths = list(accumulate(headings, step, initial=start))[1:]
    return [tuple(text for _, text in path) for path in paths]


def _from_bookmarks(pages: Sequence[Page], bookmarks: Sequence[Bookmark]) -> list[Heading]:
    by_index = {page.index: page for page in pages}
    after: Counter[int] = Counter()  # page -> first line that later bookmarks may use
    keys: dict[int, list[tuple[str, str]]] = {}
    headings = []
    for bookmark in bookmarks:
        page = by_index.get(bookmark.page)
        if page is not None and page.lines:
            if page.index not in keys:
                keys[page.index] = [_keys(line.text) for line in page.lines]
            start, length = _match(page, bookmark, after[page.index], keys[page.index])
            after[page.index] = start + length
            headings.append(Heading(bookmark.title, bookmark.level, page.index, start, length))
    return headings


def _match(
    page: Page, bookmark: Bookmark, after: int, keys: Sequence[tuple[str, str]]
) -> tuple[int, int]:
    """Find the lines that print a bookmark's title, at best those nearest its target."""
    wanted = _keys(bookmark.title)
    matches = [
        (start, length)
        for start in range(after, len(page.lines))
        if (keys[start][1] in wanted[0] or wanted[1] in keys[start][0]) and keys[start][0]
        for length in range(1, min(_MAX_LINES, len(page.lines) - start) + 1)
        if _prints(page.lines[start : start + length], wanted)
    ]
    if matches:
        return min(matches, key=lambda match: (_distance(page, match[0], bookmark), match[1]))
    if bookmark.top is None:
        return after, 0
    top = page.height - bookmark.top
    below = (k for k in range(after, len(page.lines)) if page.lines[k].y1 > top + 1)
    return next(below, len(page.lines)), 0


def _distance(page: Page, start: int, bookmark: Bookmark) -> float:
    if bookmark.top is None:
        return -page.lines[start].size
    return abs(page.lines[start].y0 - (page.height - bookmark.top))


def _prints(lines: Sequence[Line], wanted: tuple[str, str]) -> bool:
    if sum(len(line.text) for line in lines) > 3 * len(wanted[0]) + 20:
        return False
    text = " ".join(line.text for line in lines)
    if _LEADERS.search(text):
        return False
    whole, bare = _keys(text)
    return bool(whole) and (whole == wanted[0] or bare == wanted[1])


def _keys(title: str) -> tuple[str, str]:
    """What a title is compared by: its letters and digits, with and without its number."""
    whole = "".join(filter(str.isalnum, title.casefold()))
    bare = "".join(filter(str.isalnum, _NUMBER.sub("", title, count=1).casefold()))
    return whole, bare or whole


@dataclass(frozen=True, slots=True)
class _Candidate:
    lines: tuple[Line, ...]
    start: int

    @property
    def style(self) -> tuple[float, bool]:
        first = self.lines[0]
        return round(first.size * 2) / 2, first.bold

    @property
    def text(self) -> str:
        text = " ".join(line.text for line in self.lines)
        return re.sub(r"(?<=[\u2e80-\u9fff]) (?=[\u2e80-\u9fff])", "", text)


def _from_type(pages: Sequence[Page]) -> list[Heading]:
    body = body_size(pages)
    letters = sum(len(line.text) for page in pages for line in page.lines)
    bold = sum(len(line.text) for page in pages for line in page.lines if line.bold)
    bold_counts = bold < 0.3 * letters
    found = [c for page in pages for c in _candidates(page, body, bold_counts) if _is_title(c)]
    found = [c for k, c in enumerate(found) if not (k and _is_byline(found[0], c))]
    n_lines = sum(len(page.lines) for page in pages)
    if not body or sum(len(c.lines) for c in found) > max(3.0, _MAX_SHARE * n_lines):
        return []
    ranks = {style: k for k, style in enumerate(sorted({c.style for c in found})[::-1], start=1)}
    return [Heading(c.text, ranks[c.style], c.lines[0].page, c.start, len(c.lines)) for c in found]


def _is_byline(title: _Candidate, candidate: _Candidate) -> bool:
    """Authors and dates below the title are larger than the body, too, but head nothing."""
    first, lines = title.lines[0], candidate.lines
    return (
        lines[0].page == first.page
        and candidate.start == title.start + len(title.lines)
        and not lines[0].bold
        and lines[0].size < first.size - 1
        and not _NUMBER.match(lines[0].text)
    )


def _candidates(page: Page, body: float, bold_counts: bool) -> Iterator[_Candidate]:
    """Group neighbouring lines that stand out from the body in the same way."""
    group: list[Line] = []
    for k, line in enumerate([*page.lines, None]):
        if group and (line is None or not _goes_on(group[-1], line)):
            yield _Candidate(tuple(group), k - len(group))
            group = []
        if line is None:
            break
        above = page.lines[k - 1] if k else None
        if group or _stands_out(line, above, body, bold_counts):
            group.append(line)


def _goes_on(last: Line, line: Line) -> bool:
    same = abs(last.size - line.size) < 0.3 and last.bold == line.bold and not line.mono
    return same and 0 < line.y0 - last.y0 < 2.2 * line.size and not _NUMBER.match(line.text)


def _stands_out(line: Line, above: Line | None, body: float, bold_counts: bool) -> bool:
    if line.mono or line.cells > 2:
        return False
    if line.size >= _LARGER * body:
        return True
    if not (bold_counts and line.bold and line.size >= 0.95 * body):
        return False
    apart = above is None or line.y0 < above.y0 or line.y0 - above.y1 > 0.4 * line.size
    return apart or bool(_NUMBER.match(line.text))


def _is_title(candidate: _Candidate) -> bool:
    text = candidate.text
    enough = sum(c.isalpha() for c in text) >= 3 or any(map(is_cjk, text))
    return (
        enough
        and len(candidate.lines) <= _MAX_LINES
        and len(text) <= _MAX_CHARS
        and not text.endswith(_SENTENCE_END)
        and not _LEADERS.search(text)
    )
