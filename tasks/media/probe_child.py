"""The child process that opens one media file: `python -m tasks.media.probe_child`, a request on
stdin.

The only place where a container's bytes, of whoever made it, are taken apart for what they are.
It limits its own memory and time, decodes nothing, and ends when its parent does. Knows nothing of
captions' formats beyond how containers hold their text.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from tasks.errors import SourceError
from tasks.extract.child import MORE_MEMORY, REPORT, end_with_parent, hold_to
from tasks.media.caption_tracks import HeldCue, as_file, is_text
from tasks.media.containers import AGAIN, lacks_index, unopened
from tasks.media.sidecars import language_of

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream

# Those that hold what they hold themselves. Playlists and the like name other files and addresses,
# which a stranger's file has no business to have opened.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,asf_o,au,avi,caf,dsf,dts,dv,eac3,flac,flv,live_flv,loas,matroska,"
    "mov,mp3,mpc,mpc8,mpeg,mpegts,mxf,nsv,nut,ogg,rm,tak,truehd,tta,voc,w64,wav,wtv,wv,xwma"
)
_PROTECTED = frozenset({"enca", "encv", "drms", "drmi", "drmt", "aavd"})  # codecs' names in MP4
_MAX_CAPTIONS = 64 << 20  # bytes; a day of speech is 1 MB
_LIBRARIES_MB = 256  # of addresses, that FFmpeg's libraries take before any file
_CUE = 100  # bytes that a cue takes besides its text
_MICROSECONDS = 1_000_000  # FFmpeg's AV_TIME_BASE
_MOST_CHAPTERS, _MOST_LETTERS = 10_000, 500


@dataclass(frozen=True)
class ProbeRequest:
    """What the parent asks for: descriptors of the media file and the result."""

    document: int
    result: int
    memory_mb: int
    seconds: float


@dataclass
class _Read:
    """What the packets of a file have told.

    Attributes:
        cues: by the index of their track.
        end_s: of the sound; has_sound: there is any.
    """

    cues: dict[int, list[HeldCue]] = field(default_factory=dict)
    n_bytes: int = 0
    end_s: float = 0.0
    has_sound: bool = False
    is_protected: bool = False


def main() -> None:
    request = ProbeRequest(**json.loads(sys.stdin.readline()))
    threading.Thread(target=end_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hold_to((request.memory_mb + _LIBRARIES_MB) << 20, int(request.seconds) + 1)
    answer = _answer(request)
    code = 0
    try:
        with os.fdopen(request.result, "w", encoding="utf-8") as out:
            out.write(json.dumps(answer))
    except OSError as error:
        code = error.errno or 1  # the parent tells a full disk from other deaths by it
    os._exit(code)  # the watching thread would not end


def _answer(request: ProbeRequest) -> dict[str, Any]:
    try:
        with os.fdopen(request.document, "rb") as file:
            return _told(file)
    except SourceError as error:
        return {"problem": error.problem, "remedy": error.remedy}
    except MemoryError:
        return {"problem": "needs more memory than allowed to be opened", "remedy": MORE_MEMORY}
    except Exception as error:  # what no one foresaw ends this file, and tells itself
        problem = f"stops its reader by an unforeseen error ({type(error).__name__})"
        return {"problem": problem, "remedy": REPORT}


def _told(file: BinaryIO) -> dict[str, Any]:
    """Return the fields of tasks.media.probe.Probe, as JSON holds them."""
    import av

    try:
        container = av.open(
            file,
            "r",
            options={"format_whitelist": _CONTAINERS},
            metadata_errors="replace",
            buffer_size=1 << 18,
            io_open=_refuse,
        )
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise unopened(file) from error
    with container:
        told = _described(container)
    if not (told["has_audio"] or told["captions"]) and lacks_index(file):
        raise unopened(file)
    return told


def _refuse(url: str, *_: object) -> None:
    raise PermissionError("a media file names another one")


def _described(container: InputContainer) -> dict[str, Any]:
    from tasks.media.audio import track_of

    audio = track_of(container, "")
    texts = [each for each in container.streams.subtitles if is_text(each)]
    read = _read(container, audio, texts)
    if read.is_protected or _is_protected(container, audio):
        raise SourceError("", "is encrypted, or protected by DRM", "Get a copy without it")
    captions = [_captions(each, read.cues[each.index]) for each in texts if each.index in read.cues]
    if audio and not read.has_sound and not captions:
        problem = "has an audio track, but no sound in it: it is of zero length or cut short"
        raise SourceError("", problem, AGAIN)
    return {
        "kind": "video" if any(map(_is_film, container.streams)) else "audio",
        "duration_s": _duration_s(container, read),
        "title": _title(container, audio),
        "language": language_of(_tag(audio.metadata, "language")) if audio else "",
        "chapters": _chapters(container),
        "has_audio": read.has_sound,
        "captions": captions,
        "unread_captions": [_unread(each) for each in container.streams if _is_unread(each)],
    }


def _read(
    container: InputContainer, audio: AudioStream | None, texts: Sequence[SubtitleStream]
) -> _Read:
    """Read what is needed: all captions, and of the sound its beginning, if its length is known."""
    import av

    read, wanted = _Read(), [*([audio] if audio else []), *texts]
    _leave_out(container, [each.index for each in wanted])
    try:
        for packet in container.demux(wanted) if wanted else ():
            if packet.size and audio and packet.stream_index == audio.index:
                _hear(read, packet)
                if container.duration and not texts:
                    break
                if container.duration:
                    _leave_out(container, [each.index for each in texts])
            elif packet.size:
                _keep(read, packet)
    except MemoryError:
        raise
    except av.FFmpegError:
        pass  # it is damaged from here on: what came before counts
    return read


def _leave_out(container: InputContainer, wanted: Sequence[int]) -> None:
    """Let tracks be skipped, other than those."""
    from av.stream import Discard

    for each in container.streams:
        each.discard = Discard.default if each.index in wanted else Discard.all


def _hear(read: _Read, packet: Packet[Any]) -> None:
    read.has_sound = True
    read.is_protected |= packet.has_sidedata("encryption_info")
    if packet.pts is not None:
        end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
        read.end_s = max(read.end_s, end)


def _keep(read: _Read, packet: Packet[Any]) -> None:
    data = bytes(packet)
    read.n_bytes += len(data) + _CUE
    if read.n_bytes > _MAX_CAPTIONS:
        raise SourceError("", "holds more captions than anything said can have", "Get a fresh copy")
    if packet.pts is None or not data.strip(b"\0 \t\r\n"):  # MP4 fills the gaps with empty ones
        return
    tick_ms = packet.time_base * 1000
    start_ms, length_ms = round(packet.pts * tick_ms), round((packet.duration or 0) * tick_ms)
    cue = HeldCue(start_ms, start_ms + length_ms, data)
    read.cues.setdefault(packet.stream_index, []).append(cue)


def _captions(stream: SubtitleStream, cues: Sequence[HeldCue]) -> dict[str, Any]:
    from av.stream import Disposition

    name, data = as_file(stream, cues)
    return {
        "language": language_of(_tag(stream.metadata, "language")),
        "title": _one_line(_tag(stream.metadata, "title")),
        "is_forced": bool(stream.disposition & Disposition.forced),
        "data": base64.b64encode(data).decode(),
        "name": name,
    }


def _is_unread(stream: Stream) -> bool:
    return stream.type == "subtitle" and not is_text(stream)


def _unread(stream: Stream) -> str:
    """Name captions that are pictures, or in a form that is not read."""
    codec = stream.codec_context.name if stream.codec_context is not None else "unknown"
    language = language_of(_tag(stream.metadata, "language"))
    return f"{codec} ({language})" if language else codec


def _is_film(stream: Stream) -> bool:
    """Tell a moving picture from an album's cover."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    return stream.type == "video" and not stream.disposition & still


def _is_protected(container: InputContainer, audio: AudioStream | None) -> bool:
    if _tag(container.metadata, "ASF_Protection_Type"):
        return True
    if audio is None:
        return False
    return _codec_tag(audio) in _PROTECTED or bool(_tag(audio.metadata, "enc_key_id"))


def _codec_tag(audio: AudioStream) -> str:
    try:
        return audio.codec_context.codec_tag
    except UnicodeDecodeError:  # a number, as AVI and WAV have it
        return ""


def _duration_s(container: InputContainer, read: _Read) -> float | None:
    """Return what the container says, else where its sound ends; None: not known."""
    if container.duration and container.duration > 0:
        return container.duration / _MICROSECONDS
    return max(0.0, read.end_s - max(0, container.start_time or 0) / _MICROSECONDS) or None


def _title(container: InputContainer, audio: AudioStream | None) -> str:
    title = _tag(container.metadata, "title")
    if not title and audio and container.format.name == "ogg":  # has tags of its tracks alone
        title = _tag(audio.metadata, "title")
    return _one_line(title)


def _chapters(container: InputContainer) -> list[tuple[float, str]]:
    """Return when each chapter begins, in seconds, and its title."""
    found = [
        (max(0.0, float(each["start"] * each["time_base"])), _tag(each["metadata"], "title"))
        for each in container.chapters()[:_MOST_CHAPTERS]
        if each["time_base"]
    ]
    return [(start_s, _one_line(title)) for start_s, title in sorted(found)]


def _tag(metadata: Mapping[str, str], name: str) -> str:
    return next((value for key, value in metadata.items() if key.lower() == name.lower()), "")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MOST_LETTERS]


if __name__ == "__main__":
    main()
