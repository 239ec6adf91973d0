"""The numbered-line protocol: lines shown to the model, bullets read back.

Owns both directions of the form `[n] text`, and the habits that models have in it. Knows
nothing of pages, requests or checks. Numbers count from 1 within one call.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tasks.records import Line


@dataclass(frozen=True, slots=True)
class Statement:
    """A bullet of an answer, with the lines that it cites.

    Attributes:
        text: without marks of citation or markup, on one line.
        numbers: the lines' numbers in the order in which the model named them, each once.
    """

    text: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was understood.

    Attributes:
        unknown: numbers that were cited and stand at no line.
    """

    statements: tuple[Statement, ...]
    unknown: tuple[int, ...]


_NUMBER = r"(?:\d{1,5})"
_BETWEEN = r"(?:\s*(?:[,，、;；&和与]|and)\s*|\s*(?:[-–—~～]|to|至|到)\s*)"
_CITATION = re.compile(
    rf"[\[［【]\s*(?:lines?|nos?\.?|n|行|第)?\s*({_NUMBER}(?:{_BETWEEN}{_NUMBER})*)\s*行?\s*[\]］】]",
    re.IGNORECASE,
)
_BROKEN = re.compile(r"\s*[\[［【][\d\s,，、–-]*$")  # a citation that was never closed
_RANGE = re.compile(r"(\d+)\s*(?:[-–—~～]|to|至|到)\s*(\d+)|(\d+)", re.IGNORECASE)
_MARKER = re.compile(
    r"^\s*(?:[-*+–—•‣·●○▪■◦]\s+|[•‣●○▪■◦](?=\S)|[-–](?=[^\s\d-])|\d{1,3}[.)](?=\s|\*\*)\s*"
    r"|\d{1,3}[、．]\s*|[(（]\d{1,3}[)）]\s*)"
)
_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)|\A.*</think>", re.DOTALL)
_NOISE = re.compile(r"^\s*(?:`{3,}.*|</?\w+>|#{1,6}\s.*|[-*_=]{3,})\s*$")
_BOLD = re.compile(r"(?<!\w)\*\*(?=\S)(.+?)(?<=\S)\*\*(?!\w)")


def numbered(lines: Sequence[Line]) -> str:
    """Return lines as the prompt shows them; a blank line parts paragraphs."""
    shown: list[str] = []
    for number, line in enumerate(lines, start=1):
        if number > 1 and line.paragraph != lines[number - 2].paragraph:
            shown.append("")
        shown.append(f"[{number}] {line.text}")
    return "\n".join(shown)


def bulleted(statements: Iterable[Statement]) -> str:
    """Return statements in the form in which the model is asked for them."""
    return "\n".join(
        f"- {each.text} " + "".join(f"[{number}]" for number in each.numbers) for each in statements
    )


def read_answer(text: str, lines: Sequence[Line], *, truncated: bool = False) -> Answer:
    """Read the bullets of an answer.

    Preambles, headings and code fences are left out; so is a repeated bullet, and, where the
    answer was cut off, a last bullet that has not come to its citation.

    Args:
        lines: what the prompt showed, in its order.
    """
    texts = _bullets(without_thinking(text))
    if truncated and texts and not _ends_cited(texts[-1]):
        texts.pop()
    statements: dict[Statement, None] = {}
    unknown: dict[int, None] = {}
    for each in texts:
        statement = _statement(each, lines)
        known = tuple(n for n in statement.numbers if 1 <= n <= len(lines))
        unknown.update(dict.fromkeys(n for n in statement.numbers if n not in known))
        if statement.text and (known or not statement.text.endswith((":", "："))):
            statements[replace(statement, numbers=known)] = None
    cited = {statement.text for statement in statements if statement.numbers}
    kept = (each for each in statements if each.numbers or each.text not in cited)
    return Answer(tuple(kept), tuple(unknown))


def without_thinking(text: str) -> str:
    """Return an answer without the reasoning before it."""
    return _THINKING.sub("", text)


def _bullets(text: str) -> list[str]:
    """Return the text of each bullet: lines with a marker, or with a citation."""
    found: list[str] = []
    for row in text.splitlines():
        if not row.strip() or _NOISE.match(row):
            continue
        marked, cited = _MARKER.match(row), _CITATION.search(row)
        body = row[marked.end() if marked else 0 :].strip()
        only_citations = cited is not None and not _CITATION.sub("", body).strip(" .。")
        open_before = bool(found) and not _CITATION.search(found[-1])
        if marked is None and open_before and (cited is None or only_citations or row[0].isspace()):
            found[-1] = f"{found[-1]} {body}"
        elif marked or (cited and not only_citations):
            found.append(body)
    return found


def _ends_cited(text: str) -> bool:
    ends = [match.end() for match in _CITATION.finditer(text)]
    return bool(ends) and not text[ends[-1] :].strip(" .。*_")


def _statement(text: str, lines: Sequence[Line]) -> Statement:
    """Take the citations out of a bullet's text."""
    marks = list(_CITATION.finditer(text))
    numbers: dict[int, None] = {}
    body, end = "", 0
    for mark in marks:
        if mark is not marks[-1] and _is_quoted(mark.group(), marks[-1], lines):
            continue  # a mark of the document's own, such as a reference in a paper
        numbers.update(dict.fromkeys(_numbers(mark[1])))
        body, end = body + text[end : mark.start()].rstrip(), mark.end()
    return Statement(_tidy(body + text[end:]), tuple(numbers))


def _is_quoted(literal: str, cited: re.Match[str], lines: Sequence[Line]) -> bool:
    return any(literal in lines[n - 1].text for n in _numbers(cited[1]) if 1 <= n <= len(lines))


def _numbers(text: str) -> Iterator[int]:
    """Yield the numbers of a citation: of "3, 5-7" 3, 5, 6, 7."""
    for match in _RANGE.finditer(unicodedata.normalize("NFKC", text)):
        if match[3]:
            yield int(match[3])
        elif 0 <= int(match[2]) - int(match[1]) < 100:
            yield from range(int(match[1]), int(match[2]) + 1)
        else:
            yield from (int(match[1]), int(match[2]))


def _tidy(text: str) -> str:
    return " ".join(_BOLD.sub(r"\1", _BROKEN.sub("", text)).split())
