"""Recognised speech as subtitles: where they are cut, how long they stay, their lines."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.media.breaking import line_columns, pieces, width
from tasks.media.cueing import lay_out, wrap
from tasks.media.transcript import TimedCue, TimedWord
from tasks.media.utterances import sentences_of

LECTURE = {
    "en": """Good morning, everyone. Today we are going to look at attention, which is the mechanism
    at the heart of every modern language model. Why does it matter? Because a recurrent network has
    to squeeze the whole sentence into one vector, and that vector is simply too small. Right. So,
    in 2017, a group at Google asked a very simple question: what if every word could look at every
    other word directly? Dr. Smith will talk about that on Thursday at 3.30 p.m. in room B12.""",
    "de": """Guten Morgen zusammen. Heute beschäftigen wir uns mit der Aufmerksamkeit, also mit dem
    Mechanismus im Kern jedes modernen Sprachmodells. Warum ist das wichtig? Weil ein rekurrentes
    Netz den ganzen Satz in einen einzigen Vektor pressen muss, und dieser Vektor ist zu klein.""",
    "zh": """大家早上好。今天我们来看注意力机制，它是每一个现代语言模型的核心。它为什么重要？
    因为循环神经网络必须把整个句子压缩成一个向量，而这个向量实在太小了。于是在2017年，谷歌的
    一个小组问了一个非常简单的问题：如果每个词都能直接看到其他所有的词，会怎样？""",
    "ja": """皆さん、おはようございます。今日は、現代のすべての言語モデルの中核にある注意機構を
    見ていきます。なぜ重要なのでしょうか。再帰型ネットワークは、文全体を一つのベクトルに
    押し込まなければならないからです。""",
    "ko": """여러분, 안녕하세요. 오늘은 모든 현대 언어 모델의 핵심인 어텐션 메커니즘을
    살펴보겠습니다. 왜 중요할까요? 순환 신경망은 문장 전체를 하나의 벡터에 욱여넣어야 하는데,
    그 벡터가 너무 작기 때문입니다.""",
}


def spoken(text: str, language: str, start_s: float = 0.0) -> list[TimedWord]:
    """Words as long as they take to say, with pauses at punctuation."""
    text = " ".join(text.split()) if language not in ("zh", "ja") else "".join(text.split())
    words, at = [], start_s
    for piece in pieces(text):
        end = at + 0.07 * width(piece.text)
        words.append(TimedWord(piece.text, round(at, 3), round(end, 3), piece.is_spaced, 0.9))
        at = end + {".": 0.4, "。": 0.4, "?": 0.4, "？": 0.4, ",": 0.15, "，": 0.15}.get(
            piece.text[-1], 0.0
        )
    return words


def check(cues: tuple[TimedCue, ...], words: tuple[TimedWord, ...], language: str) -> None:
    """Every word is in one cue, cues follow each other, and hold what can be read."""
    assert [c.number for c in cues] == [*range(1, len(cues) + 1)]
    assert sorted({word.cue for word in words}) == [c.number for c in cues]
    assert all(b.cue - a.cue in (0, 1) for a, b in pairwise(words))
    assert all(c.start_ms < c.end_ms <= c.start_ms + 7000 for c in cues)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(cues))
    for cue in cues:
        shown = [word for word in words if word.cue == cue.number]
        assert "".join(cue.text.split()) == "".join(word.text for word in shown)
        lines = cue.text.splitlines()
        assert len(lines) <= 2
        assert all(width(line) <= line_columns(language) for line in lines)


@pytest.mark.parametrize("language", sorted(LECTURE))
def test_a_lecture_can_be_read(language: str) -> None:
    """Two lines, long enough, begun with their first words, and most of them end with a sentence
    or a clause."""
    heard = spoken(LECTURE[language], language)

    cues, words = lay_out(heard, sentences_of(heard, language), language)

    check(cues, words, language)
    assert [replace(word, cue=0) for word in words] == heard
    for cue in cues:
        first = next(word for word in words if word.cue == cue.number)
        assert cue.start_ms == round(first.start_s * 1000)
        assert cue.end_ms - cue.start_ms >= 700
    assert all(b.start_ms - a.end_ms >= 84 for a, b in pairwise(cues))
    ended = sum(cue.text[-1] in ".?!,:。，？：、" for cue in cues)
    assert ended >= 0.7 * len(cues)


def test_cues_are_cut_where_the_speaker_would() -> None:
    heard = spoken(LECTURE["en"], "en")

    cues, _ = lay_out(heard, sentences_of(heard, "en"), "en")

    assert [cue.text for cue in cues[:5]] == [
        "Good morning, everyone.",
        "Today we are going to look at attention,",
        "which is the mechanism at the heart\nof every modern language model.",
        "Why does it matter?",
        "Because a recurrent network has to squeeze\nthe whole sentence into one vector,",
    ]


def test_short_sentences_share_a_cue() -> None:
    heard = spoken("Yes. No. Well, maybe. We will see.", "en")
    heard = [replace(w, start_s=w.start_s * 0.6, end_s=w.end_s * 0.6) for w in heard]

    cues, _ = lay_out(heard, sentences_of(heard, "en"), "en")

    assert len(cues) == 1


def test_no_cue_goes_on_over_a_turn_a_silence_or_a_paragraph() -> None:
    heard = [
        *spoken("So we", "en"),
        *spoken("see it.", "en", 5.0),
        *spoken("Yes.", "en", 5.6),
    ]
    heard[4] = replace(heard[4], starts_turn=True, speaker="BOB")

    cues, _ = lay_out(heard, sentences_of(heard, "en"), "en")

    assert [(cue.text, cue.speaker, cue.starts_turn) for cue in cues] == [
        ("So we", "", False),
        ("see it.", "", False),
        ("Yes.", "BOB", True),
    ]


def test_a_cue_stays_until_it_is_read() -> None:
    """Where there is room: to the next cue but two frames, and seven seconds at most."""
    heard = [
        *spoken("No.", "en"),
        TimedWord("Extraordinarily", 5.0, 5.2, True),
        TimedWord("quick!", 5.2, 5.3, True),
        TimedWord("Next.", 7.4, 7.6, True, starts_turn=True),
        TimedWord("Sooo.", 7.7, 20.0, True, starts_turn=True),
    ]

    cues, _ = lay_out(heard, sentences_of(heard, "en"), "en")

    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [
        (0, 800),
        (5000, 6222),
        (7400, 7616),
        (7700, 14700),
    ]


def test_words_at_one_moment_have_cues_of_their_own() -> None:
    """What a recogniser places oddly is shown in order, and nothing overlaps."""
    words = [TimedWord("Yes.", 1.0, 3.0, True, starts_turn=True)] * 3

    cues, _ = lay_out(words, sentences_of(words, "en"), "en")

    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [
        (1000, 1001),
        (1001, 1002),
        (1002, 3000),
    ]


def test_a_word_longer_than_a_line_stays_whole() -> None:
    url = "https://example.org/" + "a" * 90
    heard = spoken(f"See {url} for more.", "en")

    cues, _ = lay_out(heard, sentences_of(heard, "en"), "en")

    assert [cue.text for cue in cues] == ["See", url, "for more."]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Why does it matter?", "Why does it matter?"),
        (
            "en",
            "Because a recurrent network has to squeeze the whole sentence into one vector,",
            "Because a recurrent network has to squeeze\nthe whole sentence into one vector,",
        ),
        (
            "en",
            "When it rains, the whole of the road is flooded.",
            "When it rains,\nthe whole of the road is flooded.",
        ),
        (
            "zh",
            "如果每个词都能直接看到其他所有的词，那么会怎样？",
            "如果每个词都能直接看到其他所有的词，\n那么会怎样？",
        ),
        (
            "zh",
            "他说：“注意力机制（attention）是每个模型的核心。”",
            "他说：“注意力机制（attention）\n是每个模型的核心。”",
        ),
    ],
)
def test_wrapping_balances_and_breaks_at_good_places(
    language: str, text: str, expected: str
) -> None:
    assert wrap(text, language) == expected


TEXTS = st.text("abcdefg     .,3好的，。「」っー한국\n", max_size=150)
LANGUAGES = st.sampled_from(["en", "zh", "ja", "de", "ko"])


@given(TEXTS, LANGUAGES)
def test_no_wrapping_loses_text(text: str, language: str) -> None:
    """Lines are within the limit, but where a word is not."""
    lines = wrap(text, language).splitlines()

    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(
        width(line) <= line_columns(language) or (len(pieces(line)) == 1 and len(lines) >= 1)
        for line in lines
    )


@given(
    st.lists(
        st.builds(
            TimedWord,
            text=st.sampled_from(
                [
                    "so",
                    "attention",
                    "see.",
                    "Why?",
                    "well,",
                    "好",
                    "的。",
                    "（中",
                    "3.5",
                    "했다.",
                    "て",
                ]
            ),
            start_s=st.floats(-0.5, 2.5),
            end_s=st.floats(0, 1.5),
            is_spaced=st.booleans(),
            speaker=st.sampled_from(["", "", "", "A"]),
            starts_turn=st.sampled_from([False] * 9 + [True]),
        ),
        max_size=120,
    ),
    LANGUAGES,
)
def test_any_words_are_shown_once_and_in_order(found: list[TimedWord], language: str) -> None:
    """Also words that overlap."""
    words, at = [], 0.0
    for word in found:
        start = max(0.0, at + word.start_s)
        words.append(replace(word, start_s=start, end_s=start + word.end_s))
        at = start + 0.2

    cues, numbered = lay_out(words, sentences_of(words, language), language)

    spaced = [word for word in words if word.is_spaced]
    if len(spaced) == len(words):  # else they join to words longer than a cue
        check(cues, numbered, language)
    assert [replace(word, cue=0) for word in numbered] == words
    assert all(a.start_ms < b.start_ms and a.end_ms <= b.start_ms for a, b in pairwise(cues))
