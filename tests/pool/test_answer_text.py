"""Text from token bytes: stop strings, UTF-8 over token borders, reasoning left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.pool.answer_text import ReasoningFilter, StopText, strip_reasoning


def collect(text: StopText, pieces: list[bytes]) -> str:
    parts = []
    for piece in pieces:
        parts.append(text.push(piece))
        if text.stopped:
            break
    return "".join(parts) + text.flush()


def test_a_character_split_over_tokens_is_whole() -> None:
    assert collect(StopText(), ["中".encode()[:1], "中".encode()[1:]]) == "中"


def test_half_a_character_at_the_end_is_marked() -> None:
    assert collect(StopText(), [b"a", "中".encode()[:2]]) == "a�"


def test_a_stop_string_over_several_tokens_ends_the_text_before_it() -> None:
    text = StopText(["\n\nEND"])

    assert collect(text, [b"one\n", b"\nE", b"ND two"]) == "one"
    assert text.stopped


def test_what_only_begins_like_a_stop_string_is_given_out() -> None:
    text = StopText(["END"])

    assert [text.push(p) for p in (b"one ", b"EN", b"ter")] == ["one ", "", "ENter"]


def test_the_stop_string_that_is_complete_first_wins() -> None:
    assert collect(StopText(["cd", "b"]), [b"abcd"]) == "a"
    assert collect(StopText(["abcd", "c"]), [b"abcd"]) == "ab"
    assert collect(StopText(["d", "cd"]), [b"abcd"]) == "ab"


@given(st.text(alphabet="ab。", max_size=30), st.lists(st.text("ab。", min_size=1, max_size=3)))
def test_any_cutting_into_tokens_gives_the_same_text(text: str, stop: list[str]) -> None:
    """The text is what comes before the stop string that ends first, however it arrives."""
    ends = [(at + len(s), at) for s in stop if (at := text.find(s)) >= 0]
    expected = text[: min(ends)[1]] if ends else text

    assert expected == collect(StopText(stop), [bytes([b]) for b in text.encode()])
    assert expected == collect(StopText(stop), [text.encode()])


REASONING = [
    ("Answer.", "Answer."),
    ("<think>hm</think>\n\nAnswer.", "Answer."),
    ("\n<think>\n</think>\nAnswer.", "Answer."),
    ("<think>never ends", ""),
    ("<thin ice", "<thin ice"),
    ("<", "<"),
    ("Answer with <think>x</think>", "Answer with <think>x</think>"),
    ("<|START_THINKING|>hm<|END_THINKING|>Answer.", "Answer."),
    ("[THINK]hm[/THINK]Answer.", "Answer."),
    ("<|channel>thought\nhm<channel|>Answer.", "Answer."),
    ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>A", "A"),
    ("Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\nAnswer.", "Answer."),
    ("Here are the facts.", "Here are the facts."),
    ("[1] An answer in brackets", "[1] An answer in brackets"),
    ("<|user", "<|user"),
]


@pytest.mark.parametrize(("text", "answer"), REASONING)
def test_leading_reasoning_is_left_out(text: str, answer: str) -> None:
    """The same whether it comes at once or letter by letter."""
    stream = ReasoningFilter()
    parts = "".join(stream.push(letter) for letter in text) + stream.flush()

    assert answer == strip_reasoning(text)
    assert answer == parts


def test_reasoning_that_the_template_opened_is_left_out() -> None:
    for text in ("hm</think>\nAnswer.", "hm\n</think>Answer.", "</think>Answer."):
        assert strip_reasoning(text) == "Answer."


def test_a_mark_that_the_text_speaks_of_ends_no_reasoning() -> None:
    """As in a paper on such models, by one that has no such marks of its own."""
    text = "[1] The tag is </think>.\n[2] “</think>” closes it."

    assert strip_reasoning(text) == text
