"""What media files are told to be: real ones of each container, broken ones and hostile ones."""

from __future__ import annotations

import random
import socket
from fractions import Fraction
from pathlib import Path

import av
import pysubs2
import pytest
from support import media

from tasks.errors import SourceError
from tasks.media.audio import Audio
from tasks.media.containers import HEAD, MEDIA_SUFFIXES, is_media, media_kind
from tasks.media.probe import Probe, probe
from tasks.records import Chapter
from tasks.settings import Settings

SOUND = media.music(2)
SRT = """1
00:00:00,500 --> 00:00:01,234
Trees <i>grow</i>
from seeds.

2
00:00:01,300 --> 00:00:01,900
树木生长。
"""
SAME = {".m4b", ".m4v", ".mov", ".mpeg", ".oga", ".opus"}  # containers that others stand for
VIDEOS = [suffix for suffix in media.SUFFIXES if MEDIA_SUFFIXES[suffix] == "video"]
TAGGED = [".mp3", ".m4a", ".mp4", ".mkv", ".ogg"]
CAPTIONED = [".m4a", ".mp4", ".mkv", ".webm"]


def _probe(path: Path, **changed: object) -> Probe:
    return probe(path, path.name, Settings(**changed))  # type: ignore[arg-type]


def _refusal(path: Path, **changed: object) -> str:
    with pytest.raises(SourceError) as caught:
        _probe(path, **changed)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path.name}: ")
    return str(caught.value)


@pytest.mark.parametrize("suffix", sorted(set(media.SUFFIXES) - SAME))
def test_each_container_is_known_by_its_content(tmp_path: Path, suffix: str) -> None:
    """Kind and length are told whatever the file is called, and a head tells that it is media."""
    path = media.write_media(tmp_path / f"talk{suffix}", SOUND, video=suffix in VIDEOS)
    unnamed = path.rename(tmp_path / "talk")

    found = _probe(unnamed)

    assert found.kind == MEDIA_SUFFIXES[suffix]
    assert found.has_audio
    assert found.duration_s == pytest.approx(2, abs=0.4)
    assert media_kind(unnamed.read_bytes()[:HEAD]) is not None


@pytest.mark.parametrize("suffix", TAGGED)
def test_title_language_and_chapters_are_told(tmp_path: Path, suffix: str) -> None:
    """They are the file's own; a language is ISO 639-1, whatever the container writes."""
    path = media.write_media(
        tmp_path / f"talk{suffix}",
        SOUND,
        video=suffix in VIDEOS,
        title="Trees 树",
        language="chi",
        chapters=[(0, "Seeds"), (1.25, "树")],
    )

    found = _probe(path)

    assert found.title == "Trees 树"
    assert found.language == ("" if suffix == ".mp3" else "zh")  # an MP3's track has no tag for it
    assert found.chapters == (Chapter(start_s=0, title="Seeds"), Chapter(start_s=1.25, title="树"))


@pytest.mark.parametrize("suffix", CAPTIONED)
def test_embedded_captions_are_read_in_full(tmp_path: Path, suffix: str) -> None:
    """Each cue comes with its text and its times to the millisecond."""
    path = media.write_media(
        tmp_path / f"talk{suffix}", SOUND, subtitles=SRT, subtitle_language="chi"
    )

    (captions,) = _probe(path).captions
    cues = pysubs2.SSAFile.from_string(captions.data.decode())

    assert (captions.language, captions.is_forced) == ("zh", False)
    assert Path(captions.name).suffix in (".srt", ".vtt")
    assert [(cue.start, cue.end, cue.plaintext) for cue in cues] == [
        (500, 1234, "Trees grow\nfrom seeds."),
        (1300, 1900, "树木生长。"),
    ]


def test_ass_captions_keep_their_speakers(tmp_path: Path) -> None:
    """A track of SubStation's is given as such, with its names and its header."""
    path = tmp_path / "talk.mkv"
    header = b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ass")
        stream.codec_context.subtitle_header = header
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.disposition = av.stream.Disposition.forced
        line = b"0,0,Default,Ann,0,0,0,,Trees\\Ngrow, slowly"
        cue = av.subtitles.subtitle.SubtitleSet.create(line, 0, 700, 500)
        packet = stream.codec_context.encode_subtitle(cue)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        container.mux(packet)

    (captions,) = _probe(path).captions
    (event,) = pysubs2.SSAFile.from_string(captions.data.decode())

    assert captions.is_forced
    assert Path(captions.name).suffix == ".ass"
    assert (event.start, event.end, event.name) == (500, 1200, "Ann")
    assert event.plaintext == "Trees\ngrow, slowly"


def test_picture_captions_are_listed_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_mux_stream("hdmv_pgs_subtitle")
        stream.metadata["language"] = "ger"
        packet = av.Packet(b"\x80\0\0")
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = 0
        container.mux(packet)
    beside = path.with_suffix(".srt")
    beside.write_text(SRT)

    found = _probe(path)
    beside.unlink()

    assert found.captions == ()
    assert found.unread_captions == ("pgssub (de)",)
    assert "its captions are no text: pgssub (de)" in _refusal(path)


@pytest.mark.parametrize("suffix", [".mp3", ".mp4", ".mkv"])
def test_an_album_cover_makes_no_video(tmp_path: Path, suffix: str) -> None:
    path = media.write_media(tmp_path / f"book{suffix}", SOUND, cover=True)

    assert _probe(path).kind == "audio"


def test_a_silent_film_needs_captions(tmp_path: Path) -> None:
    """Captions in it or beside it will do; without them nothing can be read."""
    path = media.without_audio(tmp_path / "film.mp4")

    assert "has no sound, and no captions" in _refusal(path)
    path.with_suffix(".srt").write_text(SRT)
    assert not _probe(path).has_audio
    captioned = media.write_media(tmp_path / "b.mkv", None, video=True, subtitles=SRT)
    assert len(_probe(captioned).captions) == 1


def test_files_that_are_no_media_say_so(tmp_path: Path) -> None:
    assert "does not exist" in _refusal(tmp_path / "none.mp4")
    assert "is not a file" in _refusal(tmp_path)
    assert "is empty" in _refusal(media.empty(tmp_path / "a.mp4"))
    assert "but a text" in _refusal(media.text_as_media(tmp_path / "b.mp4"))
    assert "but a text" in _refusal(media.text_as_media(tmp_path / "c.mp3"))
    noise = tmp_path / "d.mkv"
    noise.write_bytes(random.Random(1).randbytes(9999))
    assert "is no video or recording" in _refusal(noise)
    silent = media.write_media(tmp_path / "e.wav", media.silence(0))
    assert "of zero length" in _refusal(silent)


def _copy(source: Path, path: Path, options: dict[str, str]) -> None:
    """Write the sound of a file into another container, as it is."""
    with av.open(str(source)) as given, av.open(str(path), "w", options=options) as container:
        stream = container.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)


def test_a_codec_named_by_a_number_is_read(tmp_path: Path) -> None:
    """AAC is 0x00FF in AVI and WAV."""
    path = tmp_path / "talk.avi"
    _copy(media.write_media(tmp_path / "talk.m4a", SOUND), path, {})

    assert _probe(path).has_audio


def _two_tracks(path: Path, default: int) -> Path:
    """Write a file whose tracks are half a second in English, in Opus, and a second in German."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(codec, rate=48000) for codec in ("libopus", "flac")]
        for number, (stream, language) in enumerate(zip(streams, ("eng", "ger"), strict=True)):
            stream.layout = "mono"
            stream.metadata["language"] = language
            of_it = av.stream.Disposition.default if number == default else 0
            stream.disposition = av.stream.Disposition(of_it)
        for number, stream in enumerate(streams, start=1):
            for packet in media._encoded_sound(stream, media.music(number / 2), 48000, 0):
                container.mux(packet)
    return path


def _heard(path: Path) -> tuple[str, float]:
    """Return the language that is told, and how much is heard, in seconds."""
    with Audio(path, path.name) as audio:
        seconds = sum(map(len, audio.blocks())) / media.RATE
    return _probe(path).language, round(seconds, 1)


def test_the_track_that_is_told_is_the_one_that_is_heard(tmp_path: Path) -> None:
    """The one called default, unless it can't be decoded."""
    path = _two_tracks(tmp_path / "talk.mkv", default=0)
    unknown = tmp_path / "unknown.mkv"
    unknown.write_bytes(path.read_bytes().replace(b"A_OPUS", b"A_XXXX"))

    assert _heard(path) == ("en", 0.5)
    assert _heard(_two_tracks(tmp_path / "second.mkv", default=1)) == ("de", 1.0)
    assert _heard(unknown) == ("de", 1.0)


def test_sound_that_nothing_here_decodes_is_told(tmp_path: Path) -> None:
    path = media.write_media(tmp_path / "talk.mka", SOUND)
    path.write_bytes(path.read_bytes().replace(b"A_OPUS", b"A_XXXX"))

    assert "has sound of a kind that can't be decoded here" in _refusal(path)
    with pytest.raises(SourceError, match="can't be decoded here"):
        Audio(path, path.name)


def test_an_encrypted_file_says_so(tmp_path: Path) -> None:
    """Common Encryption, ISO 23001-7, of which DRM is made."""
    path = tmp_path / "locked.mp4"
    how = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "7" * 32,
        "encryption_kid": "a" * 32,
    }
    _copy(media.write_media(tmp_path / "clear.m4a", SOUND), path, how)

    assert "is encrypted, or protected by DRM" in _refusal(path)


@pytest.mark.parametrize(("suffix", "share"), [
    (".mp4", 0.02), (".mp4", 0.5), (".mp4", 0.95), (".mkv", 0.005), (".mkv", 0.5), (".ogg", 0.02),
    (".mp3", 0.5),
])  # fmt: skip
def test_a_file_cut_short_is_opened_or_refused_in_a_line(
    tmp_path: Path, suffix: str, share: float
) -> None:
    """An MP4 lacks its index, and says it; others hold what came before the cut."""
    whole = media.write_media(tmp_path / f"talk{suffix}", SOUND, video=suffix == ".mp4")
    path = media.truncated(whole, share=share)

    if suffix == ".mp4":
        assert "is cut short: its index (moov) is missing or not whole" in _refusal(path)
        assert "Download it again" in _refusal(path)
    elif share < 0.1:
        assert "cut short" in _refusal(path)
    else:
        assert _probe(path).has_audio


def test_a_length_that_the_container_does_not_tell_is_measured(tmp_path: Path) -> None:
    path = media.truncated(media.write_media(tmp_path / "a.wmv", SOUND, video=True))
    with av.open(str(path)) as container:
        assert container.duration is None

    assert _probe(path).duration_s == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize("seed", range(4))
def test_hostile_bytes_are_refused_or_told_and_never_crash(tmp_path: Path, seed: int) -> None:
    """A file is damaged in many places, or is noise behind a container's mark."""
    chance = random.Random(seed)
    path = tmp_path / "talk.mp4"
    if seed % 2:
        path.write_bytes(b"\0\0\0\x20ftypisom" + chance.randbytes(5000))
    else:
        data = bytearray(media.write_media(path, SOUND, subtitles=SRT).read_bytes())
        for at in chance.sample(range(len(data) - 2000, len(data)), 60):  # in its index
            data[at] = chance.randrange(256)
        path.write_bytes(data)

    try:
        found = _probe(path)
    except SourceError:
        assert "crashes" not in _refusal(path)
    else:
        assert found.kind in ("video", "audio")


@pytest.mark.parametrize("text", [
    "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n",
    "ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/a.ts'\n",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
])  # fmt: skip
def test_a_playlist_opens_nothing_that_it_names(tmp_path: Path, text: str) -> None:
    """FFmpeg reads such files by their content, whatever they are called."""
    path = tmp_path / "talk.mp4"
    with socket.create_server(("127.0.0.1", 0)) as server:
        path.write_text(text.format(port=server.getsockname()[1]))
        server.setblocking(False)

        assert "but a text" in _refusal(path)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_limits_end_the_child(tmp_path: Path) -> None:
    path = media.write_media(tmp_path / "talk.mp3", SOUND)

    assert "took too long" in _refusal(path, pdf_seconds=0.001)


@pytest.mark.parametrize("data", [
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + b"1 0 obj\n" * 400,
    b"PK\x03\x04" + bytes(4000),
    b"ID3 is what tags of MP3s are called.\n" * 90,
    b"RIFF is a form, and WAVE is one of it.\n" * 90,
    b"G" * 4000,
    "\ufeffText in UTF-16, with a mark.".encode("utf-16-le") * 70,
    b"\xff\xfb" + b"a" * 4000,
    b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(4000),
    b"\x89PNG\r\n\x1a\n" + bytes(4000),
    b"\0\0\0\x20ftypavif" + bytes(4000),
    b"",
])  # fmt: skip
def test_documents_are_not_taken_for_media(data: bytes) -> None:
    assert media_kind(data) is None
    assert all(media_kind(data[:length]) is None for length in range(20))


def test_a_program_in_typescript_is_no_video(tmp_path: Path) -> None:
    """.ts names both: a folder of programs holds no media."""
    program = tmp_path / "index.ts"
    program.write_text("export const answer: number = 42;\n" * 40)

    assert not is_media(program)
    assert is_media(media.write_media(tmp_path / "talk.TS", SOUND, video=True))
    assert is_media(tmp_path / "talk.Mp4")
    assert not is_media(tmp_path / "talk.srt")
