"""What of an answer that names chapters can stand.

Owns the form of a title and what is wrong with one. Pure: an answer and the lines that it is about.
Knows nothing of times.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from tasks.chunk.text import line_text
from tasks.generate.checks import leaks
from tasks.generate.languages import is_in
from tasks.generate.numbered_answer import read_numbered
from tasks.records import Generation, Request

CHAPTER_CHECKS = frozenset({"no_chapters"})

_MOST_LINES = 40  # shown for a chapter, on average: fewer chapters say nothing of where things are
_WIDEST = 60  # letters of a title; an ideograph counts for two
_COPIED_SHARE = 0.8  # of a line's letters
_REPEATS = 5  # of a title, for its language to be told

_EDGES = " \t*_#\"'“”‘’«»「」『』《》.。:：;；,，-–—"
_ORDINAL = re.compile(
    r"^(?:(?:chapter|part|topic)\s+\d+|第\s*[\d一二三四五六七八九十]+\s*[章节部分]+)\s*[:：.、-]?\s*",
    re.IGNORECASE,
)


def check_chapters(request: Request, text: str, finish_reason: str) -> tuple[str, ...]:
    """Return the names of the checks that an answer fails: one with no title that is fit is none.

    Some that are not fit are dropped; that is no failure.
    """
    if not text.strip():
        return ("empty",)
    shown = "\n".join(line.text for line in request.lines)
    if leaks(text, request.messages, shown):
        return ("prompt_leak",)
    titles, n_given = _read(request, text, truncated=finish_reason == "length")
    if not _is_enough(titles, n_given, request):
        return ("no_chapters",)
    return ("titles_dropped",) if len(titles) < n_given else ()


def fit_titles(request: Request, row: Generation) -> list[tuple[int, str]]:
    """Return the segments and titles of an answer; none where too little of it can stand."""
    titles, n_given = _read(request, row.text, truncated=row.finish_reason == "length")
    return titles if _is_enough(titles, n_given, request) else []


def _is_enough(titles: Sequence[object], n_given: int, request: Request) -> bool:
    """Tell chapters from an answer that has hit upon some titles: most of it is fit, and it names
    neither every other line nor hardly any."""
    n_lines = len(request.lines)
    least, most = max(1, n_lines // _MOST_LINES), max(3, n_lines // 2)
    return least <= len(titles) <= most and 2 * len(titles) >= n_given


def _read(request: Request, text: str, *, truncated: bool) -> tuple[list[tuple[int, str]], int]:
    """Return the segments and titles that are fit, rising, and how many lines were given."""
    answer = read_numbered(text, len(request.lines), truncated=truncated)
    unfit = answer.repeated | answer.misplaced
    titles: dict[int, str] = {}
    seen: set[str] = set()
    for number in sorted(answer.texts.keys() - unfit):
        title = _title(answer.texts[number])
        line = request.lines[number - 1]
        if _is_fit(title, line.text, request.language) and title.casefold() not in seen:
            titles.setdefault(line.n, title)
            seen.add(title.casefold())
    return list(titles.items()), len(answer.texts) + len(answer.repeated) + len(answer.unknown)


def _title(text: str) -> str:
    """Return a title without what stands around it: markup, quotes, its number."""
    bare = _ORDINAL.sub("", line_text(text).strip(_EDGES)).strip(_EDGES)
    return bare.removesuffix("…").strip()


def _is_fit(title: str, line: str, language: str) -> bool:
    if not any(c.isalpha() for c in title) or _width(title) > _WIDEST:
        return False
    said, shown = _letters(title), _letters(line)
    if shown.startswith(said) and len(said) >= _COPIED_SHARE * len(shown):
        return False
    is_name = " " not in title and title.isascii()
    return not language or is_name or is_in(" ".join([title] * _REPEATS), language)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())
