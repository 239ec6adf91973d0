"""The signs by which captions let another speak: ">>", a dash, a name in capitals.

Knows nothing of time. What has no such sign is one turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.media.breaking import gap

_SIGN = re.compile(r"\s*(>{2,3}|[-‐–—](?=\s)|-(?=[^\W\d_]))\s*")
_NAME = re.compile(r"\s*([^\W\d_][\w .,'’#&/()-]{0,39})\s*[:：](?=\s|$)\s*")
_MOST_WORDS = 4  # of a name
_LETTERS_OF_SPEAKERS = ("Q", "A")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says within a cue.

    Attributes:
        head: the sign and the name as they are written; "" where it goes on from before.
        text: what is said, on one line.
    """

    head: str
    speaker: str
    text: str


def turns_of(text: str) -> tuple[Turn, ...]:
    """Return the turns of a cue; those of an empty one are none."""
    return tuple(_turns(text))


def _turns(text: str) -> Iterator[Turn]:
    head = speaker = said = ""
    for line in text.splitlines():
        found = _head(line)
        if found:
            if head or said:
                yield Turn(head, speaker, said)
            (head, speaker), said = found[:2], found[2]
        else:
            line = " ".join(line.split())
            said += gap(said, line) + line
    if head or said:
        yield Turn(head, speaker, said)


def _head(line: str) -> tuple[str, str, str] | None:
    """Return sign and name, the name, and the rest of a line that begins a turn."""
    sign = _SIGN.match(line)
    start = sign.end() if sign else 0
    name = _NAME.match(line, start)
    if name and not _is_name(name[1].strip(), signed=bool(sign and sign[1] != "-")):
        name = None
    if not sign and not name:
        return None
    end = name.end() if name else start
    rest = " ".join(line[end:].split())
    return " ".join(line[:end].split()), name[1].strip() if name else "", rest


def _is_name(text: str, *, signed: bool) -> bool:
    words = text.split()
    if len(words) > _MOST_WORDS or (len(text) == 1 and text not in _LETTERS_OF_SPEAKERS):
        return False
    return text.isupper() or (signed and all(word[0].isupper() for word in words))
