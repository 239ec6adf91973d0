"""Captions inside a media file: which tracks are text, and their text as a file of its own.

Knows how containers hold text; what it says is the business of `tasks.media.captions`. Nothing is
decoded: a container's own packets have all that the file once had, and its times to the
millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream

_SRT = frozenset({"srt", "subrip", "text"})
_ASS = frozenset({"ass", "ssa"})
_TEXT = _SRT | _ASS | {"mov_text", "webvtt"}
_LONGEST_MS = 5000  # that a cue without an end is shown
_EVENTS = b"""
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@dataclass(frozen=True, slots=True)
class HeldCue:
    """A packet of captions.

    Attributes:
        data: as the container holds it.
    """

    start_ms: int
    end_ms: int
    data: bytes


def is_text(stream: Stream) -> bool:
    """Tell whether a track of captions is text; pictures and teletext are not."""
    return stream.codec_context is not None and stream.codec_context.name in _TEXT


def as_file(stream: SubtitleStream, cues: Sequence[HeldCue]) -> tuple[str, bytes]:
    """Return a track as a file of captions that pysubs2 reads, and a name for it."""
    codec, context = stream.codec_context.name, stream.codec_context
    shown = _ended(sorted(cues, key=lambda cue: (cue.start_ms, cue.end_ms)))
    if codec in _ASS:
        name, data = _ass(context.extradata or b"", shown)
    elif codec == "webvtt":
        name, data = "vtt", b"WEBVTT\n\n" + _blocks(shown, _plain, ".")
    else:
        text = _mov_text if codec == "mov_text" else _plain
        name, data = "srt", _blocks(shown, text, ",")
    return f"track-{stream.index}.{name}", data


def _ended(cues: Sequence[HeldCue]) -> list[HeldCue]:
    """Give an end to cues that have none: the next one's start."""
    ended = []
    for cue, following in pairwise([*cues, None]):
        if cue is None or cue.end_ms > cue.start_ms:
            ended += [cue] if cue else []
            continue
        end_ms = cue.start_ms + _LONGEST_MS
        if following and following.start_ms > cue.start_ms:
            end_ms = min(end_ms, following.start_ms)
        ended.append(replace(cue, end_ms=end_ms))
    return ended


def _blocks(cues: Sequence[HeldCue], text: Callable[[bytes], bytes], point: str) -> bytes:
    """Return cues in the form that SRT and WebVTT share but for the point in seconds."""
    from pysubs2.formats.subrip import SubripFormat

    blocks: list[bytes] = []
    for cue in cues:
        said = text(cue.data)
        if said.strip():
            times = map(SubripFormat.ms_to_timestamp, (cue.start_ms, cue.end_ms))
            line = " --> ".join(times).replace(",", point)
            blocks.append(f"{len(blocks) + 1}\n{line}\n".encode() + said + b"\n\n")
    return b"".join(blocks)


def _plain(data: bytes) -> bytes:
    """Return the lines of a cue that have something in them: an empty one would end it."""
    return b"\n".join(line for line in data.strip(b"\0").splitlines() if line.strip())


def _mov_text(data: bytes) -> bytes:
    """Return the text of a sample of timed text (3GPP TS 26.245): its length stands before it,
    and styles may follow."""
    text = data[2 : 2 + int.from_bytes(data[:2], "big")]
    if text[:2] in (b"\xfe\xff", b"\xff\xfe"):
        text = text.decode("utf-16", "replace").encode()
    return _plain(text)


def _ass(header: bytes, cues: Sequence[HeldCue]) -> tuple[str, bytes]:
    """Return a track as SubStation's file: Matroska puts each event's number before its fields,
    and its times into the packet."""
    from pysubs2.formats.substation import SubstationFormat

    header = header.strip(b"\0\r\n")
    lines = [header, b"" if b"[Events]" in header else _EVENTS, b"\n"]
    for cue in cues:
        fields = cue.data.strip(b"\0\r\n").split(b",", 2)
        if len(fields) == 3:
            times = map(SubstationFormat.ms_to_timestamp, (cue.start_ms, cue.end_ms))
            lines.append(
                b",".join([b"Dialogue: " + fields[1], ",".join(times).encode(), fields[2]])
            )
            lines.append(b"\n")
    return "ssa" if b"[V4 Styles]" in header else "ass", b"".join(lines)
