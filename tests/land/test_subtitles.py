"""Translated subtitles: the source's cues, the translation's words, and files that players read."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.land.subtitles import bilingual, translated_cues, write_srt, write_vtt
from tasks.media.breaking import line_columns, pieces, width
from tasks.media.captions import read_captions, words_of
from tasks.media.transcript import TimedCue
from tasks.media.utterances import sentences_of
from tasks.records import Cue, Word

SOURCE = "0" * 64


def rows(texts: Sequence[str], language: str, speaker: str = "") -> tuple[list[Cue], list[Word]]:
    """Captions of three seconds each, and their words, as they are landed."""
    timed = [
        TimedCue(number, number * 3000, number * 3000 + 2750, text, speaker)
        for number, text in enumerate(texts, start=1)
    ]
    heard = words_of(timed, language)
    segment = {
        i: n
        for n, sentence in enumerate(sentences_of(heard, language), start=1)
        for i in range(sentence.first, sentence.last + 1)
    }
    cues = [
        Cue(source_id=SOURCE, cue=c.number, start_ms=c.start_ms, end_ms=c.end_ms, text=c.text)
        for c in timed
    ]
    words = [
        Word(
            source_id=SOURCE,
            n=segment[i],
            cue=word.cue,
            word=word.text,
            start_s=word.start_s,
            end_s=word.end_s,
            is_spaced=word.is_spaced,
        )
        for i, word in enumerate(heard)
    ]
    return cues, words


def translated(
    texts: Sequence[str], lines: Sequence[str], language: str, source: str = "en"
) -> list[str]:
    cues, words = rows(texts, source)
    found = translated_cues(cues, words, dict(enumerate(lines, start=1)), language)
    assert [replace(cue, text="") for cue in found] == [replace(cue, text="") for cue in cues]
    return [cue.text for cue in found]


def test_a_sentence_is_shared_among_its_cues() -> None:
    """At its punctuation, about where the source is cut; the end of one and the beginning of the
    next stand in one cue."""
    source = [
        "Today we look at attention,",
        "which is the heart of every\nmodern language model. Why",
        "does it matter? Because a network",
        "has to squeeze the whole sentence\ninto one vector.",
    ]
    lines = [
        "今天我们来看注意力机制，它是每一个现代语言模型的核心。",
        "它为什么重要？",
        "因为网络必须把整个句子压缩成一个向量。",
    ]

    assert translated(source, lines, "zh") == [
        "今天我们来看注意力机制，",
        "它是每一个现代语言模型的核心。",
        "它为什么重要？因为网络必须",
        "把整个句子压缩成一个向量。",
    ]


def test_chinese_becomes_english_at_spaces() -> None:
    source = ["今天我们来看注意力机制，", "它是每一个现代", "语言模型的核心。"]
    line = "Today we look at attention, which is the heart of every modern language model."

    assert translated(source, [line], "en", "zh") == [
        "Today we look at attention,",
        "which is the heart of every",
        "modern language model.",
    ]


def test_what_is_too_short_to_be_shared_is_repeated() -> None:
    """No cue is empty."""
    assert translated(["Yes, of", "course we do", "that."], ["当然"], "zh") == ["当然"] * 3


def test_long_translations_have_more_lines() -> None:
    line = "Wir müssen die Aufmerksamkeit " + "noch sehr viel genauer " * 5 + "betrachten."

    (text,) = translated(["注意。"], [line], "de", "zh")

    assert " ".join(text.split()) == line
    assert len(text.splitlines()) == 4
    assert all(len(part) <= 42 for part in text.splitlines())


def test_what_has_no_words_or_no_translation_stays() -> None:
    """A note of music as well as a sentence that nobody translated."""
    source = ["♪", "Good\nmorning.", "Thank you.", "♪ ♪"]

    assert translated(source, ["早上好。", ""], "zh") == ["♪", "早上好。", "Thank you.", "♪ ♪"]


def test_signs_of_speakers_stay() -> None:
    source = [">> ANNA: Good morning.", "- Yes?\n- No.", "- So\n- It is", "that."]

    assert translated(source, ["早上好。", "什么？", "不。", "所以", "是这样的。"], "zh") == [
        ">> ANNA: 早上好。",
        "- 什么？\n- 不。",
        "- 所以\n- 是这",
        "样的。",
    ]


def test_both_languages_are_shown_the_translation_above() -> None:
    """What is the same in both is shown once."""
    cues, words = rows(["Good morning.", "♪"], "en")

    found = bilingual(cues, translated_cues(cues, words, {1: "早上好。"}, "zh"))

    assert [cue.text for cue in found] == ["早上好。\nGood morning.", "♪"]
    assert [(cue.start_ms, cue.end_ms) for cue in found] == [(3000, 5750), (6000, 8750)]


LANGUAGES = st.sampled_from(["en", "zh", "ja", "de", "ko"])
CUE_TEXTS = st.lists(
    st.lists(
        st.sampled_from(
            [
                "so",
                "attention",
                "ends.",
                "Why?",
                "well,",
                "好的。",
                "注意力",
                "3.5",
                "했다.",
                "\n- Yes",
                "♪",
            ]
        ),
        min_size=1,
        max_size=9,
    ).map(" ".join),
    min_size=1,
    max_size=8,
)
LINES = st.lists(st.text("abc def 1.5,好的，。「」「한국", max_size=60), max_size=30)


@given(CUE_TEXTS, LINES, LANGUAGES, LANGUAGES)
def test_any_translation_keeps_the_cues(
    texts: list[str], lines: list[str], source: str, target: str
) -> None:
    """None is lost, moved or empty, and no text is lost, whatever the translation is."""
    cues, words = rows(texts, source)
    by_segment = {n: line for n, line in enumerate(lines, start=1) if n <= len(words)}

    found = translated_cues(cues, words, by_segment, target)

    assert [replace(cue, text="") for cue in found] == [replace(cue, text="") for cue in cues]
    assert all(cue.text.strip() for cue in found)
    shown = "".join("".join(cue.text for cue in found).split())
    for n in {word.n for word in words}:
        among = {word.cue for word in words if word.n == n}
        line = by_segment.get(n, "")
        if len(among) == 1:
            assert "".join(line.split()) in shown
        elif len(pieces(line)) >= len(among) and not {"-", "♪"} & set("".join(texts)):
            among_cues = "".join(c.text for c in found if c.cue in among)
            assert "".join(line.split()) in "".join(among_cues.split())
    for cue in found:
        if cue.text != cues[cue.cue - 1].text:
            limit = line_columns(target)
            assert all(
                width(line) <= limit or len(pieces(line)) == 1 for line in cue.text.splitlines()
            )


@given(CUE_TEXTS, st.lists(st.integers(1, 5), min_size=80, max_size=80), LINES)
def test_segments_in_any_order_do_no_harm(
    texts: list[str], numbers: list[int], lines: list[str]
) -> None:
    """Rows that no transcript has: segments mixed among the cues."""
    cues, words = rows(texts, "en")
    words = [replace(word, n=n) for word, n in zip(words, numbers, strict=False)]

    found = translated_cues(cues, words, dict(enumerate(lines)), "zh")

    assert [replace(cue, text="") for cue in found] == [replace(cue, text="") for cue in cues]
    assert all(cue.text.strip() for cue in found)


def test_words_and_numbers_are_never_cut() -> None:
    cues, words = rows(["We paid 3.5 dollars", "for the attention"], "en")

    found = translated_cues(cues, words, {1: "为Transformer（GPT-4.5）付了1,234.50美元。"}, "zh")

    joined = [cue.text for cue in found]
    assert "".join(joined) == "为Transformer（GPT-4.5）付了1,234.50美元。"
    assert not any(
        (a[-1].isascii() and b[0].isascii()) or a[-1] in "（" or b[0] in "）。"
        for a, b in pairwise(joined)
    )


ODD = (
    "a < b & c > d, &amp; &lt;i&gt; stay",
    "use <i>, <div> and </b>",
    "{\\alpha} and \\nabla, \\N and {x}",
    "1984\n42",
    "it --> that",
    "00:00:01,000 --> 00:00:02,000",
    "one\n\ntwo\r\n three",
    "NOTE this",
    "مرحبا بالعالم\u200f 3.5",
    "好的，“是”。",
    "\u2028a\x00b\x0bc",
    "2",
)


def subtitles(texts: Sequence[str]) -> list[Cue]:
    return [
        Cue(source_id=SOURCE, cue=i, start_ms=i * 1001, end_ms=i * 1001 + 999 + i, text=text)
        for i, text in enumerate(texts, start=1)
    ]


def clean_lines(text: str) -> list[str]:
    text = text.replace("\x00", "").replace("\u2060", "").replace("\u200f", "")
    return [line.strip() for line in text.splitlines() if line.strip()]


def by_ffmpeg(data: bytes, path: Path) -> list[tuple[int, int, str]]:
    """What FFmpeg's demuxer finds: starts, durations and texts as they are written."""
    path.write_bytes(data)
    with av.open(str(path)) as container:
        found = []
        for packet in container.demux(container.streams.subtitles[0]):
            if packet.size:
                assert packet.time_base is not None
                assert 1000 * packet.time_base == 1
                found.append((packet.pts or 0, packet.duration or 0, bytes(packet).decode()))
        return found


def shown_by_ffmpeg(path: Path) -> list[str]:
    """What its decoder takes for text, as ASS has it."""
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        return [
            event.ass.decode().split(",", 8)[8]
            for packet in container.demux(stream)
            if packet.size
            for event in packet.decode()
        ]


def test_subrip_comes_back_as_it_was(tmp_path: Path) -> None:
    """By our own reader, and by two others; to the millisecond, in order, with all lines."""
    cues = subtitles(ODD)
    data = write_srt(cues)

    own = read_captions(data, "a.srt")
    ffmpeg = by_ffmpeg(data, tmp_path / "a.srt")
    other = pysubs2.SSAFile.from_string(data.decode(), "srt")

    times = [(cue.start_ms, cue.end_ms) for cue in cues]
    assert [(cue.start_ms, cue.end_ms) for cue in own] == times
    assert [(start, start + length) for start, length, _ in ffmpeg] == times
    assert [(event.start, event.end) for event in other] == times
    texts = [clean_lines(cue.text) for cue in cues]
    assert [cue.text.splitlines() for cue in own] == texts
    assert [clean_lines(text) for _, _, text in ffmpeg] == texts
    # It takes braces for styling, and a last line of digits for a number.
    assert [clean_lines(event.text.replace(r"\N", "\n")) for event in other][:-1] == texts[:-1]


def test_webvtt_comes_back_as_it_was(tmp_path: Path) -> None:
    cues = subtitles(ODD)
    data = write_vtt(cues)

    own = read_captions(data, "a.vtt")
    ffmpeg = by_ffmpeg(data, tmp_path / "a.vtt")

    times = [(cue.start_ms, cue.end_ms) for cue in cues]
    texts = [clean_lines(cue.text) for cue in cues]
    assert [(cue.start_ms, cue.end_ms) for cue in own] == times
    assert [cue.text.splitlines() for cue in own] == texts
    assert [(start, start + length) for start, length, _ in ffmpeg] == times
    assert [clean_lines(html.unescape(text)) for _, _, text in ffmpeg] == texts
    assert data.startswith(b"WEBVTT\n\n1\n00:00:01.001 --> 00:00:02.001\n")


def test_players_show_what_looks_like_markup(tmp_path: Path) -> None:
    """A lecture on HTML or LaTeX loses nothing in SubRip, which has no escapes."""
    by_ffmpeg(
        write_srt(subtitles(["use <i>, <div> and </b>", "\\nabla {\\alpha}"])), tmp_path / "a.srt"
    )

    shown = [text.replace("\u2060", "") for text in shown_by_ffmpeg(tmp_path / "a.srt")]

    assert shown == ["use <i>, <div> and </b>", "\\nabla {\\alpha}"]
    assert not any(
        broken in text for text in shown_by_ffmpeg(tmp_path / "a.srt") for broken in ("\\n", "{\\")
    )


def test_speakers_are_voices_in_webvtt() -> None:
    """Where the text does not name them itself."""
    cues = [
        replace(cue, speaker="Anna & <Bob>")
        for cue in subtitles(["Good morning.", ">> ANNA: Yes.", "two\nlines"])
    ]

    data = write_vtt(cues)

    assert b"<v Anna &amp; &lt;Bob&gt;>Good morning.\n" in data
    assert b"\n&gt;&gt; ANNA: Yes.\n" in data
    assert [cue.text for cue in read_captions(data, "a")] == [cue.text for cue in cues]
    assert [cue.speaker for cue in read_captions(data, "a")] == [
        "Anna & <Bob>",
        "ANNA",
        "Anna & <Bob>",
    ]


def test_long_videos_and_damaged_text_can_be_written() -> None:
    cue = Cue(source_id=SOURCE, cue=1, start_ms=360_000_001, end_ms=360_000_002, text="a\ud800b")

    assert b"100:00:00,001 --> 100:00:00,002\na?b\n" in write_srt([cue])
    assert read_captions(write_vtt([cue]), "a")[0].start_ms == 360_000_001


@pytest.mark.parametrize("write", [write_srt, write_vtt])
@given(
    st.lists(
        st.text("abc<>&;/i{}\\N-: \n1240好،ع").filter(lambda text: text.strip() != ""), min_size=1
    )
)
def test_any_text_comes_back(write: object, texts: list[str]) -> None:
    cues = subtitles([" ".join(["x", *text.split("\n")]) + "\n" + text for text in texts])
    assert callable(write)

    found = read_captions(write(cues), "a", rolling="never")

    assert [(cue.start_ms, cue.end_ms) for cue in found] == [(c.start_ms, c.end_ms) for c in cues]
    for cue, source in zip(found, cues, strict=True):
        assert [" ".join(line.split()) for line in cue.text.splitlines()] == [
            " ".join(line.split()) for line in source.text.splitlines() if line.strip()
        ]
