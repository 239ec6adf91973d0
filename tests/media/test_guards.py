"""What a recogniser may have made up is marked, and what people say is not."""

from __future__ import annotations

import pytest

from tasks.media.guards import HeardWindow, is_over_silence, lines, loops, marked
from tasks.media.transcript import TimedWord


def words(text: str, *, probability: float = 0.9, marks: tuple[str, ...] = ()) -> list[TimedWord]:
    """Return the words of a text, half a second each; of Chinese its characters."""
    is_spaced = text.isascii()
    parts = text.split() if is_spaced else list(text)
    return [
        TimedWord(part, i / 2, i / 2 + 0.4, is_spaced, probability, marks=marks)
        for i, part in enumerate(parts)
    ]


def window(
    text: str,
    *,
    avg_logprob: float = -0.2,
    no_speech_prob: float = 0.01,
    compression_ratio: float = 1.4,
    probability: float = 0.9,
    marks: tuple[str, ...] = (),
) -> HeardWindow:
    heard = tuple(words(text, probability=probability, marks=marks))
    return HeardWindow(heard, avg_logprob, no_speech_prob, compression_ratio)


def marks_of(*windows: HeardWindow) -> list[tuple[str, ...]]:
    return [word.marks for word in marked(windows)]


def test_plain_speech_has_no_marks() -> None:
    text = "Well, very, very good. No, no, no! It was, it was late. Thank you."

    assert set(marks_of(window(text))) == {()}


def test_no_word_is_removed() -> None:
    heard = window("Thanks for watching! " * 9, avg_logprob=-2, no_speech_prob=0.9)

    assert [word.text for word in marked([heard])] == [word.text for word in heard.words]


def test_silence_that_the_model_doubts_is_marked() -> None:
    """Both must hold, as in Whisper itself."""
    assert set(marks_of(window("Some words", no_speech_prob=0.7, avg_logprob=-1.1))) == {
        ("no_speech",)
    }
    assert set(marks_of(window("Some words", no_speech_prob=0.7))) == {()}
    assert set(marks_of(window("Some words", avg_logprob=-1.1))) == {()}


def test_text_that_packs_well_is_marked() -> None:
    assert set(marks_of(window("Some words", compression_ratio=2.5))) == {("compression",)}


@pytest.mark.parametrize(
    "text",
    [
        "So it is said. So it is said. So it is said.",
        "la la la la la la",
        "you know you know you know you know",
        "我们走吧我们走吧我们走吧",
    ],
)
def test_the_same_again_and_again_is_marked(text: str) -> None:
    assert set(marks_of(window(text))) == {("repetition",)}


def test_a_line_repeated_over_windows_is_marked_and_what_is_around_it_is_not() -> None:
    found = marks_of(
        window("It begins here. And so on it goes."),
        window("And so on it goes."),
        window("And so on it goes. Then it ends."),
    )

    assert found == [()] * 3 + [("repetition",)] * 15 + [()] * 3


def test_twice_is_no_repetition() -> None:
    assert not list(loops(words("to be or not to be or not that is")))


@pytest.mark.parametrize(
    "text", ["Thanks for watching!", "字幕由志愿者提供", "请不吝点赞订阅转发打赏支持明镜与点点栏目"]
)
def test_a_line_known_from_silence_is_marked_where_the_model_is_unsure(text: str) -> None:
    assert set(marks_of(window(text, avg_logprob=-0.9))) == {("no_speech",)}
    assert set(marks_of(window(text, no_speech_prob=0.5))) == {("no_speech",)}
    assert set(marks_of(window(text, probability=0.2))) == {("no_speech",)}


def test_a_line_known_from_silence_stays_where_it_is_said() -> None:
    assert set(marks_of(window("Thanks for watching!"))) == {()}


def test_words_over_silence_keep_their_mark() -> None:
    found = marks_of(window("Thank you for watching.", marks=("over_silence",)))

    assert set(found) == {("no_speech", "over_silence")}


def test_a_word_after_its_speech_is_over_silence() -> None:
    assert not is_over_silence(4.0, 5.4, speech_s=5.0)
    assert is_over_silence(4.8, 5.4, speech_s=5.0)
    assert is_over_silence(5.0, 5.0, speech_s=5.0)


def test_lines_end_at_marks_and_at_pauses() -> None:
    heard = words("One two. Three four")
    heard += [TimedWord("five", 9, 9.5)]

    assert list(lines(heard)) == [(0, 2), (2, 4), (4, 5)]
