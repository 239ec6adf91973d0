"""Guessing what an answer goes on with, and whether that pays.

A model checks several guessed tokens in one step, and where they are what it would have chosen,
the step has gained them all; the answer is the same with and without. Whether the longer step
takes less time than the steps it saves depends on the machine, on how many sequences are decoded
together, and on how good the guesses are. So it is measured, all the time, for each number of
sequences; where it does not pay, it is tried again rarely enough to cost next to nothing.

Owns the ways to guess that need no model, and that bookkeeping. Knows no llama.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from typing import Protocol

from tasks.pool.sequences import Piece, Sequence

LONGEST = 16  # guesses for one sequence
_FIRST = 4  # of them, before anything is known
_N_GRAMS = (4, 2)  # tokens that must have stood before in the same order; the longer is surer
_PLAIN_MEMORY = 0.95  # of a measurement, for each that follows: about the last twenty count
_GUESSING_TRIALS = 5  # and of guesses, about as many trials
_TRIAL_COST = 0.02  # of all time, at most, goes into trying again what did not pay
_LONGEST_PAUSE = 10_000  # steps
_PLAIN_EVERY = 64  # steps with guesses


class Drafter(Protocol):
    """A way to guess.

    Attributes:
        trial_steps: so many steps show whether it pays: more where it has to read first.
    """

    trial_steps: int

    @property
    def llama_s(self) -> float:
        """Seconds spent in llama.cpp."""
        ...

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> dict[int, list[int]]:
        """Return guesses by sequence id, at most so many as are wanted of each. Sequences for
        which there are none are left out, or have none yet, if time went into them."""
        ...

    def forget(self, sequence_id: int) -> None:
        """The sequence has ended."""
        ...


class Lookup:
    """Guess that what followed last time follows again: summaries and translations copy names,
    figures and phrases of their prompts.

    Prompt-lookup decoding, after Saxena 2023 (https://github.com/apoorvumang/prompt-lookup-decoding).
    """

    trial_steps = 1
    llama_s = 0.0

    def __init__(self) -> None:
        self._known: dict[int, _NGrams] = {}

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> dict[int, list[int]]:
        drafts = {}
        for sequence, n in wanted:
            known = self._known.setdefault(sequence.id, _NGrams(sequence.tokens))
            if draft := known.following(n):
                drafts[sequence.id] = draft
        return drafts

    def forget(self, sequence_id: int) -> None:
        self._known.pop(sequence_id, None)


class _NGrams:
    """Where each run of tokens stood last, for a list of tokens that grows."""

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens
        self._ends: dict[tuple[int, ...], int] = {}  # the position after it
        self._n_read = 1

    def following(self, n: int) -> list[int]:
        """Return what followed the last occurrence of the present end, at most n tokens."""
        tokens = self._tokens
        for end in range(self._n_read, len(tokens)):
            for size in _N_GRAMS:
                if size <= end:
                    self._ends[tuple(tokens[end - size : end])] = end
        self._n_read = max(self._n_read, len(tokens))
        for size in _N_GRAMS:
            if found := self._ends.get(tuple(tokens[-size:])):
                return tokens[found : found + n]
        return []


@dataclass
class Payoff:
    """What guessing has gained in steps of the same number of sequences: tokens a second, with
    guesses and without, of which older ones count less and less.

    It is tried for `trial_steps`; if it was slower, a pause follows that grows with what they cost.
    """

    n_sequences: int
    trial_steps: int = 1
    plain_steps: float = 0.0
    plain_s: float = 0.0
    guessing_steps: float = 0.0
    guessing_s: float = 0.0
    gained: float = 0.0
    tried: int = 0
    pause: int = 0
    since_plain: int = 0

    def note_plain(self, seconds: float) -> None:
        self.plain_steps = _PLAIN_MEMORY * self.plain_steps + 1
        self.plain_s = _PLAIN_MEMORY * self.plain_s + seconds
        self.since_plain = 0

    def note_guessing(self, gained: int, seconds: float) -> None:
        memory = 1 - 1 / (_GUESSING_TRIALS * self.trial_steps)
        self.guessing_steps = memory * self.guessing_steps + 1
        self.guessing_s = memory * self.guessing_s + seconds
        self.gained = memory * self.gained + gained
        self.since_plain += 1
        self.tried += 1
        if self.tried >= self.trial_steps:
            self.tried = 0
            self.pause = self._pause()

    @property
    def ratio(self) -> float:
        """How many times as fast it is with guesses; 0 until both are known."""
        return self._saved_s / self.guessing_s if self.guessing_s and self.plain_s else 0.0

    @property
    def is_worth_trying(self) -> bool:
        """Whether to guess in the next step, if what a plain one takes is known by now."""
        return not self.pause and self.plain_steps > 1.5 and self.since_plain < _PLAIN_EVERY

    @property
    def _saved_s(self) -> float:
        """How long plain steps would have taken for what guessing has gained."""
        return self.gained / self.n_sequences * self.plain_s / self.plain_steps

    def _pause(self) -> int:
        """Return the steps that a trial which lost time is to be followed by."""
        if not 0 < self.ratio < 1:
            return 0
        lost_s = (self.guessing_s - self._saved_s) / self.guessing_steps * self.trial_steps
        plain_steps = lost_s * self.plain_steps / self.plain_s
        return min(_LONGEST_PAUSE, 1 + int(plain_steps / _TRIAL_COST))


@dataclass
class _Way:
    """A drafter, what it has gained by number of sequences, and how far to trust it in each."""

    drafter: Drafter
    payoffs: dict[int, Payoff] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)

    def payoff(self, n_sequences: int) -> Payoff:
        if n_sequences not in self.payoffs:
            self.payoffs[n_sequences] = Payoff(n_sequences, self.drafter.trial_steps)
        return self.payoffs[n_sequences]

    def note_accepted(self, sequence_id: int, n_draft: int, n_accepted: int) -> None:
        """Guess more where all were right, and less where they were not."""
        longer = min(LONGEST, 2 * n_draft) if n_accepted == n_draft else max(1, n_accepted)
        self.lengths[sequence_id] = longer


class Speculator:
    """Choose between the ways to guess, and none.

    Use: drafts() before a step that only decodes, then note() after it; forget() what ended.

    Args:
        drafters: the ways.
        room: guesses that one step may have.
    """

    def __init__(self, drafters: Several[Drafter], room: int) -> None:
        self._ways = [_Way(drafter) for drafter in drafters]
        self._room = room
        self._last: _Way | None = None

    def drafts(self, sequences: Several[Sequence]) -> dict[int, list[int]]:
        """Return guesses for the next step by sequence id; none where they would not pay."""
        self._last = None
        n = len(sequences)
        each = self._room // n
        ways = sorted(self._ways, key=lambda way: -way.payoff(n).ratio) if each else []
        for way in ways:
            if not way.payoff(n).is_worth_trying:
                continue
            wanted = [
                (s, min(each, way.lengths.get(s.id, _FIRST), s.n_left - 1)) for s in sequences
            ]
            if drafts := way.drafter.draft([(s, size) for s, size in wanted if size > 0]):
                self._last = way
                return drafts
        return {}

    def note(self, pieces: Several[Piece], gained: dict[int, int], seconds: float) -> None:
        """Learn from a step that only decoded.

        Args:
            gained: tokens that were added to each sequence, by its id.
            seconds: that it took, guessing included.
        """
        payoffs = [(way, way.payoff(len(pieces))) for way in self._ways]
        for way, payoff in payoffs:
            if way is self._last:
                payoff.note_guessing(sum(gained.values()), seconds)
            else:
                payoff.pause = max(0, payoff.pause - 1)
        if self._last is None:
            for _, payoff in payoffs:
                payoff.note_plain(seconds)
            return
        for piece in pieces:
            if piece.n_draft and piece.sequence.slot is not None:  # else it has ended
                accepted = gained[piece.sequence.id] - 1
                self._last.note_accepted(piece.sequence.id, piece.n_draft, accepted)

    def forget(self, sequence_id: int) -> None:
        for way in self._ways:
            way.drafter.forget(sequence_id)
            way.lengths.pop(sequence_id, None)
