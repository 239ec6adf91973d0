"""What is wrong with the answer to a request for a translation: line by line, and as a whole.

Joins the reading of answers with the checks of lines. Pure functions of a request and its answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from math import log
from statistics import median

from tasks.generate.figures import written
from tasks.generate.ladder import Judged
from tasks.generate.languages import is_in
from tasks.generate.line_checks import Pair, check_line, own_words, weight
from tasks.generate.numbered_answer import NumberedAnswer, read_numbered
from tasks.generate.occurring import occurring
from tasks.records import Generation, Line, Request

_ARROW = re.compile(r"\A(?:→|[-=]>)\s*")
_MORE_THAN_USUAL = 1.4
_SHIFT = 1.5  # how much better lengths and figures fit the next line, as a sum of logarithms
_FIGURE, _FLOOR = 1.0, 8.0  # what a figure of another line counts, and letters added to short ones


def judge(request: Request, row: Generation) -> Sequence[Judged]:
    """Return what an answer says of each line that its request shows."""
    return judge_text(request, row.text, truncated=row.finish_reason == "length")


def check_translation(request: Request, text: str, finish_reason: str) -> tuple[str, ...]:
    """Return the names of the checks that any line of an answer fails."""
    if not text.strip():
        return ("empty", *request.marks)
    truncated = finish_reason == "length"
    judged = judge_text(request, text, truncated=truncated)
    found = dict.fromkeys(check for each in judged for check in each.checks)
    return (*(("truncated",) if truncated else ()), *found, *request.marks)


@lru_cache(maxsize=256)  # an answer is judged when it comes, and again when it is put together
def judge_text(request: Request, text: str, *, truncated: bool) -> tuple[Judged, ...]:
    """Return what a text says of each line that a request shows, in their order.

    Args:
        truncated: it was cut off, so that its last line is not whole.
    """
    answer = read_numbered(text, len(request.lines), truncated=truncated)
    own = {n: _without_arrow(said, request.lines[n - 1].text) for n, said in answer.texts.items()}
    answer = replace(answer, texts=own)
    pair = Pair(request.source_language, request.language)
    # Many lines tell a language that one alone is too short for.
    shown = " ".join(line.text for line in request.lines)
    whole = own_words(" ".join(answer.texts.values()), shown)
    is_foreign = pair.differ and not is_in(whole, pair.target)
    places = {
        "repeated": answer.repeated,
        "misplaced": _misplaced(request.lines, answer),
        "merged": _merged(request, answer),
    }
    judged = []
    for number, line in enumerate(request.lines, start=1):
        checks = _checks(request, line, number, answer, places, pair)
        if is_foreign and "missing" not in checks:
            checks = tuple(dict.fromkeys((*checks, "wrong_language")))
        judged.append(Judged(answer.texts.get(number, ""), checks))
    return tuple(judged)


def _without_arrow(text: str, source: str) -> str:
    """Return a line without the arrow that stands before translations in our prompts."""
    return text if _ARROW.match(source) else _ARROW.sub("", text)


def _checks(
    request: Request,
    line: Line,
    number: int,
    answer: NumberedAnswer,
    places: Mapping[str, frozenset[int]],
    pair: Pair,
) -> tuple[str, ...]:
    if number not in answer.texts:
        return ("missing",)
    found = check_line(
        line.text,
        answer.texts[number],
        pair,
        messages=request.messages,
        glossary=occurring(request.glossary, line.text),
    )
    return (*(name for name, numbers in places.items() if number in numbers), *found)


def _misplaced(lines: Sequence[Line], answer: NumberedAnswer) -> frozenset[int]:
    """Return the numbers that stand out of order, or may well stand at another line's text.

    A number that no line has tells that some line was cut in two and the others moved on; where
    it happened can't be seen.
    """
    if answer.unknown:
        return frozenset(answer.texts)
    moved = (_moved(lines, answer.texts, by) for by in (1, -1))
    return answer.misplaced.union(*moved)


def _moved(lines: Sequence[Line], texts: Mapping[int, str], by: int) -> frozenset[int]:
    """Return the run of numbers, if there is one, whose texts fit the line after, or before, their
    own better: two lines were made one, or one was cut in two, and others moved. With them goes the
    number at either end, where it happened. By lengths, as Gale and Church align sentences (1993),
    and by figures."""
    if len(texts) < 2:
        return frozenset()
    usual = median(_said(texts[n], lines[n - 1].text) for n in texts)
    gain = best = 0.0
    first = 1
    run = range(0)
    for n in sorted(texts):
        if not 1 <= n + by <= len(lines):
            continue
        gain += _strangeness(texts[n], lines[n - 1].text, lines[n + by - 1].text, usual)
        if gain <= 0:
            gain, first = 0.0, n + 1
        elif gain > best:
            best, run = gain, range(first - 1, n + 2)
    return frozenset(run).intersection(texts) if best > _SHIFT else frozenset()


def _strangeness(text: str, own: str, other: str, usual: float) -> float:
    """Return how much better a text fits another line than its own; below 0 where it does not."""
    there, here, beyond = written(text), written(own), written(other)
    figures = len(there & (beyond - here)) - len(there & (here - beyond))
    lengths = abs(log(_said(text, own) / usual)) - abs(log(_said(text, other) / usual))
    return lengths + _FIGURE * figures


def _said(text: str, source: str) -> float:
    return (weight(text) + _FLOOR) / (weight(source) + _FLOOR)


def _merged(request: Request, answer: NumberedAnswer) -> frozenset[int]:
    """Return the numbers at which a missing neighbour's text may stand as well.

    At first all neighbours: they are asked for with the missing line, which takes no further call.
    Later those at which far more is said than elsewhere in the answer, or a figure of the other's.
    """
    lines, texts = request.lines, answer.texts
    said = {n: _said(text, lines[n - 1].text) for n, text in texts.items()}
    usual = median(said.values()) if len(said) > 2 else 1.0
    found = set()
    for missing in (n for n in range(1, len(lines) + 1) if n not in texts):
        for n in {missing - 1, missing + 1} & texts.keys():
            own = written(lines[n - 1].text)
            strange = (written(texts[n]) - own) & (written(lines[missing - 1].text) - own)
            if not request.level or strange or said[n] > _MORE_THAN_USUAL * usual:
                found.add(n)
    return frozenset(found)
