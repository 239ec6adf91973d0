"""Captions as they are found: their cues, their styling, who speaks, and their words."""

from __future__ import annotations

import contextlib
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import SourceError
from tasks.media.breaking import gap, has_words, join, may_part, pieces, width
from tasks.media.captions import read_captions, words_of
from tasks.media.transcript import TimedCue
from tasks.media.turns import names_in, turns_of

SRT = """1
00:00:01,001 --> 00:00:03,999
<i>Good morning,</i>
{\\an8}<font color="#fff">everyone &amp; welcome.</font>

2
00:00:04,000 --> 00:00:06,120
It was the year

1984

3
00:00:06,200 --> 00:00:09,000
We write <div> and a < b, then
2001
"""
VTT = """WEBVTT - a lecture
Kind: captions

STYLE
::cue { color: red }

NOTE the introduction
is short

intro-1
00:01.500 --> 00:04.250 align:start position:0%
<v.loud Anna Smith>Let us <c.yellow>begin</c>, &lt;everyone&gt;.</v>
1984

2
01:00:04.250 --> 01:00:05.000
<v Anna Smith>Yes.

3
01:00:05.000 --> 01:00:06.000
<v Bob>No.
"""
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:05.50,0:00:07.25,Default,,0,0,0,,{\\i1}二、{\\i0}注意力\\N机制
Dialogue: 0,0:00:01.00,0:00:02.00,Default,Anna,0,0,0,,{\\pos(1,2)}One\\hhand
Comment: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,to do
Dialogue: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,{\\p1}m 0 0 l 10 10{\\p0}
Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\an8}
"""
TTML = """<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml"><body><div>
<p begin="00:00:01.250" end="00:00:02.500">One &amp;<br/><span>two</span></p>
</div></body></tt>"""
SAMI = """<SAMI><BODY><SYNC Start=1000><P>One<br>two<SYNC Start=2000><P>&nbsp;</BODY></SAMI>"""
SBV = "0:00:01.250,0:00:02.500\nOne\ntwo\n"
YOUTUBE = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.389 align:start position:0%
 
hello<00:00:00.480><c> everyone</c><00:00:00.840><c> welcome</c>

00:00:02.389 --> 00:00:02.399 align:start position:0%
hello everyone welcome
 

00:00:02.399 --> 00:00:04.470 align:start position:0%
hello everyone welcome
to<00:00:02.600><c> this</c><00:00:02.800><c> course</c>

00:00:04.470 --> 00:00:04.480 align:start position:0%
to this course
 

00:00:04.480 --> 00:00:06.000 align:start position:0%
to this course
[Music]

00:00:09.000 --> 00:00:10.000 align:start position:0%
[Music]
"""


def cue(text: str, start_ms: int = 0, end_ms: int = 1000, number: int = 1) -> TimedCue:
    return TimedCue(number, start_ms, end_ms, text)


def test_subrip_loses_its_styling_and_nothing_else() -> None:
    """A number in the text is text, a blank line within a cue ends none, "<div>" is no styling."""
    cues = read_captions(SRT.encode(), "a.srt")

    assert [(c.number, c.start_ms, c.end_ms, c.text) for c in cues] == [
        (1, 1001, 3999, "Good morning,\neveryone & welcome."),
        (2, 4000, 6120, "It was the year\n1984"),
        (3, 6200, 9000, "We write <div> and a < b, then\n2001"),
    ]


def test_webvtt_is_read_as_its_standard_says() -> None:
    """Comments, styles and identifiers are no text; a voice is who speaks."""
    cues = read_captions(VTT.encode(), "a.vtt")

    assert [(c.start_ms, c.end_ms, c.text, c.speaker, c.starts_turn) for c in cues] == [
        (1500, 4250, "Let us begin, <everyone>.\n1984", "Anna Smith", True),
        (3604250, 3605000, "Yes.", "Anna Smith", False),
        (3605000, 3606000, "No.", "Bob", True),
    ]


def test_ass_is_read_in_the_order_of_time() -> None:
    """Comments, drawings and cues without text are left out; the actor is who speaks."""
    cues = read_captions(ASS.encode("utf-16"), "a.ass")

    assert [(c.number, c.start_ms, c.end_ms, c.text, c.speaker) for c in cues] == [
        (1, 1000, 2000, "One hand", "Anna"),
        (2, 5500, 7250, "二、注意力\n机制", ""),
    ]


@pytest.mark.parametrize("text", [TTML, SAMI, SBV], ids=["ttml", "sami", "sbv"])
def test_other_formats_are_read(text: str) -> None:
    first, *others = read_captions(text.encode(), "a")

    assert not others
    assert ("One &\ntwo" if text is TTML else "One\ntwo") == first.text
    assert first.start_ms in (1000, 1250)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16", "big5"])
def test_captions_of_any_encoding_and_line_ends_are_the_same(encoding: str) -> None:
    lines = ["大家好，今天我們來看注意力機制。", "它是每一個語言模型的核心。", "為什麼重要呢？"] * 4
    text = "".join(
        f"{i}\n00:00:{i:02},000 --> 00:00:{i:02},900\n{line}\n\n" for i, line in enumerate(lines, 1)
    )

    for newline in ("\n", "\r\n", "\r\r\n"):
        cues = read_captions(text.replace("\n", newline).encode(encoding), "a.srt")

        assert lines == [c.text for c in cues]


def test_rolling_captions_say_each_line_once() -> None:
    """A cue that shows old lines alone lengthens the one before; after a gap a line is new."""
    cues = read_captions(YOUTUBE.encode(), "a.en.vtt")

    assert [(c.start_ms, c.end_ms, c.text) for c in cues] == [
        (160, 2399, "hello everyone welcome"),
        (2399, 4480, "to this course"),
        (4480, 6000, "[Music]"),
        (9000, 10000, "[Music]"),
    ]
    assert len(read_captions(YOUTUBE.encode(), "a", rolling="never")) == 6


def test_a_refrain_is_no_rolling() -> None:
    texts = ["Row, row", "Row, row", "gently", "down the stream", "Merrily", "Merrily", "life"]
    blocks = (
        f"00:00:{i:02},000 --> 00:00:{i + 1:02},000\n{text}\n" for i, text in enumerate(texts)
    )

    assert texts == [c.text for c in read_captions("\n".join(blocks).encode(), "a.srt")]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no cues"),
        (b"WEBVTT\n\n", "no cues"),
        (b"\x00\x01\x02\x03" * 99, "no cues"),
        (b"A text without any times.\n", "no cues"),
        (b"1\n00:00:01,000 --> 00:00:02,000\n<i> </i>\n", "no cues"),
        (b'{"events": [{"tStartMs": 1}]}', "no cues"),
        (b"{10}{50}One\n{60}{90}two\n", "frames"),
        (TTML[:90].encode(), "damaged"),
        (TTML.replace("00:00:02.500", "75f").encode(), "damaged"),
        (TTML.replace("<tt", '<!DOCTYPE tt [<!ENTITY a "b">]><tt').encode(), "no cues"),
        (ASS.replace("0:00:05.50", "soon").encode(), "damaged"),
    ],
)
def test_what_holds_no_captions_is_refused(data: bytes, problem: str) -> None:
    """The error names the file, what is wrong and what to do."""
    with pytest.raises(SourceError, match=problem) as error:
        read_captions(data, "talk.srt")

    assert error.value.subject == "talk.srt"
    assert error.value.remedy


def test_a_file_of_a_single_long_line_is_read() -> None:
    text = " ".join(TTML.splitlines()).replace("two", "two " * 5000)

    (only,) = read_captions(text.encode(), "a.ttml")

    assert len(only.text.split()) == 5002


@pytest.mark.parametrize(
    "text",
    [
        ASS + "Dialogue: 0,0:00:05.50,0:00:07.25,Default,,0,0,0,," + "{" * 3000,
        "00:00:01:" + "<a" * 1900 + "\n",
        SRT + "{\\an8" * 99_000,
        VTT + "<v " + " " * 99_000,
        SRT + "a\n" * 50_000 + SRT + "a\n" * 50_000,
        "<SAMI>" + "<SYNC Start=" * 5000,
        TTML.replace("two", "<span>" * 5000 + "</span>" * 5000),
    ],
)
def test_no_file_takes_long(text: str) -> None:
    """Nor ends more than itself: what patterns would try again and again is left out."""
    with contextlib.suppress(SourceError):
        read_captions((text * 3).encode(), "a")


def test_frames_are_read_where_the_file_says_how_many_a_second_has() -> None:
    assert read_captions(b"{1}{1}25\n{10}{50}One\n", "a.sub")[0].start_ms == 400


@given(st.binary(max_size=200), st.sampled_from([SRT, VTT, ASS, TTML, SAMI, YOUTUBE]))
def test_no_damage_is_more_than_an_error(junk: bytes, text: str) -> None:
    """Cues come out in order, with text, or one kind of error does."""
    data = bytearray(text.encode())
    at = random.Random(len(junk)).randrange(len(data))
    data[at : at + len(junk) // 2] = junk
    try:
        cues = read_captions(bytes(data), "a")
    except SourceError:
        return
    assert [*range(1, len(cues) + 1)] == [c.number for c in cues]
    assert all(c.text.strip() and 0 <= c.start_ms <= c.end_ms for c in cues)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (">> Good morning.", [(">>", "", "Good morning.")]),
        (">>ANNA: Good\nmorning.", [(">>ANNA:", "ANNA", "Good morning.")]),
        (">> Anna Smith: Hi.", [(">> Anna Smith:", "Anna Smith", "Hi.")]),
        ("- Yes?\n- No.", [("-", "", "Yes?"), ("-", "", "No.")]),
        ("-Yes?", [("-", "", "Yes?")]),
        ("-x plus y", [("", "", "-x plus y")]),
        ("-5 degrees", [("", "", "-5 degrees")]),
        ("well-\nknown", [("", "", "well- known")]),
        ("DR. SMITH: So:", [("DR. SMITH:", "DR. SMITH", "So:")]),
        ("Q: Why?\nA: So.", [("Q:", "Q", "Why?"), ("A:", "A", "So.")]),
        ("We say: go", [("", "", "We say: go")]),
        ("E: the energy", [("", "", "E: the energy")]),
        ("at 12:30 we", [("", "", "at 12:30 we")]),
        ("今天我们\n来看", [("", "", "今天我们来看")]),
        ("", []),
    ],
)
def test_signs_of_speakers(text: str, expected: list[tuple[str, str, str]]) -> None:
    """A sign and a name are the head of a turn; all else is what is said."""
    assert expected == [(turn.head, turn.speaker, turn.text) for turn in turns_of(text)]


def test_a_word_before_a_colon_is_no_speaker_unless_it_comes_again() -> None:
    """It stays in what is said; with a sign before it, it is one at once."""
    lines = ["TCP: a protocol.", "ANNA: Hello.", "STEP 1: Go.", ">> BOB: Hi.", "ANNA: Bye.",
             "STEP 1: Again."]  # fmt: skip
    text = "".join(
        f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\n{s}\n\n" for n, s in enumerate(lines)
    )
    words = words_of(read_captions(text.encode(), "a.srt"), "en")

    assert " ".join(word.text for word in words) == (
        "TCP: a protocol. Hello. STEP 1: Go. Hi. Bye. STEP 1: Again."
    )
    assert [word.speaker for word in words if word.text in ("Hello.", "Hi.", "Bye.")] == [
        "ANNA", "BOB", "ANNA",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We don't say “no”, OK?", ["We", "don't", "say", "“no”,", "OK?"]),
        ("大家好，", ["大", "家", "好，"]),
        ("用GPT-4模型（3.5亿）", ["用", "GPT-4", "模", "型", "（3.5", "亿）"]),
        ("他说“不。”", ["他", "说", "“不。”"]),
        ("えっ、データ", ["えっ、", "デー", "タ"]),
        ("안녕하세요 여러분", ["안녕하세요", "여러분"]),
        ("Größe über 5 %", ["Größe", "über", "5", "%"]),
        ("約１，５００人", ["約", "１，５００", "人"]),
    ],
)
def test_pieces(text: str, expected: list[str]) -> None:
    """Words and numbers stay whole; punctuation stays with what it belongs to."""
    found = pieces(text)

    assert expected == [piece.text for piece in found]
    assert text == join(found)


@given(st.text("ab1 ,.。，（“”)好っー한\u0301\U0001f600\n"))
def test_pieces_joined_are_the_text(text: str) -> None:
    found = pieces(text)

    assert " ".join(text.split()) == join(found)
    assert all(
        after.is_spaced or may_part(before.text, after.text) for before, after in pairwise(found)
    )


def test_widths_and_gaps() -> None:
    assert (width("abc"), width("你好"), width("한국"), width("e\u0301")) == (3, 4, 4, 1)
    assert (gap("好", "的"), gap("a", "的"), gap("a", "b")) == ("", " ", " ")
    assert [has_words("♪ la ♪"), has_words("♪ – …")] == [True, False]


def test_words_share_their_cues_time() -> None:
    """By their lengths; the first begins with the cue, the last one ends with it."""
    words = words_of([cue("We see\nattention.", 1000, 3000), cue("Yes.", 3500, 4001, 2)], "en")

    assert [word.text for word in words] == ["We", "see", "attention.", "Yes."]
    assert [word.start_s for word in words] == [1.0, 1.267, 1.667, 3.5]
    assert [word.end_s for word in words] == [1.267, 1.667, 3.0, 4.001]
    assert [word.cue for word in words] == [1, 1, 1, 2]
    assert {None} == {word.probability for word in words}


def test_words_of_overlapping_cues_follow_each_other() -> None:
    """A cue that is still shown when the next one begins is heard before it."""
    words = words_of([cue("One", 0, 5000), cue("two", 2000, 6000, 2)], "en")

    assert [(word.start_s, word.end_s) for word in words] == [(0, 2.0), (2.0, 6.0)]


def test_chinese_words_are_characters_without_spaces() -> None:
    """Also across lines and cues; captions without punctuation keep a space between them."""
    with_stops = words_of([cue("我们用GPT-4，\n很快"), cue("。好的。", 1000, 2000, 2)], "zh")
    without = words_of([cue("我们来看"), cue("注意力机制", 1000, 2000, 2)], "zh")

    assert join(with_stops) == "我们用GPT-4，很快。好的。"
    assert [word.text for word in with_stops] == [
        "我",
        "们",
        "用",
        "GPT-4，",
        "很",
        "快",
        "。",
        "好",
        "的。",
    ]
    assert join(without) == "我们来看 注意力机制"


def test_turns_begin_with_words() -> None:
    """A name is no word, and lasts until another sign; so does a sign in a cue of its own."""
    cues = [
        cue(">> ANNA: Good morning."),
        cue("Welcome.", 1000, 2000, 2),
        cue(">>", 2000, 3000, 3),
        cue("Thank you.", 3000, 4000, 4),
        cue("- Yes?\n- No.", 4000, 5000, 5),
        cue("♪", 5000, 6000, 6),
        cue("[MUSIC]", 6000, 7000, 7),
    ]

    words = words_of(cues, "en")

    assert [(word.text, word.speaker, word.starts_turn) for word in words] == [
        ("Good", "ANNA", True),
        ("morning.", "ANNA", False),
        ("Welcome.", "ANNA", False),
        ("Thank", "", True),
        ("you.", "", False),
        ("Yes?", "", True),
        ("No.", "", True),
        ("[MUSIC]", "", False),
    ]


TEXTS = st.text("abc 1-\n.,>:AB好的，。한♪", min_size=1).filter(str.strip)
CUES = st.lists(st.tuples(TEXTS, st.integers(0, 9000), st.integers(0, 9000)), max_size=8).map(
    lambda rows: [
        cue(text, start, start + length, number)
        for number, (text, start, length) in enumerate(sorted(rows, key=lambda row: row[1]), 1)
    ]
)


@given(CUES, st.sampled_from(["en", "zh", "ja", "de", "ko"]))
def test_words_of_any_captions_are_theirs(cues: list[TimedCue], language: str) -> None:
    """Every cue with words has its own, in order, within its time, and all of its text."""
    words = words_of(cues, language)

    assert sorted(words, key=lambda word: word.cue) == list(words)
    for shown in cues:
        found = [word for word in words if word.cue == shown.number]
        names = names_in(each.text for each in cues)
        said = "".join(turn.text for turn in turns_of(shown.text, names))
        if not has_words(shown.text):
            assert not found
            continue
        assert "".join(said.split()) == "".join(word.text for word in found)
        if found:
            assert shown.start_ms / 1000 == found[0].start_s
            assert found[-1].end_s <= shown.end_ms / 1000
            times = [time for word in found for time in (word.start_s, word.end_s)]
            assert sorted(times) == times
