"""Guesses, and whether they pay: plain numbers for tokens and for seconds."""

from __future__ import annotations

from collections.abc import Sequence as Several

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.pool.sequences import Piece, Sequence, Slot
from tasks.pool.speculation import LONGEST, Lookup, Payoff, Speculator

TEXT = [5, 6, 7, 8, 9, 10, 11, 12]


def running(number: int, tokens: list[int], max_tokens: int = 100) -> Sequence:
    sequence = Sequence(number, tokens, max_tokens)
    sequence.slot = Slot(number)
    return sequence


def test_what_followed_last_time_is_guessed() -> None:
    sequence = running(0, [*TEXT, 1, 2, 5, 6])

    assert Lookup().draft([(sequence, 3)]) == {0: [7, 8, 9]}


def test_the_longer_run_of_tokens_decides() -> None:
    """The pair stood last before a 99, but all four before a 7."""
    sequence = running(0, [1, 2, 5, 6, 7, 8, 5, 6, 99, 1, 2, 5, 6])

    assert Lookup().draft([(sequence, 1)]) == {0: [7]}


def test_what_was_never_seen_is_not_guessed() -> None:
    lookup = Lookup()
    sequence = running(0, [*TEXT, 1, 2, 3])

    assert lookup.draft([(sequence, 3)]) == {}
    sequence.tokens += [5, 6, 7]  # the answer begins to copy
    assert lookup.draft([(sequence, 3)]) == {0: [8, 9, 10]}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 9))
def test_a_guess_is_always_a_copy_of_what_followed_the_same(tokens: list[int], n: int) -> None:
    draft = Lookup().draft([(running(0, list(tokens)), n)]).get(0, [])

    assert len(draft) <= n
    if draft:
        pair = tokens[-2:]
        starts = [at for at in range(len(tokens) - 2) if tokens[at : at + 2] == pair]
        assert any(tokens[at + 2 :][: len(draft)] == draft for at in starts)


def payoff(ratio: float, trial_steps: int = 1) -> Payoff:
    """Return one that has seen plain steps of a second, and guessing ones this much faster."""
    made = Payoff(4, trial_steps)
    for _ in range(20):
        made.note_plain(1.0)
    for _ in range(10 * trial_steps):
        made.note_guessing(gained=8, seconds=2 / ratio)
    return made


def test_the_ratio_is_of_tokens_a_second() -> None:
    assert payoff(1.5).ratio == pytest.approx(1.5)


def test_where_it_pays_nearly_every_step_guesses() -> None:
    """All but those that find out anew what a plain step takes."""
    seen, steps = payoff(1.5), 1_000
    guessed = 0
    for _ in range(steps):
        if seen.is_worth_trying:
            guessed += 1
            seen.note_guessing(gained=8, seconds=2 / 1.5)
        else:
            seen.note_plain(1.0)

    assert steps * 0.95 < guessed < steps


@pytest.mark.parametrize("trial_steps", [1, 32])
@pytest.mark.parametrize("ratio", [0.3, 0.7, 0.95])
def test_where_it_does_not_pay_trying_costs_next_to_nothing(ratio: float, trial_steps: int) -> None:
    """At most three percent of the time, and it is still tried now and then."""
    seen, seconds, tokens, tried = payoff(ratio, trial_steps), 0.0, 0, 0
    for _ in range(60_000):
        if seen.is_worth_trying:
            tried += 1
            seen.note_guessing(gained=8, seconds=2 / ratio)
            seconds, tokens = seconds + 2 / ratio, tokens + 8
        else:
            seen.pause = max(0, seen.pause - 1)
            seen.note_plain(1.0)
            seconds, tokens = seconds + 1, tokens + 4

    assert tried >= 5 * trial_steps
    assert seconds / (tokens / 4) < 1.03


def test_a_long_trial_is_judged_at_its_end() -> None:
    """What reads a prompt first is slow at first; that it pays shows over the whole answer."""
    seen = Payoff(1, 32)
    for _ in range(5):
        seen.note_plain(1.0)
    for step in range(32):
        assert seen.is_worth_trying
        seen.note_guessing(gained=1 if step < 8 else 3, seconds=1.5)

    assert seen.is_worth_trying
    assert seen.ratio > 1


def test_nothing_is_guessed_before_a_plain_step_was_measured() -> None:
    speculator = Speculator([Lookup()], room=32)
    sequences = [running(0, [*TEXT, 5, 6])]

    assert speculator.drafts(sequences) == {}


class Parrot:
    """Guesses the same whatever is asked, as long as is wanted."""

    trial_steps = 1
    llama_s = 0.0

    def __init__(self) -> None:
        self.wanted: list[list[int]] = []

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> dict[int, list[int]]:
        self.wanted.append([size for _, size in wanted])
        return {sequence.id: [1] * size for sequence, size in wanted}

    def forget(self, sequence_id: int) -> None:
        pass


def step(speculator: Speculator, sequences: list[Sequence], right: list[int]) -> None:
    """Do a step in which so many guesses of each sequence are right; it always pays."""
    drafts = speculator.drafts(sequences)
    pieces = [
        Piece(s, s.id, 0, [0, *drafts.get(s.id, [])], True, len(drafts.get(s.id, [])))
        for s in sequences
    ]
    gained = {p.sequence.id: 1 + min(n, p.n_draft) for p, n in zip(pieces, right, strict=True)}
    speculator.note(pieces, gained, 0.001 if drafts else 1.0)


def test_those_who_are_guessed_right_are_guessed_further() -> None:
    """Each sequence by itself: twice as far when all were right, and as far as they were right
    otherwise; never beyond its share of the room, or its answer's end."""
    parrot = Parrot()
    speculator = Speculator([parrot], room=3 * LONGEST)
    sequences = [running(0, [1]), running(1, [1]), running(2, [1], max_tokens=4)]
    for _ in range(6):
        step(speculator, sequences, [99, 1, 99])

    assert parrot.wanted == [[4, 4, 3], [8, 1, 3], [16, 2, 3], [16, 1, 3]]


def test_a_drafter_that_measures_faster_is_asked_first() -> None:
    slow, fast = Parrot(), Parrot()
    speculator = Speculator([slow, fast], room=32)
    sequences = [running(0, [1])]
    for _ in range(2):
        step(speculator, sequences, [0])
    slow_payoff, fast_payoff = (way.payoff(1) for way in speculator._ways)
    slow_payoff.note_guessing(1, 0.9)
    fast_payoff.note_guessing(1, 0.1)
    step(speculator, sequences, [99])

    assert (len(slow.wanted), len(fast.wanted)) == (0, 1)


def test_a_pause_begins_with_a_trial_and_not_without_one() -> None:
    """Steps for which there was nothing to guess use up a pause, and start none."""
    speculator = Speculator([Lookup()], room=32)
    sequence = running(0, [1, 2, 3, 4, 5, 6])
    for _ in range(9):
        step(speculator, [sequence], [0])

    assert speculator._ways[0].payoff(1).is_worth_trying
