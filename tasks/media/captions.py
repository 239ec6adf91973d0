"""Captions in any of their formats: cues without styling, and their words.

Knows nothing of where captions come from. pysubs2 reads the formats that are no blocks of text
under their times; see `tasks.media.timed_blocks` for those.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from html import unescape
from itertools import accumulate, pairwise
from typing import Literal

from tasks.errors import SourceError
from tasks.extract.characters import clean
from tasks.extract.decoding import decode, looks_like_text
from tasks.media.breaking import (
    ends_clause,
    gap,
    has_words,
    is_spaceless,
    pieces,
    width,
)
from tasks.media.rolling import rolls, without_repetitions
from tasks.media.timed_blocks import Block, blocks, has_blocks, is_vtt
from tasks.media.transcript import TimedCue, TimedWord
from tasks.media.turns import Turn, names_in, turns_of

log = logging.getLogger(__name__)

Rolling = Literal["auto", "always", "never"]

READABLE = "SubRip (.srt), WebVTT (.vtt), ASS, SSA or TTML"
MAX_BYTES = 32 << 20  # captions of a day have some 3 MB
_MAX_LINE = 4000  # characters; longer ones of ASS are drawings and fonts
_MAX_OPEN = 50
_HEAD = 10_000  # characters within which a format shows
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?[ \t]([^<>]+)>", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
# WebVTT has no others, and a time within a line; of SubRip "<div>" may be what is talked about.
_VTT_TAG = re.compile(r"</?[a-z][^<>]*>|</?>|<[\d:.]+>", re.IGNORECASE)
_SRT_TAG = re.compile(
    r"</?(?:i|b|u|s|em|strong|font|span|c|v|lang|ruby|rt)(?:[\s.][^<>]*)?>|<\d+:[\d:.]+>",
    re.IGNORECASE,
)
# "{\an8}": of ASS, and common in the others; but not "{\alpha}", which may be talked about.
_OVERRIDE = re.compile(
    r"\{\\(?:an?\d|[bipqsu]\d|(?:pos|move|fade?|clip)\(|fn|fs\d|\d?[ac]&|kf?\d)[^{}]*\}"
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,30});", re.IGNORECASE)
_UNPUNCTUATED = 0.1  # of the cues with punctuation at their end


@dataclass(frozen=True, slots=True)
class _Shown:
    """A cue as its file has it: Block for the times and lines, and who speaks."""

    block: Block
    speaker: str = ""


def read_captions(data: bytes, name: str, *, rolling: Rolling = "auto") -> tuple[TimedCue, ...]:
    """Return the cues of a subtitle file in the order of their starts, with their own times.

    What has no text (comments, drawings, blanks) is left out. A cue that ends before it starts
    ends with its start.

    Args:
        name: of the file, for errors.
        rolling: whether cues that repeat the lines before lose them; "auto": where most do.

    Raises:
        SourceError: there are no captions in it, or in a format that can't be read.
    """
    if len(data) > MAX_BYTES:
        raise SourceError(name, f"is larger than {MAX_BYTES >> 20} MB", "Captions are smaller")
    if not looks_like_text(data):
        raise _nothing(name)
    text = decode(data)
    found = _shown_by_blocks(text) if has_blocks(text) else _shown_by_pysubs2(text, name)
    shown = sorted(filter(_has_text, found), key=lambda item: item.block.start_ms)
    if len(shown) < len(found):
        log.info("%s: %d of %d cues have no text", name, len(found) - len(shown), len(found))
    if not shown:
        raise _nothing(name)
    return tuple(_numbered(_unrolled(shown, rolling)))


def words_of(cues: Sequence[TimedCue], language: str) -> tuple[TimedWord, ...]:
    """Return the words of captions: they share their cue's time by their lengths.

    The first word of a cue begins with it, the last one ends with it; or where the next cue begins,
    if both are shown for a while. Signs of speakers and their names are no words, nor is what a
    cue without letters holds (♪). Chinese and Japanese are cut into characters.
    """
    spaced = is_spaceless(language) and not _is_punctuated(cues)
    names = names_in(cue.text for cue in cues)
    words: list[TimedWord] = []
    speaker, turned = "", False
    for cue, following in pairwise([*cues, None]):
        assert cue is not None
        found: list[TimedWord] = []
        for turn in _turns(cue, names):
            if turn.head or turn.speaker:
                turned = turned or bool(turn.head) or turn.speaker != speaker
                speaker = turn.speaker
            said = _untimed(turn.text, cue.number, speaker, starts_turn=turned)
            turned = turned and not said
            found += said
        words += _timed(found, cue, following, words, spaced)
    return tuple(words)


def _turns(cue: TimedCue, names: Container[str]) -> Iterator[Turn]:
    """The turns of a cue; the first is by whom the file names, where its text names none."""
    spoken = has_words(cue.text)
    for i, turn in enumerate(turns_of(cue.text, names)):
        named = replace(turn, speaker=turn.speaker or ("" if i else cue.speaker))
        yield named if spoken else replace(named, text="")


def _untimed(text: str, cue: int, speaker: str, *, starts_turn: bool) -> list[TimedWord]:
    return [
        TimedWord(
            piece.text, 0, 0, piece.is_spaced, None, cue, speaker, starts_turn=starts_turn and not i
        )
        for i, piece in enumerate(pieces(text))
    ]


def _timed(
    found: Sequence[TimedWord],
    cue: TimedCue,
    following: TimedCue | None,
    before: Sequence[TimedWord],
    spaced: bool,
) -> list[TimedWord]:
    """Return the words of a cue with their times, the first one spaced as the text goes on."""
    if not found:
        return []
    end_ms = cue.end_ms
    if following and cue.start_ms < following.start_ms:
        end_ms = min(end_ms, following.start_ms)
    sizes = [max(1, width(word.text)) for word in found]
    total = sum(sizes)
    borders = [
        round(cue.start_ms + (end_ms - cue.start_ms) * size / total) / 1000
        for size in accumulate(sizes, initial=0)
    ]
    goes_on = not before or spaced or bool(gap(before[-1].text, found[0].text))
    timed = [
        replace(word, start_s=start, end_s=end)
        for word, (start, end) in zip(found, pairwise(borders), strict=True)
    ]
    return [replace(timed[0], is_spaced=goes_on), *timed[1:]]


def _is_punctuated(cues: Sequence[TimedCue]) -> bool:
    return sum(ends_clause(cue.text) for cue in cues) >= _UNPUNCTUATED * len(cues)


def _nothing(name: str) -> SourceError:
    return SourceError(name, "holds no cues that can be read", f"Name a file of {READABLE}")


def _has_text(shown: _Shown) -> bool:
    return bool(shown.block.lines)


def _unrolled(shown: list[_Shown], rolling: Rolling) -> list[_Shown]:
    """Return the cues without what they repeat; speakers have no part in captions that roll."""
    found = [item.block for item in shown]
    if rolling == "never" or (rolling == "auto" and not rolls(found)):
        return shown
    return [_Shown(block) for block in without_repetitions(found)]


def _numbered(shown: Sequence[_Shown]) -> Iterator[TimedCue]:
    speaker = ""
    names = names_in("\n".join(item.block.lines) for item in shown)
    for number, item in enumerate(shown, start=1):
        text = "\n".join(item.block.lines)
        first = turns_of(text, names)[0]
        named = first.speaker or item.speaker
        turned = bool(first.head) or (bool(named) and named != speaker)
        speaker = named or speaker
        yield TimedCue(number, item.block.start_ms, item.block.end_ms, text, named, turned)


def _shown_by_blocks(text: str) -> list[_Shown]:
    tag = _VTT_TAG if is_vtt(text) else _SRT_TAG
    return [_plain(block, tag) for block in blocks(text)]


def _plain(block: Block, tag: re.Pattern[str]) -> _Shown:
    """Return a cue without tags and entities, and the first voice it names."""
    text = "\n".join(block.lines)
    voice = _VOICE.search(text)
    text = _OVERRIDE.sub("", tag.sub("", _BREAK.sub("\n", text)))
    return _shown(block.start_ms, block.end_ms, _unescaped(text), voice[1] if voice else "")


def _shown(start_ms: int, end_ms: int, text: str, speaker: str = "") -> _Shown:
    start_ms = max(0, start_ms)
    lines = tuple(line for part in text.splitlines() if (line := clean(part)))
    return _Shown(Block(start_ms, max(start_ms, end_ms), lines), clean(_unescaped(speaker)))


def _unescaped(text: str) -> str:
    return _ENTITY.sub(lambda match: unescape(match[0]), text)


def _is_readable(line: str) -> bool:
    """Say whether pysubs2's patterns read a line in good time: not with many open brackets."""
    return len(line) <= _MAX_LINE and all(
        line.count(opening, line.rfind(closing) + 1) <= _MAX_OPEN
        for opening, closing in ("{}", "<>")
    )


def _shown_by_pysubs2(text: str, name: str) -> list[_Shown]:
    """Read what pysubs2 knows.

    Raises:
        SourceError: it does not know the format, or the file is damaged.
    """
    import xml.etree.ElementTree as ET

    import pysubs2
    from pysubs2.exceptions import FormatAutodetectionError, Pysubs2Error, UnknownFPSError
    from pysubs2.formats import autodetect_format

    text = text.lstrip("\ufeff \n")
    if not text.startswith("<"):  # TTML may be one line
        text = "\n".join(filter(_is_readable, text.splitlines()))
    if "<!DOCTYPE" in text[:_HEAD] or "<!ENTITY" in text[:_HEAD]:  # may grow without an end
        raise _nothing(name)
    try:
        with warnings.catch_warnings(action="ignore"):  # fields of styles
            file = pysubs2.SSAFile.from_string(text, autodetect_format(text[:_HEAD]))
    except FormatAutodetectionError as error:
        raise _nothing(name) from error
    except UnknownFPSError as error:
        problem = "counts in frames (MicroDVD), and does not say how many there are in a second"
        raise SourceError(name, problem, "Convert it to SubRip (.srt)") from error
    except (
        *(Pysubs2Error, ET.ParseError, ValueError, LookupError, TypeError),
        *(AttributeError, ArithmeticError, RuntimeError),  # what its readers have for damaged files
    ) as error:
        problem = f"is damaged, or has times that can't be read ({type(error).__name__})"
        raise SourceError(name, problem, "Convert it to SubRip (.srt)") from error
    # Comments and drawings are no text.
    return [
        _shown(event.start, event.end, event.plaintext if event.is_text else "", event.name)
        for event in file
    ]
