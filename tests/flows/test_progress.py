"""How far a run is, in numbers and in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flows.progress import (
    Progress,
    Snapshot,
    duration,
    fetched_in_words,
    in_words,
    phase_of,
    phase_of_bytes,
)
from tasks.generate.foresight import Foreseen
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
    assert in_words(snapshot) == "about 16 s left, 2 of 10 answers, 60 tokens/s"


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
    assert in_words(snapshot) == "extracting 1 of 2"


def test_what_the_first_answer_waits_for_is_said() -> None:
    progress = Progress(1)
    progress.read()
    progress.planned([REQUEST] * 7)
    progress.doing("loading demo, 42%")
    assert in_words(progress.snapshot()) == "loading demo, 42%, 0 of 7 answers"
    progress.doing("")
    assert in_words(progress.snapshot()) == "0 of 7 answers"


def test_the_time_left_holds_the_merges_that_follow() -> None:
    """Eight of ten chunks and two merges of 200 tokens are left: 12 chunks' worth, at 2 s each."""
    clock = Clock()
    progress = Progress(1, clock)
    progress.read()
    progress.planned([REQUEST] * 10)
    progress.foresee(0, Foreseen(5, 900))
    progress.foresee(0, Foreseen(2, 400))
    clock.now += 4
    progress.answered(ANSWER)
    progress.answered(ANSWER)
    snapshot = progress.snapshot()

    assert snapshot.seconds_left == pytest.approx(24)
    assert snapshot.fraction == pytest.approx(2 / 12)
    assert in_words(snapshot) == "about 24 s left, 2 of about 12 answers, 60 tokens/s"


def test_a_server_that_counts_other_tokens_does_not_mislead() -> None:
    """Half of the work took 4 s, so the other half takes as long, whatever it calls a token."""
    clock = Clock()
    progress = Progress(1, clock)
    progress.read()
    progress.planned([replace(REQUEST, key="a"), replace(REQUEST, key="b")])
    clock.now += 4
    progress.answered(replace(ANSWER, key="a", prompt_tokens=7, completion_tokens=1))

    assert progress.snapshot().seconds_left == pytest.approx(4)


def test_loading_the_model_does_not_slow_the_rate() -> None:
    """Tokens a second count from when the model is there."""
    clock = Clock()
    progress = Progress(1, clock)
    progress.read()
    progress.planned([REQUEST] * 2)
    progress.doing("starting the model server")
    clock.now += 50
    progress.doing("")
    clock.now += 2
    progress.answered(ANSWER)

    assert progress.snapshot().tokens_per_s == pytest.approx(60)


def test_the_phases_of_a_run_have_names() -> None:
    """From extracting to landing; a source that is still unread makes the number a guess."""
    progress = Progress(3)
    names = [phase_of(progress.snapshot()).name]
    progress.read()
    names.append(phase_of(progress.snapshot()).name)
    progress.planned([REQUEST] * 1200)
    progress.doing("loading Qwen2.5, q4_0.gguf, 42%")
    names.append(phase_of(progress.snapshot()).name)
    progress.doing("")
    progress.answered(ANSWER)
    names.append(phase_of(progress.snapshot()).name)
    progress.read()
    progress.read()
    names.append(phase_of(progress.snapshot()).name)

    assert names == [
        "Extracting 1 of 3",
        "Extracting 2 of 3",
        "Loading Qwen2.5, q4_0.gguf",
        "Asking 1 of about 1,200",
        "Asking 1 of 1,200",
    ]


def test_a_run_that_finds_all_in_the_tables_only_lands() -> None:
    progress = Progress(2)
    progress.read()
    progress.read()
    progress.ended()

    assert in_words(progress.snapshot()) == "1 of 2 sources done"
    assert phase_of(progress.snapshot()).name == "Landing documents"


def test_a_run_that_waits_for_another_says_so() -> None:
    """Once it has no work of its own; till then that is a part of its line."""
    progress = Progress(2)
    progress.read()
    progress.elsewhere(1)
    progress.planned([REQUEST])
    names = [phase_of(progress.snapshot()).name]
    progress.read()
    progress.answered(ANSWER)
    names.append(phase_of(progress.snapshot()).name)

    waiting = "aiting for another run, which makes the same document"
    assert names == ["Asking 0 of about 1", f"W{waiting}"]
    assert f", w{waiting}, " in in_words(progress.snapshot())


def test_reading_without_a_known_end_shows_no_bytes() -> None:
    assert fetched_in_words("fetching x.gguf", 3 << 20, 12 << 20) == "fetching x.gguf: 3 of 12 MB"
    assert fetched_in_words("reading the vocabulary of x", 0, 0) == "reading the vocabulary of x"
    assert phase_of_bytes("fetching x.gguf", 3, 12).name == "Fetching x.gguf, 25%"
    assert phase_of_bytes("reading the vocabulary of x", 0, 0).share == 0


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
