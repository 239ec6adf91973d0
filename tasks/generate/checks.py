"""What can be wrong with an answer as a whole, found without a model.

Owns the checks and which of them fail an attempt; what follows from a failure is decided in
`tasks.generate.ask`. Pure functions of a request and an answer's text.

| check | what it finds | consequence |
|---|---|---|
| empty | no text | asked again |
| no_bullets | text without any bullet | asked again |
| no_citations | no bullet cites a line that exists | asked again |
| truncated | the answer reached max_tokens | asked again |
| repetition | a bullet thrice, or wording far more repetitive than the source's | asked again |
| prompt_leak | a sentence of our instructions, or a fence tag | asked again, never shown |
| reasoning | thinking aloud | asked again |
| wrong_language | another language than the one asked for | asked again |
| unknown_citation | a number that stands at no line; it is dropped | marked |
| uncited_bullet | a bullet without a citation; marked in the summary | marked |
| unsupported | a figure or name that the cited lines lack; marked in the summary | marked |
| notes_cut | not all notes fitted the merge's prompt; found when planning | marked |
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from tasks.generate.languages import base, is_in
from tasks.generate.lines import Answer, read_answer
from tasks.generate.support import unsupported
from tasks.records import Message, Request

FAILING = frozenset(
    {
        "empty",
        "no_bullets",
        "no_citations",
        "truncated",
        "repetition",
        "prompt_leak",
        "reasoning",
        "wrong_language",
    }
)

# Nothing to show with its source, or something that must not be shown.
UNUSABLE = frozenset({"empty", "no_bullets", "no_citations", "prompt_leak"})

_THINKING = re.compile(
    r"</?think|\A\s*(?:okay|alright|hmm|wait|let me|let's see|(?:i|we) (?:need|should) |the user "
    r"|好的，我|首先，我|用户)",
    re.IGNORECASE,
)
_FENCE = re.compile(r"</?(?:source|notes|context|glossary|pairs)>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_LEAST_INSTRUCTION = 20  # letters; a Chinese one counts for two
_WINDOW, _LEAST_WINDOWS = 12, 150


def check(request: Request, text: str, finish_reason: str) -> tuple[str, ...]:
    """Return the names of the checks that an answer failed, and the marks of its request."""
    if not text.strip():
        return ("empty", *request.marks)
    answer = read_answer(text, request.lines, truncated=finish_reason == "length")
    shown = "\n".join(line.text for line in request.lines)
    found = {
        "no_bullets": not answer.statements,
        "no_citations": bool(answer.statements) and not _is_cited(answer),
        "truncated": finish_reason == "length",
        "repetition": is_repetitive(text, shown),
        "prompt_leak": leaks(text, request.messages, shown),
        "reasoning": is_thinking(text),
        "wrong_language": is_foreign(answer, shown, request.language, request.source_language),
        "unknown_citation": bool(answer.unknown),
        "uncited_bullet": any(not each.numbers for each in answer.statements),
        "unsupported": _is_unsupported(answer, request),
    }
    return (*(name for name, is_found in found.items() if is_found), *request.marks)


def _is_cited(answer: Answer) -> bool:
    return any(statement.numbers for statement in answer.statements)


def is_repetitive(text: str, shown: str) -> bool:
    """Tell whether an answer loops, which the source it may be copied from does not."""
    rows = Counter(row.strip() for row in text.splitlines() if row.strip())
    if any(count >= 3 for count in rows.values()):
        return True
    variety = _variety(text)
    return variety < 0.5 and variety < 0.7 * _variety(shown)


def _variety(text: str) -> float:
    """Return the share of a text's runs of 12 characters that are new."""
    letters = "".join(c for c in text if c.isalnum())
    n = len(letters) - _WINDOW + 1
    if n < _LEAST_WINDOWS:
        return 1.0
    return len({letters[i : i + _WINDOW] for i in range(n)}) / n


def leaks(text: str, messages: Sequence[Message], shown: str) -> bool:
    """Tell whether an answer repeats our instructions, which the source does not hold."""
    said, seen = _plain(text), _plain(shown)
    repeated = [
        *_FENCE.findall(said),
        *(each for each in _instructions(tuple(messages)) if each in said),
    ]
    return any(each not in seen for each in repeated)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


@lru_cache(maxsize=64)
def _instructions(messages: tuple[Message, ...]) -> list[str]:
    """Return the sentences of a prompt outside its fences that are long enough to tell.

    Of a translation each line is looked at, with the same prompt.
    """
    rows: list[str] = []
    fenced = ""
    for row in (row.strip() for m in messages for row in m.content.splitlines()):
        if fenced:
            fenced = "" if row == f"</{fenced}>" else fenced
        elif _FENCE.fullmatch(row) and not row.startswith("</"):
            fenced = row[1:-1]
        else:
            rows += (_plain(each).rstrip(".!?。！？") for each in _SENTENCE_END.split(row))
    return [row for row in rows if sum(2 if c > "\u2fff" else 1 for c in row) >= _LEAST_INSTRUCTION]


def is_thinking(text: str) -> bool:
    return _THINKING.search(text) is not None


def is_foreign(answer: Answer, shown: str, language: str, source_language: str) -> bool:
    """Tell whether an answer is in another language than the one asked for.

    Within one language, an answer may be as foreign as the lines it is about: a listing, a
    quotation.
    """
    text = " ".join(statement.text for statement in answer.statements)
    if not language or is_in(text, language):
        return False
    return base(language) != base(source_language) or is_in(shown, language)


def _is_unsupported(answer: Answer, request: Request) -> bool:
    for statement in answer.statements:
        cited = "\n".join(request.lines[number - 1].text for number in statement.numbers)
        if cited and unsupported(statement.text, cited, request.language):
            return True
    return False
