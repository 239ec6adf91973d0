"""Sentences and paragraphs of words, whoever heard them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.media.breaking import join, pieces
from tasks.media.captions import words_of
from tasks.media.transcript import Sentence, TimedCue, TimedWord
from tasks.media.utterances import sentences_of

LANGUAGES = st.sampled_from(["en", "zh", "ja", "de", "ko"])


def spoken(text: str, start_s: float = 0.0) -> list[TimedWord]:
    """Words of half a second each; "|" is a second of silence."""
    words: list[TimedWord] = []
    at = start_s
    for piece in pieces(text):
        if piece.text == "|":
            at += 1
            continue
        words.append(TimedWord(piece.text, at, at + 0.5, piece.is_spaced))
        at += 0.5
    return words


def texts(sentences: tuple[Sentence, ...]) -> list[str]:
    return [sentence.text for sentence in sentences]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "en",
            "Dr. Smith paid 3.5 dollars. Why? He said “no.”",
            ["Dr. Smith paid 3.5 dollars.", "Why?", "He said “no.”"],
        ),
        (
            "zh",
            "大家好。今天我们用GPT-4来看注意力机制，它很重要。为什么？",
            ["大家好。", "今天我们用GPT-4来看注意力机制，它很重要。", "为什么？"],
        ),
        ("ja", "こんにちは。データを見ます。", ["こんにちは。", "データを見ます。"]),
        ("de", "Das ist z. B. gut. Und nun?", ["Das ist z. B. gut.", "Und nun?"]),
        ("ko", "안녕하세요. 오늘은 강의입니다.", ["안녕하세요.", "오늘은 강의입니다."]),
    ],
)
def test_sentences_end_where_the_language_ends_them(
    language: str, text: str, expected: list[str]
) -> None:
    sentences = sentences_of(spoken(text), language)

    assert texts(sentences) == expected
    assert sentences[0].start_s == 0
    assert all(a.last + 1 == b.first for a, b in pairwise(sentences))


def test_a_sentence_goes_on_over_cues() -> None:
    cues = [
        TimedCue(1, 0, 2000, "Today we look at"),
        TimedCue(2, 2000, 4000, "attention. It is the heart"),
        TimedCue(3, 4000, 5500, "of each model."),
    ]

    sentences = sentences_of(words_of(cues, "en"), "en")

    assert texts(sentences) == [
        "Today we look at attention.",
        "It is the heart of each model.",
    ]
    assert sentences[0].start_s == 0
    assert sentences[1].end_s == 5.5
    assert 2.0 < sentences[0].end_s == sentences[1].start_s < 4.0


def test_no_sentence_goes_on_over_a_turn() -> None:
    """Another speaker begins a sentence and a paragraph, though nobody ended theirs."""
    words = spoken("So we see that yes")
    words[4] = replace(words[4], starts_turn=True)
    words = [replace(word, speaker="ANNA" if i < 2 else "BOB") for i, word in enumerate(words)]

    sentences = sentences_of(words, "en")

    assert [(s.text, s.speaker, s.paragraph) for s in sentences] == [
        ("So we", "ANNA", 1),
        ("see that", "BOB", 2),
        ("yes", "BOB", 3),
    ]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (
            1.9,
            ["We see this.", "Now the second part of the talk begins here and is the longer one."],
        ),  # its end is near
        (
            2.9,
            ["We see this.", "Now the second part of the talk begins here and is the longer one."],
        ),
        (
            4.1,
            [
                "We see this.",
                "Now the second part of",
                "the talk begins here and is the longer one.",
            ],
        ),
        (
            4.3,
            [
                "We see this.",
                "Now the second part of the",
                "talk begins here and is the longer one.",
            ],
        ),
        (
            0.0,
            ["We see this.", "Now the second part of the talk begins here and is the longer one."],
        ),
        (
            99.0,
            ["We see this.", "Now the second part of the talk begins here and is the longer one."],
        ),
    ],
)
def test_a_break_is_at_a_sentence_or_the_nearest_word(time: float, expected: list[str]) -> None:
    """Chapters' starts are whole seconds: what is a little off cuts no sentence."""
    sentences = sentences_of(
        spoken("We see this. Now the second part of the talk begins here and is the longer one."),
        "en",
        breaks=[time],
    )

    assert texts(sentences) == expected


def test_pauses_end_sentences_without_punctuation() -> None:
    """But those of one or two words, and none where punctuation ends them."""
    bare = "so today we look at attention | and then | um | we go on with the models"
    pointed = "So today we look | at attention. And then we | go on."

    assert texts(sentences_of(spoken(bare), "en")) == [
        "so today we look at attention",
        "and then um we go on with the models",
    ]
    assert texts(sentences_of(spoken(pointed), "en")) == [
        "So today we look at attention.",
        "And then we go on.",
    ]


def test_a_long_silence_ends_any_sentence() -> None:
    words = [*spoken("And so we"), *spoken("go on.", 10)]

    assert texts(sentences_of(words, "en")) == ["And so we", "go on."]


@pytest.mark.parametrize(("language", "word", "most"), [("en", " word", 30), ("zh", "字", 120)])
def test_text_without_punctuation_is_cut_for_its_length(
    language: str, word: str, most: int
) -> None:
    """At the longest pause, else at a cue's border, else as late as can be."""
    words = spoken(word * 10 * most)
    words = [replace(item, cue=1 + i // 7) for i, item in enumerate(words)]
    late = [
        replace(item, start_s=item.start_s + 0.7 * (i >= most // 2), end_s=item.end_s + 1)
        for i, item in enumerate(words)
    ]

    sentences = sentences_of(words, language)

    assert all(s.last - s.first < most for s in sentences)
    assert len(sentences) <= 14
    assert all(s.first % 7 == 0 for s in sentences)
    assert sentences_of(late, language)[1].first in (most // 2, most // 7 * 7)


def test_a_long_sentence_with_punctuation_stays_whole() -> None:
    text = ", ".join(["we see that it is so"] * 9) + "."

    assert texts(sentences_of(spoken(text), "en")) == [text]


def test_sounds_are_sentences_of_their_own() -> None:
    """But amid a sentence, and round brackets that belong to one."""
    text = "[MUSIC PLAYING] Good morning. [APPLAUSE] (LAUGHTER) We go (as ever) on [COUGHS] again."
    words = spoken(text)
    words = [replace(word, cue=2 if word.text == "(LAUGHTER)" else 1) for word in words]

    assert texts(sentences_of(words, "en")) == [
        "[MUSIC PLAYING]",
        "Good morning.",
        "[APPLAUSE]",
        "(LAUGHTER)",
        "We go (as ever) on [COUGHS] again.",
    ]


def test_paragraphs_begin_after_pauses_and_at_length() -> None:
    """After two seconds; without them, one of too many sentences parts at its longest pause."""
    paused = "One is here. Two is there. | | Three is here."
    long = "We see. " * 5 + "Ha. | " + "We see. " * 8

    assert [s.paragraph for s in sentences_of(spoken(paused), "en")] == [1, 1, 2]
    assert [s.paragraph for s in sentences_of(spoken(long), "en")] == [1] * 6 + [2] * 8


def test_a_mark_of_half_the_words_is_the_sentences() -> None:
    words = spoken("We see it now.")
    marked = [
        replace(word, marks=("no_speech", "repetition") if i == 0 else ("no_speech",) * (i < 2))
        for i, word in enumerate(words)
    ]

    assert [s.marks for s in sentences_of(marked, "en")] == [("no_speech",)]


def test_nothing_is_no_sentence() -> None:
    assert sentences_of([], "en", breaks=[1.0]) == ()


WORDS = st.lists(
    st.builds(
        TimedWord,
        text=st.sampled_from(["so", "see.", "Why?", "[MUSIC]", "好", "的。", "(", "3.5", "했다."]),
        start_s=st.floats(0, 1.5),
        end_s=st.floats(0, 0.5),
        is_spaced=st.booleans(),
        cue=st.integers(0, 2),
        speaker=st.sampled_from(["", "", "", "A"]),
        marks=st.sampled_from([(), ("no_speech",)]),
        starts_turn=st.sampled_from([False] * 9 + [True]),
    ),
    max_size=150,
)


@given(WORDS, LANGUAGES, st.lists(st.floats(0, 60), max_size=3))
def test_every_word_is_in_one_sentence(
    found: list[TimedWord], language: str, breaks: list[float]
) -> None:
    """In order, with all of its text, whatever the words are; and turns and breaks hold."""
    words, at = [], 0.0
    for word in found:  # each a while after the one before
        words.append(replace(word, start_s=at + word.start_s, end_s=at + word.start_s + word.end_s))
        at = words[-1].end_s

    sentences = sentences_of(words, language, breaks=breaks)

    assert [i for s in sentences for i in range(s.first, s.last + 1)] == [*range(len(words))]
    assert all(s.text == join(words[s.first : s.last + 1]) for s in sentences)
    starts = {s.first for s in sentences}
    assert starts >= {i for i, word in enumerate(words) if word.starts_turn}
    assert all(len({word.speaker for word in words[s.first : s.last + 1]}) == 1 for s in sentences)
    assert all(0 <= b.paragraph - a.paragraph <= 1 for a, b in pairwise(sentences))
    assert all(s.start_s == words[s.first].start_s <= s.end_s for s in sentences)
