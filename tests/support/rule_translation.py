"""A translation by rule, and the ways in which a model gets one wrong.

The rule is reversible, so no two sentences have the same translation, and passes for the language:
Latin letters become ideographs, two at a time; ideographs become common English words, two each.
Figures, marks, addresses and code stay. What a glossary has is rendered as it has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random

Glossary = Sequence[tuple[str, str]]
"""Terms and their renderings."""

_TEXT = """
the and of to in is it you that he was for on are with as his they be at one have this from or had
by hot but some what there we can out other were all your when up use word how said an each she
which do their time if will way about many then them would write like so these her long make thing
see him two has look more day could go come did my sound no most number who over know water than
call first people may down side been now find any new work part take get place made live where
after back little only round man year came show every good me give our under name very through
just form much great think say help low line before turn cause same mean differ move right boy old
too does tell sentence set three want air well also play small end put home read hand picture again
change off point spell animal house page letter mother answer
"""
_WORDS = _TEXT.split()
_BASE = len(_WORDS)
_ADDRESS = re.compile(
    r"(?:https?|ftp)://[^\s\u3000-\u9fff\uff00-\uffef]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|`[^`]+`|\{\w+\}|%\w|\[\d+\]"
)
_FIGURE = re.compile(r"\d[\d.,:/%-]*")
_LETTERS = re.compile(r"[A-Za-zÀ-ɏ]{1,2}")
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
MISTAKES = (
    "drop", "merge", "duplicate", "reorder", "renumber", "truncate", "echo", "third", "loop",
    "think", "quote", "empty", "garbage", "bare",
)  # fmt: skip
assert _BASE**2 > 0x9FFF - 0x3400


def translate(text: str, glossary: Glossary = ()) -> str:
    """Return a text's translation: Chinese becomes English, all else Chinese."""
    longest_first = sorted(glossary, key=lambda each: -len(each[0]))
    change = _to_english if _IDEOGRAPH.search(text) else _to_chinese
    parts = _around(_ADDRESS, text, lambda part: _with_terms(part, longest_first, change))
    return " ".join("".join(parts).split())


def _with_terms(text: str, glossary: Glossary, change: Callable[[str], str]) -> str:
    for position, (term, rendering) in enumerate(glossary):
        inside = rf"(?<![A-Za-z]){re.escape(term)}[a-z]{{0,2}}(?![A-Za-z])"
        parts = re.split(inside, text, flags=re.IGNORECASE)
        if len(parts) > 1:
            others = glossary[position + 1 :]
            return f" {rendering} ".join(_with_terms(part, others, change) for part in parts)
    return "".join(_around(_FIGURE, text, change))


def _around(kept: re.Pattern[str], text: str, change: Callable[[str], str]) -> Iterator[str]:
    """Yield a text in pieces: those that match as they are, the others changed."""
    at = 0
    for match in kept.finditer(text):
        yield change(text[at : match.start()])
        yield match.group()
        at = match.end()
    yield change(text[at:])


def _to_english(text: str) -> str:
    return _IDEOGRAPH.sub(lambda match: _english(ord(match.group()) - 0x3400), text)


def _to_chinese(text: str) -> str:
    return _LETTERS.sub(lambda match: _chinese(match.group()), text)


def _english(n: int) -> str:
    first, second = divmod(n, _BASE)
    return f" {_WORDS[first]} {_WORDS[second]} "


def _chinese(letters: str) -> str:
    n = 0
    for letter in letters:
        n = n * 0x251 + ord(letter) + 1
    return chr(0x5000 + n % 0x4000)


def answer(lines: Sequence[str], glossary: Glossary = ()) -> str:
    """Return the right answer to numbered lines."""
    texts = (translate(line, glossary) for line in lines)
    return "\n".join(f"[{n}] {text}" for n, text in enumerate(texts, start=1))


def mistaken(
    mistake: str, prompt: str, lines: Sequence[str], dice: Random, glossary: Glossary = ()
) -> tuple[str, str]:
    """Return an answer with a mistake, and the finish reason."""
    rows = answer(lines, glossary).splitlines()
    at = dice.randrange(len(rows))
    match mistake:
        case "drop":
            del rows[at]
        case "merge":
            rows[at : at + 2] = [" ".join(row.partition("] ")[2] for row in rows[at : at + 2])]
            rows[at] = f"[{at + 1}] {rows[at]}"
        case "duplicate":
            rows.insert(at, rows[at] + " 又")
        case "reorder":
            dice.shuffle(rows)
        case "renumber":
            rows = [f"[{n + 3}] {row.partition('] ')[2]}" for n, row in enumerate(rows)]
        case "truncate":
            whole = "\n".join(rows)
            return whole[: dice.randrange(len(whole))], "length"
        case "echo":
            rows = [f"[{n}] {line}" for n, line in enumerate(lines, start=1)]
        case "third":
            rows = [
                f"[{n}] これはまったく別の言語で書かれた文章です。" for n in range(1, len(rows) + 1)
            ]
        case "loop":
            return "\n".join([rows[0]] + [f"[1] {'再三再四' * 60}"] * 20), "length"
        case "think":
            return "<think>Okay, the user wants a translation of\n" + "\n".join(rows[:1]), "length"
        case "quote":
            rows = prompt.splitlines()[:6] + rows
        case "empty":
            return "", "stop"
        case "garbage":
            rows = ["%$ nothing that anyone asked for"]
        case "bare":
            rows = [row.partition("] ")[2] for row in rows]
    return "\n".join(rows), "stop"
