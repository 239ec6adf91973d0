"""The pure functions of extraction: characters, joining, sentences, quality, layout."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.extract.characters import HYPHEN, clean
from tasks.extract.headings import Heading, nested
from tasks.extract.joining import Vocabulary, finish, join
from tasks.extract.layout import reading_order
from tasks.extract.pages import Line, Page
from tasks.extract.parse import find_pieces
from tasks.extract.quality import damage, is_better, is_plausible
from tasks.extract.sentences import detect_language, split

WORDS = st.text("abcdefgh未来は好。,.;éß", min_size=1, max_size=9)
TEXTS = st.lists(WORDS, min_size=1, max_size=400).map(" ".join)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("\ufb01le\x00 \x07one", "file one"),
        ("e\u0301", "é"),
        ("，。：（）！", "，。：（）！"),
        ("⼀⽉", "一月"),
        ("a\u00a0 \u200b b", "a b"),
        ("\uf0b7 item", "• item"),
        ("\ud800x", "x"),
    ],
)
def test_clean(raw: str, expected: str) -> None:
    """NFC without ligatures, controls and look-alike radicals; full-width stays full-width."""
    assert expected == clean(raw)


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("one", "two", "one two"),
        ("你好", "世界", "你好世界"),
        ("你好，", "PDF", "你好，PDF"),
        ("ex" + HYPHEN, "ample", "example"),
        ("self" + HYPHEN, "made", "self-made"),
        ("Haupt-", "und Nebensatz", "Haupt- und Nebensatz"),
        ("X-", "Ray", "X-Ray"),
        ("1990-", "1995", "1990- 1995"),
        ("https://example.org/", "path", "https://example.org/path"),
    ],
)
def test_join(text: str, line: str, expected: str) -> None:
    """A hyphen goes unless the document's own words keep it."""
    vocabulary = Vocabulary.of(["a self-taught example", "made"])

    assert expected == join(text, line, vocabulary)


@pytest.mark.parametrize(
    ("text", "line", "language", "expected"),
    [
        ("ein PDF-", "taugliches", "de", "ein PDF-taugliches"),  # case changes at a hyphen
        ("two SPECI-", "MENs", "en", "two SPECIMENs"),
        ("a RemoteProtocol-", "Error", "en", "a RemoteProtocolError"),
        ("die GConf-", "Datei", "de", "die GConf-Datei"),
        ("Jean-", "Claude", "fr", "Jean-Claude"),
        ("die Option --ignore-", "local", "de", "die Option --ignore-local"),  # English, in chains
        ("ein Con-", "tent-Type", "de", "ein Content-Type"),
        ("the libfoo-", "zzyzx-dev package", "en", "the libfoo-zzyzx-dev package"),  # its own words
    ],
)
def test_a_hyphen_stays_where_case_or_a_chain_of_words_wants_it(
    text: str, line: str, language: str, expected: str
) -> None:
    vocabulary = Vocabulary.of(["zzyzx makes libfoo"], language)

    assert expected == join(text, line, vocabulary)


def test_a_hyphen_that_nothing_followed_is_shown() -> None:
    assert finish("ex" + HYPHEN) == "ex-"


@settings(deadline=None)  # the language model loads once
@given(TEXTS, st.sampled_from(["en", "zh", "de", "und"]))
def test_sentences_lose_nothing(text: str, language: str) -> None:
    """Joined they are the text but for spaces; each stands at its position and fits a line."""
    found = split(text, language)

    assert "".join(text.split()) == "".join("".join(sentence.split()) for _, sentence in found)
    assert all(0 < len(sentence) <= 1000 for _, sentence in found)
    assert [p for p, _ in found] == sorted(p for p, _ in found)


def test_an_endless_sentence_is_cut_at_clauses() -> None:
    """No piece is longer than a usable line, and cuts fall after commas."""
    pieces = [piece for _, piece in split("word and word and more words, " * 200, "en")]

    assert max(map(len, pieces)) <= 1000
    assert all(piece.endswith(",") for piece in pieces)


@settings(deadline=None)  # the language model loads once
@given(st.lists(st.lists(TEXTS, max_size=6), max_size=4))
def test_pieces_hold_all_words_in_order(pages: list[list[str]]) -> None:
    """Whatever the lines, no word of the cleaned pages is lost, doubled or moved."""
    cleaned = [
        Page(
            k,
            str(k),
            600,
            800,
            tuple(
                Line(text, k, 50, 60 + 12.0 * n, 50 + 5 * (len(text) % 100), 70 + 12.0 * n, 10)
                for n, text in enumerate(lines)
            ),
        )
        for k, lines in enumerate(pages, start=1)
    ]

    pieces, _ = find_pieces(cleaned, [])

    def letters(texts: list[str]) -> str:
        return "".join(re.findall(r"\w", "".join(texts)))

    assert letters([text for page in pages for text in page]) == letters([p.text for p in pieces])
    assert [piece.page for piece in pieces] == sorted(piece.page for piece in pieces)


def test_quality_gate() -> None:
    """Glued words and characters that mean nothing fail; German and Chinese prose pass."""
    assert is_plausible("Die Donaudampfschifffahrtsgesellschaft fährt auf der Donau. " * 5)
    assert is_plausible("这是一个很好的例子，没有空格。" * 5)
    assert is_plausible("too short")
    assert not is_plausible("thesewordsareallglued togetherwithoutspaces " * 30)
    assert not is_plausible("\ufffd\ufffd text \ue123 here " * 10)
    assert damage("\ufffd" * 100) > damage("good text " * 9 + "\ufffd")


def test_a_second_reading_must_be_better() -> None:
    """One that loses the Chinese is not."""
    assert is_better("these words are whole " * 5, "thesewordsarewhole" * 5)
    assert not is_better("plain letters only here " * 5, "中文和 letters")


def test_superscripts_join_their_line() -> None:
    """A piece that stands on the line before it is a part of that line."""
    lines = [
        Line("area (km", 1, 50, 100, 90, 110, 10, row=0),
        Line("2", 1, 90.2, 98, 94, 105, 7, row=1),
        Line(") of land", 1, 94.2, 100, 140, 110, 10, row=2),
    ]

    assert [line.text for line in reading_order(lines)] == ["area (km2) of land"]


def test_headings_nest_by_level() -> None:
    """A deeper one goes under the last higher one; levels may be skipped."""
    levels = [("a", 1), ("b", 3), ("c", 2), ("d", 1)]
    headings = [Heading(text, level, 1, k, 1) for k, (text, level) in enumerate(levels)]

    assert nested(headings) == [("a",), ("a", "b"), ("a", "c"), ("d",)]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The cat sat on the mat and looked at the dog. " * 4, "en"),
        ("今天天气很好，我们一起去公园散步吧。" * 4, "zh"),
        ("Le chat est sur la table et les enfants sont dans le jardin. " * 4, "fr"),
        ("今日は天気がいいので、公園へ行きましょう。" * 4, "ja"),
        ("x = 1", "und"),
    ],
)
def test_language(text: str, language: str) -> None:
    """By common words where they are clear, else by the model."""
    assert language == detect_language(text)
