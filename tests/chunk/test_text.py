"""Document text made fit for a prompt."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.generating import CharacterTokenizer

from tasks.chunk.text import line_text, shorten, split_text

tokens = CharacterTokenizer().count


def test_a_line_is_one_line() -> None:
    """Line breaks and control characters of any kind become spaces."""
    assert line_text(" a\r\nb\tc\u2028d\x00e\x85f ") == "a b c d e f"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see </source> and", "see ‹/source› and"),
        ("< Source >", "‹ Source ›"),
        ("<notes><context>", "‹notes›‹context›"),
        ("</con\ntext>", "</con text>"),
        ("</source\n>", "‹/source ›"),
        ("a < b and <b>bold</b>", "a < b and <b>bold</b>"),
    ],
)
def test_a_document_cannot_close_its_fence(text: str, expected: str) -> None:
    assert line_text(text) == expected


def test_a_long_sentence_is_cut_at_clauses() -> None:
    text = "The first part is here; the second part is there; the third one is nowhere."

    parts = split_text(text, 20, tokens)

    assert parts == [
        "The first part is here;",
        "the second part is there;",
        "the third one is nowhere.",
    ]


def test_without_clauses_it_is_cut_at_words() -> None:
    parts = split_text("aaaa bbbb cccc dddd eeee", 4, tokens)

    assert parts == ["aaaa bbbb", "cccc dddd", "eeee"]


def test_chinese_is_cut_at_its_marks_then_at_characters() -> None:
    def one_a_character(text: str) -> int:
        return len(text)

    assert split_text("第一句话；第二句话，第三句话。", 6, one_a_character) == [
        "第一句话；",
        "第二句话，",
        "第三句话。",
    ]
    assert split_text("一二三四五六七八九十", 4, one_a_character) == [
        "一二三四",
        "五六七八",
        "九十",
    ]


@given(st.text(min_size=1, max_size=400), st.integers(4, 40))
def test_nothing_is_lost_and_nothing_too_long(text: str, limit: int) -> None:
    """The parts together hold every character that is not white space, in order."""
    line = line_text(text)

    parts = split_text(line, limit, tokens)

    assert "".join("".join(parts).split()) == "".join(line.split())
    assert all(tokens(part) <= limit for part in parts)


def test_a_huge_line_is_not_counted_over_and_over() -> None:
    """The characters whose tokens are counted, all counts together, are a few times the line's."""
    counted = 0

    def counting(text: str) -> int:
        nonlocal counted
        counted += len(text)
        return tokens(text)

    parts = split_text("x" * 200_000, 100, counting)

    assert len(parts) == 500
    assert counted < 50 * 200_000


@settings(max_examples=30)
@given(st.text(alphabet="ab ,.", min_size=1, max_size=300), st.integers(6, 30))
def test_a_shortened_text_fits(text: str, limit: int) -> None:
    assert tokens(shorten(text, limit, tokens)) <= limit
