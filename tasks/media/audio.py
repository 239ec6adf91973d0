"""A media file's sound as one stream of samples whose positions are times of what is played.

Owns decoding by PyAV, what is lost where a file is damaged or cut short, and the silence that
stands where a file has none: before its sound begins, and in gaps of it. Never holds more than
seconds of it. Knows nothing of speech. Runs in a child process: files are strangers'.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import av
import av.error

from tasks.errors import SourceError
from tasks.media.speech_request import RATE
from tasks.naming import clock

if TYPE_CHECKING:
    from av.container import InputContainer

    from tasks.media.pieces import Samples

_JUMP_S = 0.05  # below it, it is the rounding of a container's times
_OVERLAP_S = 1.0  # a longer step back is a new beginning, not the same sound twice
_LONGEST_GAP_S = 600.0  # where the file does not say how long it is
_GROUP = 1 << 17  # samples resampled at once, which makes it faster
_SILENCE_S = 10.0  # written at once
_MOST_FAILURES = 1000  # in a row: the rest is beyond hope
_ENDS_EARLY_S, _ENDS_EARLY_SHARE = 2.0, 0.01
# Formats whose header says how long they are; of others it is guessed from the size.
_TOLD = ("mov", "matroska", "wav", "flac", "asf", "avi", "flv")
_MP3_TAGS, _MP3_HEAD = (
    (b"Xing", b"Info", b"VBRI"),
    1 << 18,
)  # which say it in an MP3; where they are
_RIFF = 8  # bytes before those that a RIFF file says it has


class Audio:
    """A media file's sound track, open for one reading.

    Attributes:
        total_s: how long it is, as it says itself; 0 where it does not.
        seen_s: how long it is, picture included, as far as it was read.

    Raises:
        SourceError: it is no media file, or has no sound.
    """

    def __init__(self, path: Path, uri: str) -> None:
        self._uri = uri
        self._file = _opened(path, uri)
        try:
            # By a descriptor and without protocols: a playlist must not lead to other files.
            self._container = av.open(
                self._file,
                mode="r",
                metadata_errors="ignore",
                buffer_size=1 << 18,
                options={"protocol_whitelist": "none"},
            )
            self._stream = self._track()
        except (av.error.FFmpegError, OSError) as error:
            self._file.close()
            problem = f"can't be read as a video or recording ({error.strerror})"
            raise SourceError(uri, problem, "Get a fresh copy of it") from error
        except SourceError:
            self._file.close()
            raise
        named = self._container.format.name
        start_s = (self._container.start_time or 0) / av.time_base
        # An MP4's times are those of its player; others count from wherever their clock was.
        self._origin_s = 0.0 if named.startswith("mov") else start_s
        self.total_s = self._said_s(start_s)
        self._is_told = named.startswith(_TOLD) or (named == "mp3" and _says_length(self._file))
        self.seen_s = 0.0
        self._damaged = 0

    def _said_s(self, start_s: float) -> float:
        duration = self._container.duration
        return max(0.0, start_s + duration / av.time_base - self._origin_s) if duration else 0.0

    def _track(self) -> av.AudioStream:
        track = track_of(self._container, self._uri)
        if track is None:
            raise SourceError(self._uri, "has no sound track", "Give one that has sound")
        return track

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()
        self._file.close()

    def blocks(self) -> Iterator[Samples]:
        """Yield the sound from its start, mono at RATE: a sample's position is its time."""
        timeline = _Timeline(self._origin_s, self.total_s)
        resampled = _Resampled()
        for frame in self._frames():
            for placed in timeline.place(frame):
                yield from resampled.add(placed)
        yield from resampled.rest()

    def lost(self) -> tuple[str, ...]:
        """Say, once all is read, what of it could not be."""
        told = []
        if self._damaged:
            places = "place" if self._damaged == 1 else "places"
            told.append(f"its sound is damaged in {self._damaged} {places}")
        missing_s = self.total_s - self.seen_s
        if n_missing := _missing_bytes(self._file):
            told.append(f"{n_missing >> 10:,} KB are missing at its end")
        elif self._is_told and missing_s > max(_ENDS_EARLY_S, self.total_s * _ENDS_EARLY_SHARE):
            told.append(f"it ends at {clock(self.seen_s)} of {clock(self.total_s)}")
        return tuple(told)

    def _frames(self) -> Iterator[av.AudioFrame]:
        was_bad = False
        for packet in self._packets():
            if packet.stream is not self._stream:
                continue
            try:
                yield from packet.decode()  # type: ignore[misc]  # an audio stream's are
                was_bad = False
            except av.error.FFmpegError:
                self._damaged += not was_bad
                was_bad = True
        with suppress(av.error.FFmpegError):
            yield from self._stream.decode(None)

    def _packets(self) -> Iterator[av.Packet[Any]]:
        """Yield the packets of all streams: the picture's say where the file ends."""
        failures = 0
        while failures < _MOST_FAILURES:
            try:
                for packet in self._container.demux():
                    if packet.size == 0:
                        continue
                    failures = 0
                    self._see(packet)
                    yield packet
            except av.error.FFmpegError:  # what comes after it may be whole
                self._damaged += failures == 0
                failures += 1
            else:
                return

    def _see(self, packet: av.Packet[Any]) -> None:
        if packet.pts is not None and packet.time_base is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            # Further on is only what a clock says that has gone round, as in MPEG-TS.
            if not self.total_s or end_s - self._origin_s < 2 * self.total_s + _LONGEST_GAP_S:
                self.seen_s = max(self.seen_s, end_s - self._origin_s)


def track_of(container: InputContainer, uri: str) -> av.AudioStream | None:
    """Return the audio track that is heard: the one called default, or else the first, of those
    that can be decoded; None: there is no audio track.

    Raises:
        SourceError: there are some, and none can be decoded.
    """
    tracks = container.streams.audio
    able = [each for each in tracks if each.codec_context is not None]
    if tracks and not able:
        problem = "has sound of a kind that can't be decoded here"
        raise SourceError(uri, problem, "Convert it, to .m4a or .mp3 for one")
    default = [each for each in able if each.disposition & av.stream.Disposition.default]
    return next(iter([*default, *able]), None)


def _opened(path: Path, uri: str) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        problem = f"can't be read ({error.strerror})"
        raise SourceError(uri, problem, "Check the path and its permissions") from error


class _Timeline:
    """Frames at their times: silence before those that come late, none that come twice."""

    def __init__(self, origin_s: float, total_s: float) -> None:
        self._origin_s, self._total_s = origin_s, total_s
        self._rate = RATE
        self._n = 0  # samples placed, at that rate

    def place(self, frame: av.AudioFrame) -> Iterator[av.AudioFrame]:
        if frame.sample_rate != self._rate:
            self._n = round(self._n * frame.sample_rate / self._rate)
            self._rate = frame.sample_rate
        late_s = self._lateness(frame)
        if late_s > _JUMP_S:
            for silent in _silence(frame, round(late_s * self._rate)):
                self._n += silent.samples
                yield silent
        elif late_s < -_JUMP_S and late_s + frame.samples / self._rate < _JUMP_S:
            return
        self._n += frame.samples
        yield frame

    def _lateness(self, frame: av.AudioFrame) -> float:
        """Return by how much it begins after the end of what was placed, in seconds."""
        if frame.pts is None or frame.time_base is None:
            return 0.0
        here_s = self._n / self._rate
        time_s = float(frame.pts * frame.time_base) - self._origin_s
        late_s = time_s - here_s
        longest_s = max(self._total_s - here_s, 0.0) if self._total_s else _LONGEST_GAP_S
        if late_s > longest_s + _JUMP_S or (self._n and late_s < -_OVERLAP_S):
            self._origin_s += late_s  # the clock was set anew: the sound goes on
            return 0.0
        return late_s


def _silence(like: av.AudioFrame, n_samples: int) -> Iterator[av.AudioFrame]:
    name, most = like.format.name, round(_SILENCE_S * like.sample_rate)
    for start in range(0, n_samples, most):
        frame = av.AudioFrame(name, like.layout.name, min(most, n_samples - start))
        frame.sample_rate = like.sample_rate
        for plane in frame.planes:
            plane.update((b"\x80" if name.startswith("u8") else b"\0") * plane.buffer_size)
        yield frame


class _Resampled:
    """What faster_whisper.audio.decode_audio does, and with the same result, bit by bit of a file.

    Frames may change their format in mid-file.
    """

    def __init__(self) -> None:
        self._form: tuple[str, str, int] | None = None
        self._begin()

    def _begin(self) -> None:
        self._fifo = av.AudioFifo()
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)

    def add(self, frame: av.AudioFrame) -> Iterator[Samples]:
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._form not in (None, form):
            yield from self.rest()
            self._begin()
        self._form = form
        frame.pts = None
        self._fifo.write(frame)
        if self._fifo.samples >= _GROUP:
            yield from self._resample(self._fifo.read())

    def rest(self) -> Iterator[Samples]:
        if self._form is None:
            return
        if self._fifo.samples:
            yield from self._resample(self._fifo.read())
        yield from self._resample(None)

    def _resample(self, frame: av.AudioFrame | None) -> Iterator[Samples]:
        for made in self._resampler.resample(frame):
            yield made.to_ndarray()[0].astype("float32") / 32768.0


def _says_length(file: BinaryIO) -> bool:
    """Tell whether an MP3's first frame says how long it is."""
    head = os.pread(file.fileno(), _MP3_HEAD, 0)
    return any(tag in head for tag in _MP3_TAGS)


def _missing_bytes(file: BinaryIO) -> int:
    """Return how many bytes a RIFF file (WAV, AVI) lacks of those that it says it has: FFmpeg takes
    one that is cut short for a shorter one."""
    head = os.pread(file.fileno(), 12, 0)
    if head[:4] != b"RIFF" or head[8:] not in (b"WAVE", b"AVI "):
        return 0
    said = int.from_bytes(head[4:8], "little")
    size = os.fstat(file.fileno()).st_size
    # Who writes to a pipe can't say it: 0, or all ones.
    return max(0, _RIFF + said - size) if said < 0xFFFFFF00 else 0
