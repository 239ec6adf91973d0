"""Guesses by a smaller model with the same vocabulary: what it would say next, it guesses.

Owns the draft model's context and what it holds of each sequence. Whether its guesses are worth
their time is measured elsewhere (tasks.pool.speculation).
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from time import perf_counter

from tasks.pool.model_runner import ModelRunner
from tasks.pool.sequences import Move, Piece, Sequence, common_prefix


@dataclass(eq=False)
class _Follower:
    """A sequence as the draft model has it: where, and which tokens its cache holds."""

    sequence: Sequence
    seq_id: int
    held: list[int] = field(default_factory=list)


class DraftModel:
    """A drafter. Reading a prompt, or whatever else of a sequence it has not seen, comes first.

    Args:
        runner: of the draft model, with as many sequences as the other's.
    """

    def __init__(self, runner: ModelRunner) -> None:
        self._runner = runner
        self._followers: dict[int, _Follower] = {}
        self._free = list(range(runner.n_seq_max))
        self.reading_s: dict[int, float] = {}

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> dict[int, list[int]]:
        self.reading_s = {}
        # The draft model may hold fewer tokens than the other.
        fitting = [(s, n) for s, n in wanted if len(s.tokens) + n <= self._runner.n_ctx]
        for sequence, _ in fitting:
            self._read(self._follow(sequence))
        drafts: dict[int, list[int]] = {sequence.id: [] for sequence, _ in fitting}
        longest = max((n for _, n in fitting), default=0)
        for step in range(longest):
            going = [s for s, n in fitting if n > step]
            for sequence_id, token in self._step(going, drafts).items():
                drafts[sequence_id].append(token)
        return drafts

    def forget(self, sequence_id: int) -> None:
        if follower := self._followers.pop(sequence_id, None):
            self._free.append(follower.seq_id)

    def _follow(self, sequence: Sequence) -> _Follower:
        if sequence.id not in self._followers:
            follower = _Follower(sequence, self._free.pop())
            self._followers[sequence.id] = follower
            self._runner.move(Move(follower.seq_id, None, 0))
        return self._followers[sequence.id]

    def _read(self, follower: _Follower) -> None:
        """Bring the cache to all of the sequence's tokens but the last; wrong guesses go."""
        tokens, began = follower.sequence.tokens, perf_counter()
        keep = min(common_prefix(follower.held, tokens), len(tokens) - 1)
        if keep < len(follower.held):
            self._runner.move(Move(follower.seq_id, None, keep))
            del follower.held[keep:]
        for at in range(keep, len(tokens) - 1, self._runner.n_batch):
            part = tokens[at : min(at + self._runner.n_batch, len(tokens) - 1)]
            self._runner.decode([Piece(follower.sequence, follower.seq_id, at, part, False)])
            follower.held += part
        if len(tokens) - 1 - keep > 1:  # else it is no more than the next token's step
            self.reading_s[follower.sequence.id] = perf_counter() - began

    def _step(self, sequences: list[Sequence], drafts: dict[int, list[int]]) -> dict[int, int]:
        """Compute one token of each, and return the best next ones by sequence id."""
        pieces = []
        for sequence in sequences:
            follower = self._followers[sequence.id]
            last = (drafts[sequence.id] or sequence.tokens)[-1]
            pieces.append(Piece(sequence, follower.seq_id, len(follower.held), [last], True))
            follower.held.append(last)
        pieces.sort(key=lambda piece: piece.seq_id)
        rows = self._runner.decode(pieces)
        return {each: int(self._runner.logits(row).argmax()) for each, row in rows.items()}
