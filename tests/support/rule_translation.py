"""A translation by rule, and the ways in which a model gets one wrong.

The rule is reversible, so no two sentences have the same translation, and passes for the language:
Latin letters become ideographs, two at a time; ideographs become common English words, two each.
Figures, marks, addresses and code stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

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
_KEPT = re.compile(
    r"(?:https?|ftp)://\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|`[^`]+`|\{\w+\}|%\w|\[\d+\]|\d[\d.,:/%-]*"
)
_LETTERS = re.compile(r"[A-Za-zÀ-ɏ]{1,2}")
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
MISTAKES = (
    "drop", "merge", "duplicate", "reorder", "renumber", "truncate", "echo", "third", "loop",
    "think", "quote", "empty", "garbage", "bare",
)  # fmt: skip
assert _BASE**2 > 0x9FFF - 0x3400


def translate(text: str) -> str:
    """Return a text's translation: Chinese becomes English, all else Chinese."""
    parts, at = [], 0
    for match in _KEPT.finditer(text):
        parts += [_translate(text[at : match.start()]), match.group()]
        at = match.end()
    return " ".join("".join([*parts, _translate(text[at:])]).split())


def _translate(text: str) -> str:
    if _IDEOGRAPH.search(text):
        return _IDEOGRAPH.sub(lambda match: _english(ord(match.group()) - 0x3400), text)
    return _LETTERS.sub(lambda match: _chinese(match.group()), text)


def _english(n: int) -> str:
    first, second = divmod(n, _BASE)
    return f" {_WORDS[first]} {_WORDS[second]} "


def _chinese(letters: str) -> str:
    n = 0
    for letter in letters:
        n = n * 0x251 + ord(letter) + 1
    return chr(0x5000 + n % 0x4000)


def answer(lines: Sequence[str]) -> str:
    """Return the right answer to numbered lines."""
    return "\n".join(f"[{n}] {translate(line)}" for n, line in enumerate(lines, start=1))


def mistaken(mistake: str, prompt: str, lines: Sequence[str], dice: Random) -> tuple[str, str]:
    """Return an answer with a mistake, and the finish reason."""
    rows = answer(lines).splitlines()
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
