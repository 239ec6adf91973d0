"""Which tokens go into the next llama_decode: policy only, no device, no clock.

Owns the running sequences and the waiting line. Where in the cache a sequence sits, and what
it finds there, is the slots' business (tasks.pool.slots). Knows neither llama.cpp nor what
tokens mean.

A step first continues every running sequence that decodes, then fills what is left of
n_batch with pieces of prompts, those of interactive requests first. A sequence's tokens beyond
what its slot holds are what is still to be computed, so prefill, decode and a resumed prefix are
one case. A step that only decodes may be made longer by guesses (speculate()); those that prove
wrong are cut off again.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Tokens
from dataclasses import replace

from tasks.pool.sequences import Move, Piece, Sequence, Step, TooLongError, common_prefix
from tasks.pool.slots import Slots
from tasks.pool.waiting_line import WaitingLine

# Tokens of prompts, in a step that somebody waits for who reads along.
INTERACTIVE_ROOM = 64


class Scheduler:
    """Plan steps over n_seq_max slots.

    Use: add() requests; then schedule(), perhaps speculate(), compute the step, commit(step), and
    for every complete piece append() the chosen tokens or finish() its sequence; again.

    Args:
        n_ctx: tokens that one sequence may have, prompt and answer together.
        n_batch: tokens of a step, at most; at least n_seq_max.
        n_cells: of a unified cache; None: it is split, n_ctx for each slot.
        reuse: False for models whose cache can't be cut at a position (recurrent ones).
    """

    def __init__(
        self,
        n_seq_max: int,
        n_ctx: int,
        n_batch: int,
        *,
        n_cells: int | None = None,
        reuse: bool = True,
    ) -> None:
        if n_batch < n_seq_max:
            raise ValueError(f"n_batch {n_batch} is below n_seq_max {n_seq_max}")
        self.n_ctx = n_ctx if n_cells is None else min(n_ctx, n_cells)
        self.n_batch = n_batch
        self.reuse = reuse
        self.slots = Slots(n_seq_max, n_cells, reuse=reuse)
        self.waiting: WaitingLine[Sequence] = WaitingLine()
        self.running: list[Sequence] = []  # in the order of admission

    def __bool__(self) -> bool:
        return bool(self.running or len(self.waiting))

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence.

        Raises:
            TooLongError: it can never fit a slot.
        """
        if not sequence.prompt or sequence.max_tokens < 1:
            raise TooLongError("a request needs a prompt and room for one token")
        if sequence.n_cells_max > self.n_ctx:
            raise TooLongError(
                f"{len(sequence.prompt)} prompt tokens and {sequence.max_tokens} for the answer "
                f"exceed the {self.n_ctx} that a sequence holds"
            )
        self.waiting.push(sequence)

    def append(self, sequence: Sequence, tokens: Tokens[int]) -> None:
        """Add chosen tokens; the next step computes the last. Of the guesses that were computed,
        the slot goes on holding those that these tokens confirm."""
        assert sequence.slot is not None
        sequence.tokens += tokens
        del sequence.slot.held[len(sequence.tokens) - 1 :]

    def finish(self, sequence: Sequence) -> None:
        """Free its slot (its cache stays for reuse), or take it out of the waiting line."""
        if sequence.slot is None:
            self.waiting.remove(sequence)
        else:
            self.running.remove(sequence)
            self.slots.leave(sequence)

    def schedule(self) -> Step:
        """Plan the next step: decode, then prefill, then admission, while n_batch has room."""
        # Gaps are for those who wait.
        moves = self.slots.cut() + ([] if len(self.waiting) else self.slots.close_gaps())
        decoding = [s for s in self.running if s.n_generated]
        pieces = [self._piece(s, 1) for s in decoding]
        room = self.n_batch - len(pieces)
        if any(s.interactive for s in decoding):
            room = min(room, INTERACTIVE_ROOM)
        admitted: list[Sequence] = []
        for interactive in (True, False):
            going = [s for s in self.running if not s.n_generated and s.interactive == interactive]
            for sequence in going:
                if room > 0:
                    pieces.append(self._piece(sequence, room))
                    room -= len(pieces[-1].tokens)
            while room > 0 and (seating := self._admit(interactive=interactive)):
                moves += seating
                admitted.append(self.running[-1])
                pieces.append(self._piece(self.running[-1], room))
                room -= len(pieces[-1].tokens)
        # With split KV streams llama.cpp cuts a batch wherever seq_ids don't ascend by one.
        pieces.sort(key=lambda piece: piece.seq_id)
        return Step(admitted, moves, pieces)

    def speculate(self, step: Step, drafts: Mapping[int, Tokens[int]]) -> Step:
        """Return a step that only decodes with guesses of what follows, by sequence id.

        No more are taken than the answer may have, and a step holds.
        """
        room = self.n_batch - len(step.pieces)
        taken: list[list[int]] = []
        for piece in step.pieces:
            most = min(room, piece.sequence.n_left - 1)
            taken.append(list(drafts.get(piece.sequence.id, ()))[:most])
            room -= len(taken[-1])
        if self.slots.is_split:
            # Neighbours are computed together as far as all of them have tokens.
            length = _best_common_length([len(draft) for draft in taken])
            taken = [draft[:length] if len(draft) >= length else [] for draft in taken]
        pieces = [
            replace(piece, tokens=piece.tokens + draft, n_draft=len(draft))
            for piece, draft in zip(step.pieces, taken, strict=True)
        ]
        return replace(step, pieces=pieces)

    def commit(self, step: Step) -> None:
        """Note that a step's tokens are in the cache."""
        for piece in step.pieces:
            slot = self.slots[piece.seq_id]
            slot.held.extend(piece.tokens)
            slot.n_cells = len(slot.held)

    def _piece(self, sequence: Sequence, room: int) -> Piece:
        assert sequence.slot is not None
        pos = len(sequence.slot.held)
        tokens = sequence.tokens[pos : pos + room]
        complete = pos + len(tokens) == len(sequence.tokens)
        return Piece(sequence, sequence.slot.seq_id, pos, tokens, complete)

    def _admit(self, *, interactive: bool) -> list[Move] | None:
        """Seat the next waiting sequence and return how; None: no seat, nobody of that kind is
        next, or better later."""
        sequence = self.waiting.peek()
        if sequence is None or sequence.interactive != interactive or not self.slots.free:
            return None
        if self._comes_soon(sequence):
            return None
        moves = self.slots.seat(sequence)
        if moves is not None:
            self.waiting.remove(sequence)
            self.running.append(sequence)
        return moves

    def _comes_soon(self, sequence: Sequence) -> bool:
        """Whether a running prefill is about to compute more of this prompt's start than any
        slot holds now: then waiting a step or two is cheaper than computing it twice."""
        if not self.reuse:
            return False
        shared = self.slots.longest_prefix(sequence)
        for other in self.running:
            held = len(other.slot.held) if other.slot else 0
            if other.n_generated or held >= len(other.tokens):
                continue
            common = min(common_prefix(other.tokens, sequence.tokens), len(sequence.prompt) - 1)
            if common > held and common - shared >= self.slots.min_gain:
                return True
        return False


def _best_common_length(lengths: list[int]) -> int:
    """Return the length at which most is left, with shorter ones left out and longer ones cut."""
    return max(lengths, key=lambda length: length * sum(each >= length for each in lengths))
