"""The signs by which captions let another speak: ">>", a dash, a name in capitals.

Knows nothing of time. What has no such sign is one turn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from tasks.media.breaking import gap

_SIGN = re.compile(r"\s*(>{2,3}|[-‐–—](?=\s)|-(?=[^\W\d_]{2}))\s*")
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


def names_in(texts: Iterable[str]) -> frozenset[str]:
    """Return the names in capitals, without a sign, that come in several cues: a word before a
    colon that comes once ("STEP ONE:", "TCP:") is a part of what is said."""
    found = Counter(
        turn.speaker
        for text in texts
        for turn in dict.fromkeys(turns_of(text))
        if turn.speaker and not any(map(str.isdigit, turn.speaker))
    )
    return frozenset(name for name, times in found.items() if times > 1)


def turns_of(text: str, names: Container[str] | None = None) -> tuple[Turn, ...]:
    """Return the turns of a cue; those of an empty one are none.

    Args:
        names: that speakers have without a sign before them; None: any may be one.
    """
    return tuple(_turns(text, names))


def _turns(text: str, names: Container[str] | None) -> Iterator[Turn]:
    head = speaker = said = ""
    for line in text.splitlines():
        found = _head(line, names)
        if found:
            if head or said:
                yield Turn(head, speaker, said)
            (head, speaker), said = found[:2], found[2]
        else:
            line = " ".join(line.split())
            said += gap(said, line) + line
    if head or said:
        yield Turn(head, speaker, said)


def _head(line: str, names: Container[str] | None) -> tuple[str, str, str] | None:
    """Return sign and name, the name, and the rest of a line that begins a turn."""
    sign = _SIGN.match(line)
    start = sign.end() if sign else 0
    name = _NAME.match(line, start)
    if name and not _is_name(name[1].strip(), signed=bool(sign and sign[1] != "-")):
        name = None
    if name and not sign and names is not None and name[1].strip() not in names:
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
