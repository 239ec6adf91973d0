"""SubRip, WebVTT and SBV: text in blocks, each under a line with two times.

Owns their syntax, without styling. pysubs2 has readers for the first two that lose text: a last
line of digits is taken for the next cue's number, a line with two times inside (as in YouTube's
automatic captions) for another cue; comments and identifiers get into the cue before. The format:
https://www.w3.org/TR/webvtt1/#file-structure; SubRip has none but habit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_TIME = r"(?:(\d{1,4}):)?(\d{1,3}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*(?:-{{1,2}}>|,)\s*{_TIME}(?=\s|$)")
_NUMBER = re.compile(r"\s*\d+\s*$")


@dataclass(frozen=True, slots=True)
class Block:
    """A cue as it is written.

    Attributes:
        lines: without the number or the identifier above the times; of SubRip without blank ones.
    """

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


def is_vtt(text: str) -> bool:
    return text.lstrip("\ufeff").startswith("WEBVTT")


def has_blocks(text: str) -> bool:
    """Say whether it has a line of two times."""
    return any(_TIMING.match(line) for line in text.splitlines())


def blocks(text: str) -> Iterator[Block]:
    """Yield the cues of a file in their order."""
    lines = text.replace("\r\r\n", "\n").splitlines()  # line ends that were converted twice
    found = [(i, match) for i, line in enumerate(lines) if (match := _TIMING.match(line))]
    body = _vtt_body if is_vtt(text) else _srt_body
    for (i, match), (following, _) in pairwise([*found, (len(lines), None)]):
        if match:
            times = match.groups()
            within = lines[i + 1 : following]
            is_last = following == len(lines)
            yield Block(_ms(times[:4]), _ms(times[4:]), tuple(body(within, is_last)))


def _vtt_body(lines: list[str], is_last: bool) -> list[str]:
    """A cue ends with an empty line; what follows is a comment, a style or an identifier."""
    return lines[: lines.index("")] if "" in lines else _srt_body(lines, is_last)


def _srt_body(lines: list[str], is_last: bool) -> list[str]:
    """A cue lasts until the number that stands right above the next one's times: blank lines
    within it are common."""
    if not is_last and lines and _NUMBER.match(lines[-1]):
        lines = lines[:-1]
    return [line for line in lines if line.strip()]


def _ms(groups: tuple[str | None, ...]) -> int:
    hours, minutes, seconds = (int(group or 0) for group in groups[:3])
    fraction = (groups[3] or "").ljust(3, "0")
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + int(fraction)
