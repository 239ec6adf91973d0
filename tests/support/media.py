"""Media for tests: speech of known words at known times, other sounds, files of each container.

Samples are int16, mono, 16 kHz (RATE); whatever a file holds is made of them. Times are seconds.
Nothing here needs a program besides: PyAV encodes, espeak-ng's library speaks.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pysubs2
import pytest
from numpy.typing import NDArray
from whisper_model import speech

RATE = speech.RATE
Samples = NDArray[np.int16]
needs_speech = pytest.mark.skipif(not speech.available(), reason="espeak-ng is not installed")

_LOUDNESS = 6000
_WIDTH, _HEIGHT = 64, 48
# Of each suffix: what encodes its sound, its picture, its subtitles ("" where it can't hold any).
_CODECS = {
    ".mp3": ("libmp3lame", "", ""),
    ".m4a": ("aac", "", "mov_text"),
    ".m4b": ("aac", "", "mov_text"),
    ".mp4": ("aac", "mpeg4", "mov_text"),
    ".m4v": ("aac", "mpeg4", "mov_text"),
    ".mov": ("aac", "mpeg4", "mov_text"),
    ".3gp": ("aac", "mpeg4", "mov_text"),
    ".mkv": ("libopus", "mpeg4", "subrip"),
    ".mka": ("libopus", "", "subrip"),
    ".webm": ("libopus", "libvpx", "webvtt"),
    ".ogg": ("libopus", "", ""),
    ".oga": ("flac", "", ""),
    ".opus": ("libopus", "", ""),
    ".flac": ("flac", "", ""),
    ".wav": ("pcm_s16le", "", ""),
    ".aiff": ("pcm_s16be", "", ""),
    ".aac": ("aac", "", ""),
    ".ac3": ("ac3", "", ""),
    ".wma": ("wmav2", "", ""),
    ".wmv": ("wmav2", "wmv2", ""),
    ".avi": ("libmp3lame", "mpeg4", ""),
    ".flv": ("aac", "flv", ""),
    ".mpg": ("mp2", "mpeg2video", ""),
    ".mpeg": ("mp2", "mpeg2video", ""),
    ".ts": ("aac", "mpeg2video", ""),
    ".m2ts": ("aac", "mpeg2video", ""),
}
SUFFIXES = tuple(_CODECS)
_FORMATS = {".m4b": "mp4", ".m4v": "mp4", ".m2ts": "mpegts", ".mka": "matroska"}
_LEAST_RATES = {"ac3": 32000, "wmav2": 22050}
_BIT_RATES = {"wmav2": 48000}  # it has no default
_FRAMES_A_SECOND = {"mpeg2video": 25}  # it has only such rates; else 5


@dataclass(frozen=True)
class Spoken:
    """Speech.

    Attributes:
        words: each as it is written, without a mark at its end, and when it begins and ends.
    """

    pcm: Samples
    words: tuple[tuple[str, float, float], ...]

    @property
    def seconds(self) -> float:
        return len(self.pcm) / RATE


def speak(text: str, *, voice: str = "en-us", wpm: int = 160) -> Spoken:
    """Return a text spoken by espeak-ng."""
    pcm, words = speech.speak(text, voice, wpm)
    return Spoken(pcm, tuple((word.word, word.start, word.end) for word in words))


def joined(*parts: Spoken | Samples) -> Spoken:
    """Return parts one after the other, with their words' times in the whole."""
    words: list[tuple[str, float, float]] = []
    samples: list[Samples] = []
    at = 0.0
    for part in parts:
        pcm = part.pcm if isinstance(part, Spoken) else part
        if isinstance(part, Spoken):
            words += [(word, start + at, end + at) for word, start, end in part.words]
        samples.append(pcm)
        at += len(pcm) / RATE
    return Spoken(np.concatenate(samples), tuple(words))


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.int16)


def noise(seconds: float, *, loudness: int = _LOUDNESS) -> Samples:
    """Return white noise, the same each time."""
    made = np.random.default_rng(7).normal(0, loudness / 3, round(seconds * RATE))
    return np.clip(made, -32768, 32767).astype(np.int16)


def music(seconds: float) -> Samples:
    """Return chords that die away, one every second: nothing that is like speech."""
    times = np.arange(round(seconds * RATE)) / RATE
    since = times % 1.0
    roots = np.array([220.0, 174.6, 261.6, 196.0])[times.astype(int) % 4]
    chord = sum(np.sin(2 * np.pi * roots * ratio * times) for ratio in (1, 5 / 4, 3 / 2))
    return (chord / 3 * np.exp(-3 * since) * _LOUDNESS).astype(np.int16)


def write_media(
    path: Path,
    pcm: Samples | None,
    *,
    video: bool = False,
    rate: int = RATE,
    title: str = "",
    language: str = "",
    chapters: Sequence[tuple[float, str]] = (),
    subtitles: str | None = None,
    subtitle_language: str = "",
    subtitle_title: str = "",
    start_offset_s: float = 0.0,
    cover: bool = False,
) -> Path:
    """Write a media file of the container that its suffix names, and return its path.

    Args:
        pcm: its sound; None: it has no audio track, and lasts a second.
        rate: of the file's audio track, Hz; more where its codec knows none so low.
        language, subtitle_language: of the audio track and the subtitles, ISO 639-2 as such files
            have it ("eng", "chi").
        subtitles: an SRT file's text; they become a text track of their own.
        start_offset_s: when the sound begins; the picture begins at 0, and chapters and subtitles
            have times of their own.
        cover: with a picture attached, as albums have one (.mp3, .flac, .m4b, .mp4, .mkv).
    """
    suffix = path.suffix.lower()
    audio, picture, text = _CODECS[suffix]
    with av.open(str(path), "w", format=_FORMATS.get(suffix)) as container:
        container.metadata.update({"title": title} if title else {})
        makers: list[Iterator[av.Packet]] = []
        if video:
            seconds = len(pcm) / RATE + start_offset_s if pcm is not None else 1.0
            makers.append(_picture(container, picture, seconds))
        if pcm is not None:
            rate = max(rate, _LEAST_RATES.get(audio, rate))
            makers.append(_sound(container, audio, pcm, rate, language, start_offset_s))
        if subtitles is not None:
            tags = {"language": subtitle_language, "title": subtitle_title}
            makers.append(_text(container, text, subtitles, tags))
        if cover:
            makers += _cover(container)
        if chapters:
            _set_chapters(container, chapters, pcm)
        container.start_encoding()  # also where nothing follows
        for packets in makers:
            for packet in packets:
                container.mux(packet)
    return path


def _set_chapters(
    container: av.container.OutputContainer,
    chapters: Sequence[tuple[float, str]],
    pcm: Samples | None,
) -> None:
    ends = [start for start, _ in chapters[1:]] + [len(pcm) / RATE if pcm is not None else 1.0]
    container.set_chapters(
        [
            {
                "id": number,
                "start": round(start * 1000),
                "end": round(end * 1000),
                "time_base": Fraction(1, 1000),
                "metadata": {"title": title},
            }
            for number, ((start, title), end) in enumerate(zip(chapters, ends, strict=True))
        ]
    )


def _sound(
    container: av.container.OutputContainer,
    codec: str,
    pcm: Samples,
    rate: int,
    language: str,
    offset_s: float,
) -> Iterator[av.Packet]:
    stream = container.add_stream(
        codec, rate=rate, layout="mono", bit_rate=_BIT_RATES.get(codec, 0)
    )
    if language:
        stream.metadata["language"] = language
    return _encoded_sound(stream, pcm, rate, offset_s)


def _encoded_sound(
    stream: av.AudioStream, pcm: Samples, rate: int, offset_s: float
) -> Iterator[av.Packet]:
    if not pcm.size:
        return
    context = stream.codec_context
    context.open(strict=False)  # what it takes at a time is known then
    resampler = av.AudioResampler(context.format, "mono", rate, context.frame_size or 1024)
    frame = av.AudioFrame.from_ndarray(pcm[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = RATE
    at = round(offset_s * rate)
    for made in (*resampler.resample(frame), *resampler.resample(None)):
        made.pts, made.time_base = at, Fraction(1, rate)
        at += made.samples
        yield from stream.encode(made)
    yield from stream.encode(None)


def _picture(
    container: av.container.OutputContainer, codec: str, seconds: float
) -> Iterator[av.Packet]:
    frames = _FRAMES_A_SECOND.get(codec, 5)
    stream = container.add_stream(codec, rate=frames, width=_WIDTH, height=_HEIGHT)
    return _encoded_picture(stream, max(1, round(seconds * frames)))


def _encoded_picture(stream: av.VideoStream, count: int) -> Iterator[av.Packet]:
    for number in range(count):
        shade = np.full((_HEIGHT, _WIDTH, 3), number % 256, np.uint8)
        yield from stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24"))
    yield from stream.encode(None)


def _text(
    container: av.container.OutputContainer, codec: str, srt: str, tags: dict[str, str]
) -> Iterator[av.Packet]:
    """Add a text track: its packets are made by hand, since encoders want ASS instead of text."""
    stream = container.add_mux_stream(codec)
    stream.time_base = Fraction(1, 1000)
    stream.metadata.update({name: value for name, value in tags.items() if value})
    return _text_packets(stream, codec, srt)


def _text_packets(stream: av.stream.Stream, codec: str, srt: str) -> Iterator[av.Packet]:
    is_plain = codec == "mov_text"  # 3GPP TS 26.245: no tags, and its length stands before it
    for event in pysubs2.SSAFile.from_string(srt, format_="srt", keep_html_tags=not is_plain):
        data = event.plaintext.encode()
        if is_plain:
            data = len(data).to_bytes(2, "big") + data
        packet = av.Packet(data)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = event.start
        packet.duration = event.end - event.start
        packet.is_keyframe = True
        yield packet


def _cover(container: av.container.OutputContainer) -> Iterator[Iterator[av.Packet]]:
    if container.format.name == "matroska":  # a file attached, which readers take for a picture
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.width, encoder.height, encoder.pix_fmt = _WIDTH, _HEIGHT, "yuvj420p"
        encoder.time_base = Fraction(1, 1)
        shade = np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)
        packets = encoder.encode(av.VideoFrame.from_ndarray(shade, format="rgb24"))
        container.add_attachment("cover.jpg", "image/jpeg", bytes(packets[0]))
        return
    stream = container.add_stream("mjpeg", width=_WIDTH, height=_HEIGHT, pix_fmt="yuvj420p")
    stream.disposition = av.stream.Disposition.attached_pic
    yield _encoded_picture(stream, 1)


def text_as_media(path: Path) -> Path:
    """Write a text under a media file's name: a server's page, saved as a video."""
    path.write_text("<!DOCTYPE html><title>Sign in</title><p>Please sign in to watch.\n" * 40)
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def without_audio(path: Path) -> Path:
    """Write a video that is silent: it has no audio track at all."""
    return write_media(path, None, video=True)


def truncated(path: Path, *, share: float = 0.5) -> Path:
    """Cut a media file short, and return its path. Of an .mp4 the index at its end is lost."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def decoded(path: Path) -> Samples:
    """Return a file's sound, as samples of RATE."""
    resampler = av.AudioResampler("s16", "mono", RATE)
    parts = [np.zeros((1, 0), np.int16)]
    with av.open(io.BytesIO(path.read_bytes())) as container:
        for frame in container.decode(audio=0):
            parts += [made.to_ndarray() for made in resampler.resample(frame)]
    parts += [made.to_ndarray() for made in resampler.resample(None)]
    return np.concatenate(parts, axis=1)[0]
