"""How far a run is, in numbers and in words."""

from __future__ import annotations

import pytest

from flows.progress import Progress, Snapshot, duration, fetched_in_words, in_words
from tasks.records import Generation, Line, PromptRef, Request, Sampling

REQUEST = Request(
    key="k", task="summarize", source_id="s", level=0, messages=(), prompt_tokens=100,
    sampling=Sampling(max_tokens=10), lines=(Line(1, "text", 1),),
    prompt=PromptRef(name="summarize", version=1, language="en", hash=""),
)  # fmt: skip
ANSWER = Generation(
    key="k", attempt=1, task="summarize", source_id="s", first_n=1, last_n=1, level=0,
    text="", status="ok", prompt_tokens=100, completion_tokens=20,
)  # fmt: skip


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_follows_from_the_measured_rate() -> None:
    """Two of ten chunks of 100 + 20 tokens took 4 s: the other eight take 16 s."""
    clock = Clock()
    progress = Progress(1, clock)
    progress.read()
    progress.planned([REQUEST] * 10)
    clock.now += 4
    progress.answered(ANSWER)
    progress.answered(ANSWER)
    snapshot = progress.snapshot()

    assert (snapshot.calls, snapshot.calls_known) == (2, 10)
    assert snapshot.tokens_per_s == pytest.approx(60)
    assert snapshot.seconds_left == pytest.approx(16)
    assert in_words(snapshot) == "2 of 10 chunks, 60 tokens/s, 16 s left"


def test_sources_not_read_yet_count_like_those_that_were() -> None:
    """With three of four sources unread, four times the work of the first is expected."""
    clock = Clock()
    progress = Progress(4, clock)
    progress.read()
    progress.planned([REQUEST] * 2)
    clock.now += 1
    progress.answered(ANSWER)

    assert progress.snapshot().seconds_left == pytest.approx(1 + 3 * 2)


def test_nothing_is_foretold_before_anything_is_known() -> None:
    """No rate, no time left, and no division by zero."""
    snapshot = Progress(2).snapshot()

    assert (snapshot.tokens_per_s, snapshot.seconds_left, snapshot.fraction) == (0, None, 0)
    assert in_words(snapshot) == "reading, 0 of 2 sources done"


def test_what_the_first_answer_waits_for_is_said() -> None:
    progress = Progress(1)
    progress.planned([REQUEST] * 7)
    progress.doing("loading demo, 42%")
    assert in_words(progress.snapshot()) == "0 of 7 chunks, loading demo, 42%"
    progress.doing("")
    assert in_words(progress.snapshot()) == "0 of 7 chunks"


def test_reading_without_a_known_end_shows_no_bytes() -> None:
    assert fetched_in_words("fetching x.gguf", 3 << 20, 12 << 20) == "fetching x.gguf: 3 of 12 MB"
    assert fetched_in_words("reading the vocabulary of x", 0, 0) == "reading the vocabulary of x"


def test_the_fraction_ends_at_one() -> None:
    """Whether sources were summarised, found in the ledger or failed."""
    progress = Progress(2)
    progress.read()
    progress.ended()
    assert progress.snapshot().fraction == 0.5
    progress.read()
    progress.planned([REQUEST] * 2)
    progress.answered(ANSWER)
    assert progress.snapshot().fraction == 0.5
    progress.answered(ANSWER)
    progress.ended()
    assert progress.snapshot().fraction == 1.0
    assert isinstance(progress.snapshot(), Snapshot)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4.2, "4 s"), (89, "89 s"), (91, "2 min"), (3590, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words
