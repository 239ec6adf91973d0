"""What containers look like: the suffixes of media files, and the marks in their bytes.

Opens none: whoever reads a folder or a page's answer tells media from documents by it. Light to
import.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Literal

from tasks.errors import SourceError

AGAIN = "Download it again, or get a fresh copy"

MediaKind = Literal["video", "audio"]

_VIDEO = (
    ".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi", ".flv", ".wmv", ".mpg", ".mpeg", ".ts", ".mts",
    ".m2ts", ".3gp", ".ogv",
)  # fmt: skip
_AUDIO = (
    ".mp3", ".m4a", ".m4b", ".aac", ".flac", ".wav", ".ogg", ".oga", ".opus", ".wma", ".aif",
    ".aiff", ".amr", ".ac3", ".mka",
)  # fmt: skip
_PROGRAMS = frozenset({".ts", ".mts"})  # TypeScript has these suffixes too
MEDIA_SUFFIXES: Mapping[str, MediaKind] = MappingProxyType(
    {**dict.fromkeys(_VIDEO, "video"), **dict.fromkeys(_AUDIO, "audio")}
)
HEAD = 4096
"""The bytes of a file that tell what it is."""

# What a file begins with: at which byte, and what it is.
_MARKS: tuple[tuple[int, bytes, MediaKind], ...] = (
    (0, b"fLaC", "audio"),
    (0, b"#!AMR", "audio"),
    (0, b"caff\0", "audio"),
    (0, b"FLV\1", "video"),
    (0, b".RMF\0", "video"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video"),  # ASF
    (0, b"\0\0\1\xba", "video"),  # MPEG program stream
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01", "video"),  # MXF
)
_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"crx ")
_M4A = (b"M4A ", b"M4B ", b"M4P ")
# MPEG audio, ISO 11172-3 and 13818-3: kbit/s by (is MPEG-1, layer) and index from 1; Hz of MPEG-1.
_RATES = {
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = (44100, 48000, 32000)
_MOST_AC3 = 3840  # bytes of its longest frame
_FIRST_BOXES = (b"ftyp", b"mdat", b"wide", b"moov")
_MOST_BOXES = 10_000


def is_media(path: Path) -> bool:
    """Tell whether a file's name says that it is media; a .ts must begin like a video, too."""
    suffix = path.suffix.lower()
    if suffix not in _PROGRAMS:
        return suffix in MEDIA_SUFFIXES
    try:
        if not path.is_file():  # to open a pipe may block for ever
            return False
        with path.open("rb") as file:
            return media_kind(file.read(HEAD)) is not None
    except (OSError, ValueError):
        return False


def media_kind(head: bytes) -> MediaKind | None:
    """Say what a file is that begins so; None: no media.

    Of containers for both, a head tells "video": only the tracks tell for sure.

    Args:
        head: its first HEAD bytes, or fewer.
    """
    for position, mark, kind in _MARKS:
        if head.startswith(mark, position):
            return kind
    if head.startswith(b"ID3") and len(head) > 9 and 2 <= head[3] <= 4 and max(head[6:10]) < 128:
        return "audio"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video" if b"webm" in head[:80] or b"matroska" in head[:80] else None
    if head.startswith(b"OggS\0"):
        return "video" if b"theora" in head or b"OVP80" in head else "audio"
    return _of_chunks(head) or _of_boxes(head) or _of_frames(head)


def _of_chunks(head: bytes) -> MediaKind | None:
    mark, form = head[:4], head[8:12]
    if mark in (b"RIFF", b"RF64", b"BW64") and form == b"WAVE":
        return "audio"
    if mark == b"RIFF" and form == b"AVI ":
        return "video"
    return "audio" if mark == b"FORM" and form in (b"AIFF", b"AIFC") else None


def _of_boxes(head: bytes) -> MediaKind | None:
    """Tell MP4, QuickTime and their kin, which begin with a box: its size, then its name."""
    name, brand = head[4:8], head[8:12]
    if name == b"ftyp" and head[0] == 0 and len(brand) == 4 and brand not in _PICTURES:
        return "audio" if brand in _M4A else "video"
    return "video" if name in _FIRST_BOXES[1:] and 0 in head[:4] else None


def _of_frames(head: bytes) -> MediaKind | None:
    """Tell streams without a header: their marks are short, and must come again in their place."""
    for size, first in ((188, 0), (192, 4)):  # MPEG transport streams; of cameras and Blu-rays
        starts = range(first, min(len(head) - 3, 8 * size), size)
        if len(starts) >= 3 and all(_is_packet(head[at : at + 4]) for at in starts):
            return "video"
    if head.startswith(b"\x0b\x77"):
        return "audio" if 64 <= head.find(b"\x0b\x77", 64) <= _MOST_AC3 else None
    length = _frame_length(head[:6])
    again = head[length : length + 6]
    return "audio" if length and _frame_length(again) and again[:2] == head[:2] else None


def _is_packet(header: bytes) -> bool:
    """Tell the header of a transport stream's packet: no error, and with something in it."""
    return header[0] == 0x47 and not header[1] & 0x80 and bool(header[3] & 0x30)


def _frame_length(header: bytes) -> int:
    """Return the bytes of a frame of MPEG audio (MP2, MP3) or AAC in ADTS; 0: it is none."""
    if len(header) < 6 or header[0] != 0xFF:
        return 0
    if header[1] & 0xF6 == 0xF0:  # ADTS, ISO 13818-7
        length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        return length if length > 7 else 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    index, rate = header[2] >> 4, header[2] >> 2 & 3
    if header[1] & 0xE0 != 0xE0 or version == 1 or layer not in (2, 3):
        return 0
    if index in (0, 15) or rate == 3:
        return 0
    is_first = version == 3
    hertz = _SAMPLE_RATES[rate] >> (0 if is_first else 2 if version == 0 else 1)
    samples = 1152 if is_first or layer == 2 else 576
    return samples // 8 * _RATES[is_first, layer][index - 1] * 1000 // hertz + (header[2] >> 1 & 1)


def unopened(file: BinaryIO) -> SourceError:
    """Say why FFmpeg could open no container in a file."""
    file.seek(0)
    head = file.read(HEAD)
    if media_kind(head) is None:
        if _is_text(head):
            problem = "is no video or recording but a text: a server's page, if it was downloaded"
            return SourceError("", problem, AGAIN)
        problem = "is no video or recording, or damaged: its content is in no format known here"
        return SourceError("", problem, "Get a fresh copy")
    if lacks_index(file):
        return SourceError("", "is cut short: its index (moov) is missing or not whole", AGAIN)
    return SourceError("", "is damaged or cut short and can't be opened", AGAIN)


def _is_text(head: bytes) -> bool:
    try:
        text = head[:-4].decode() if len(head) == HEAD else head.decode()
    except UnicodeDecodeError:
        return False
    return "\0" not in text


def lacks_index(file: BinaryIO) -> bool:
    """Tell whether a file is an MP4 or the like without its whole box `moov` (ISO 14496-12), which
    most have at their end."""
    at, length = 0, file.seek(0, io.SEEK_END)
    for _ in range(_MOST_BOXES):
        file.seek(at)
        header = file.read(16)
        size, name = int.from_bytes(header[:4], "big"), header[4:8]
        if size == 1:  # a large one
            size = int.from_bytes(header[8:], "big")
        if name == b"moov":
            return at + size > length
        if at == 0 and name not in _FIRST_BOXES:
            return False
        if size < 8 or len(header) < 8:
            return True
        at += size
    return True
