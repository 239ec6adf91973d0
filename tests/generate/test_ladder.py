"""The ladder: whatever answers come, every line ends, in few calls."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.generate.ladder import RUNGS, Climb, Judged, Positions, climb
from tasks.records import Generation, Line, PromptRef, Request, Sampling

REF = PromptRef(name="translate", version=1, language="en", hash="")


def make(rung: int, positions: Positions) -> Request:
    return Request(
        key=f"{rung} {positions}",
        task="translate",
        source_id="",
        level=rung,
        messages=(),
        sampling=Sampling(max_tokens=1),
        prompt=REF,
        prompt_tokens=1,
        lines=tuple(Line(n + 1, f"line {n}", 1) for n in positions),
    )


def row(request: Request, text: str) -> Generation:
    return Generation(
        key=request.key, attempt=1, task="translate", source_id="", first_n=1, last_n=1,
        level=request.level, text=text, status="ok",
    )  # fmt: skip


def judge(request: Request, row: Generation) -> list[Judged]:
    """An answer is a word a line: "ok", or the checks that it fails."""
    return [
        Judged("a text") if word == "ok" else Judged("a text", tuple(word.split("+")))
        for word in row.text.split()
    ]


def play(n_lines: int, model: Callable[[Request], str]) -> tuple[Climb, int]:
    """Climb to the end; return it, and the calls."""
    done: dict[str, Generation] = {}
    while True:
        state = climb(n_lines, done, make, judge)
        if not state.missing:
            return state, len(done)
        for request in state.missing:
            assert request.key not in done
            done[request.key] = row(request, model(request))


def all_of(word: str) -> Callable[[Request], str]:
    return lambda request: " ".join([word] * len(request.lines))


def test_a_good_answer_is_one_call() -> None:
    state, calls = play(40, all_of("ok"))

    assert calls == 1
    assert {each.status for each in state.lines.values()} == {"ok"}
    assert sorted(state.lines) == list(range(40))


def test_only_what_fails_is_asked_again() -> None:
    def model(request: Request) -> str:
        return " ".join(
            "missing" if line.n == 3 and not request.level else "ok" for line in request.lines
        )

    state, calls = play(5, model)

    assert calls == 2
    assert [state.lines[n].status for n in range(5)] == ["ok", "ok", "repaired", "ok", "ok"]


def test_a_term_that_is_not_kept_to_is_asked_for_once_more() -> None:
    """And a figure that is missing till the end; one line has no halves."""

    def model(request: Request) -> str:
        return " ".join({1: "glossary", 2: "figures"}.get(each.n, "ok") for each in request.lines)

    state, calls = play(6, model)

    assert calls == 3
    assert [(state.lines[n].status, state.lines[n].checks) for n in (0, 1)] == [
        ("failed", ("glossary",)),
        ("failed", ("figures",)),
    ]


def test_a_model_that_cannot_do_it_costs_four_calls() -> None:
    """And the source stays, with the reason."""
    state, calls = play(40, all_of("untranslated"))

    assert calls == 4
    assert {(each.status, each.text, each.checks) for each in state.lines.values()} == {
        ("kept", "", ("untranslated",))
    }


def test_halves_and_single_lines_are_tried_while_that_mends_something() -> None:
    """A model that does two lines at most."""
    state, calls = play(
        8, lambda request: all_of("ok" if len(request.lines) <= 2 else "missing")(request)
    )

    assert {each.status for each in state.lines.values()} == {"kept"}
    assert calls == 4

    state, calls = play(
        4, lambda request: all_of("ok" if len(request.lines) <= 2 else "missing")(request)
    )
    assert {each.status for each in state.lines.values()} == {"repaired"}
    assert calls == 4


def test_what_is_only_doubtful_is_shown_and_marked() -> None:
    """The attempt with the fewest faults, before the source."""

    def model(request: Request) -> str:
        return all_of(["missing", "figures+glossary", "figures", "untranslated"][request.level])(
            request
        )

    state, _ = play(2, model)

    line = state.lines[1]
    assert (line.status, line.text, line.checks) == ("failed", "a text", ("figures",))


def test_no_answer_is_no_end() -> None:
    state, calls = play(3, lambda request: all_of("ok")(request) if request.level else "")

    assert calls == 2
    assert {each.status for each in state.lines.values()} == {"repaired"}


@pytest.mark.hypothesis
@given(n_lines=st.integers(1, 30), seed=st.integers(), share=st.floats(0, 1))
def test_every_line_ends_whatever_comes(n_lines: int, seed: int, share: float) -> None:
    dice = Random(seed)

    def model(request: Request) -> str:
        words = ("missing", "figures", "untranslated+length")
        if dice.random() < 0.1:
            return ""
        return " ".join(
            "ok" if dice.random() < share else dice.choice(words) for _ in request.lines
        )

    state, calls = play(n_lines, model)

    assert sorted(state.lines) == list(range(n_lines))
    assert calls <= RUNGS + n_lines
    assert all(each.key for each in state.lines.values())
