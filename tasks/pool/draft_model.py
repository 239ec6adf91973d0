"""Guesses by a smaller model with the same vocabulary: what it would say next, it guesses.

Owns the draft model's context and what it holds of each sequence. Whether its guesses are worth
their time is measured elsewhere (tasks.pool.speculation).
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass, field

from tasks.pool.model_runner import ModelRunner
from tasks.pool.scheduler import INTERACTIVE_ROOM
from tasks.pool.sequences import Move, Piece, Sequence, common_prefix


@dataclass(eq=False)
class _Follower:
    """A sequence as the draft model has it: where, and which tokens its cache holds."""

    sequence: Sequence
    seq_id: int
    held: list[int] = field(default_factory=list)

    @property
    def is_level(self) -> bool:
        """Whether all but the last token have been read."""
        return len(self.held) == len(self.sequence.tokens) - 1


class DraftModel:
    """A drafter. Before it guesses it reads, a step's worth of tokens at a time.

    Args:
        runner: of the draft model, with as many sequences as the other's.
        n_vocab: of the other; one of the two may have some tokens more, which no text has.
    """

    trial_steps = 32  # reading a prompt has to pay over the answer

    def __init__(self, runner: ModelRunner, n_vocab: int) -> None:
        self._runner = runner
        self._n_vocab = min(n_vocab, runner.n_vocab)
        self._followers: dict[int, _Follower] = {}
        self._free = list(range(runner.n_seq_max))

    @property
    def llama_s(self) -> float:
        return self._runner.llama_s

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> dict[int, list[int]]:
        # The draft model may hold fewer tokens than the other.
        fitting = [(s, n) for s, n in wanted if len(s.tokens) + n <= self._runner.n_ctx]
        drafts: dict[int, list[int]] = {sequence.id: [] for sequence, _ in fitting}
        room = self._runner.n_batch
        if any(sequence.interactive for sequence, _ in fitting):
            room = INTERACTIVE_ROOM
        for sequence, _ in fitting:
            room -= self._read(self._follow(sequence), room)
        level = [(s, n) for s, n in fitting if self._followers[s.id].is_level]
        for step in range(max((n for _, n in level), default=0)):
            going = [sequence for sequence, n in level if n > step]
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

    def _read(self, follower: _Follower, room: int) -> int:
        """Bring the cache nearer to the sequence's tokens, all but the last; wrong guesses go.

        Returns:
            How many tokens were read, at most `room`.
        """
        tokens, held = follower.sequence.tokens, follower.held
        keep = min(common_prefix(held, tokens), len(tokens) - 1)
        if keep < len(held):
            self._runner.move(Move(follower.seq_id, None, keep))
            del held[keep:]
        part = tokens[keep : min(keep + room, len(tokens) - 1)]
        if part:
            known = [self._known(token) for token in part]
            self._runner.decode([Piece(follower.sequence, follower.seq_id, keep, known, False)])
            held += part
        return len(part)

    def _step(self, sequences: list[Sequence], drafts: dict[int, list[int]]) -> dict[int, int]:
        """Compute one token of each, and return the best next ones by sequence id."""
        pieces = []
        for sequence in sequences:
            follower = self._followers[sequence.id]
            last = (drafts[sequence.id] or sequence.tokens)[-1]
            at = len(follower.held)
            pieces.append(Piece(sequence, follower.seq_id, at, [self._known(last)], True))
            follower.held.append(last)
        pieces.sort(key=lambda piece: piece.seq_id)
        rows = self._runner.decode(pieces)
        return {
            sequence_id: int(self._runner.logits(row)[: self._n_vocab].argmax())
            for sequence_id, row in rows.items()
        }

    def _known(self, token: int) -> int:
        """Return a token, or another in the place of one that only the other model has: a worse
        guess may come of it, and no error."""
        return token if token < self._n_vocab else 0
