"""Which tokens go into the next llama_decode: policy only, no device, no clock.

Owns the waiting line, the slots (a slot is a seat with a seq_id and what its KV cache
holds) and the prefix reuse between them. Knows neither llama.cpp nor what tokens mean.

A step first continues every running sequence that decodes, then fills what is left of
n_batch with pieces of prompts. A sequence's tokens beyond what its slot holds are what is
still to be computed, so prefill, decode and a resumed prefix are one case.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field

# Copying a slot's whole KV stream costs about as much as prefilling a few dozen tokens.
MIN_COPY_GAIN = 32


class TooLongError(ValueError):
    """The prompt and the answer's limit don't fit a sequence."""


@dataclass(eq=False)
class Sequence:
    """A request as the scheduler sees it.

    Attributes:
        tokens: the prompt, then the generated tokens.
        slot: None while waiting.
        cached_tokens: of the prompt, taken from the KV cache.
    """

    id: int
    prompt: Tokens[int]
    max_tokens: int
    run: str = ""
    interactive: bool = False
    tokens: list[int] = field(init=False)
    slot: Slot | None = field(default=None, init=False)
    cached_tokens: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.tokens = list(self.prompt)

    @property
    def n_generated(self) -> int:
        return len(self.tokens) - len(self.prompt)


@dataclass(eq=False)
class Slot:
    """A seat with a seq_id. `held` are the tokens in its KV cache, kept after its sequence
    has left, for a later prompt that begins with the same."""

    seq_id: int
    held: list[int] = field(default_factory=list)
    sequence: Sequence | None = None


@dataclass(frozen=True)
class Move:
    """Before the step's decode: copy source's cache into seq_id (unless source is None),
    then drop seq_id's cache from position `keep` on."""

    seq_id: int
    source: int | None
    keep: int


@dataclass(frozen=True)
class Piece:
    """Consecutive tokens of one sequence. `complete`: they reach its end, so its next token
    can be chosen, and logits are needed for the last of them."""

    sequence: Sequence
    seq_id: int
    pos: int
    tokens: list[int]
    complete: bool


@dataclass(frozen=True)
class Step:
    """One decode call: moves first, then all pieces as one batch, by ascending seq_id."""

    admitted: list[Sequence]
    moves: list[Move]
    pieces: list[Piece]


class WaitingLine:
    """Interactive before batch; within each, one request of every run in turn."""

    def __init__(self) -> None:
        self._turns: tuple[deque[str], deque[str]] = (deque(), deque())
        self._lines: dict[tuple[bool, str], deque[Sequence]] = {}

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def __iter__(self) -> Iterator[Sequence]:
        for line in self._lines.values():
            yield from line

    def push(self, sequence: Sequence) -> None:
        kind = (sequence.interactive, sequence.run)
        if kind not in self._lines:
            self._lines[kind] = deque()
            self._turns[not sequence.interactive].append(sequence.run)
        self._lines[kind].append(sequence)

    def peek(self) -> Sequence | None:
        for turns, interactive in zip(self._turns, (True, False), strict=True):
            if turns:
                return self._lines[interactive, turns[0]][0]
        return None

    def remove(self, sequence: Sequence) -> None:
        """Take it out; if it was its run's turn, the next run's turn comes."""
        kind = (sequence.interactive, sequence.run)
        line, turns = self._lines[kind], self._turns[not sequence.interactive]
        had_turn = turns[0] == sequence.run and line[0] is sequence
        line.remove(sequence)
        if not line:
            del self._lines[kind]
            turns.remove(sequence.run)
        elif had_turn:
            turns.rotate(-1)


class Scheduler:
    """Plan steps over n_seq_max slots of n_ctx tokens each.

    Use: add() requests; then schedule(), compute the step, commit(step), and for every
    complete piece append() the chosen token or finish() its sequence; again.

    Args:
        n_batch: tokens of a step, at most; at least n_seq_max.
        reuse: False for models whose cache can't be cut at a position (recurrent ones).
    """

    def __init__(self, n_seq_max: int, n_ctx: int, n_batch: int, *, reuse: bool = True) -> None:
        if n_batch < n_seq_max:
            raise ValueError(f"n_batch {n_batch} is below n_seq_max {n_seq_max}")
        self.n_ctx = n_ctx
        self.n_batch = n_batch
        self.reuse = reuse
        self.slots = [Slot(seq_id) for seq_id in range(n_seq_max)]
        self.waiting = WaitingLine()
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
        if len(sequence.prompt) + sequence.max_tokens > self.n_ctx:
            raise TooLongError(
                f"{len(sequence.prompt)} prompt tokens and {sequence.max_tokens} for the answer "
                f"exceed the {self.n_ctx} that a sequence holds"
            )
        self.waiting.push(sequence)

    def append(self, sequence: Sequence, token: int) -> None:
        """Add a chosen token; the next step computes it."""
        sequence.tokens.append(token)

    def finish(self, sequence: Sequence) -> None:
        """Free its slot (its cache stays for reuse), or take it out of the waiting line."""
        if sequence.slot is None:
            self.waiting.remove(sequence)
            return
        self.running.remove(sequence)
        sequence.slot.sequence = None
        sequence.slot = None

    def schedule(self) -> Step:
        """Plan the next step: decode, then prefill, then admission, while n_batch has room."""
        pieces = [self._piece(s, 1) for s in self.running if s.n_generated]
        room = self.n_batch - len(pieces)
        for sequence in [s for s in self.running if not s.n_generated]:
            if room > 0:
                pieces.append(self._piece(sequence, room))
                room -= len(pieces[-1].tokens)
        admitted, moves = [], []
        while room > 0 and (move := self._admit()):
            moves.append(move)
            admitted.append(self.running[-1])
            pieces.append(self._piece(self.running[-1], room))
            room -= len(pieces[-1].tokens)
        # With split KV streams llama.cpp cuts a batch wherever seq_ids don't ascend by one.
        pieces.sort(key=lambda piece: piece.seq_id)
        return Step(admitted, moves, pieces)

    def commit(self, step: Step) -> None:
        """Note that a step's tokens are in the cache."""
        for piece in step.pieces:
            self.slots[piece.seq_id].held.extend(piece.tokens)

    def _piece(self, sequence: Sequence, room: int) -> Piece:
        assert sequence.slot is not None
        pos = len(sequence.slot.held)
        tokens = sequence.tokens[pos : pos + room]
        complete = pos + len(tokens) == len(sequence.tokens)
        return Piece(sequence, sequence.slot.seq_id, pos, tokens, complete)

    def _admit(self) -> Move | None:
        """Seat the next waiting sequence, or none: no slot, nobody waits, or better later."""
        sequence = self.waiting.peek()
        free = [slot for slot in self.slots if slot.sequence is None]
        if sequence is None or not free:
            return None
        source, shared = self._best_prefix(sequence, self.slots)
        if self._comes_soon(sequence, shared):
            return None
        slot, own = self._best_prefix(sequence, free)
        if shared - own < MIN_COPY_GAIN:
            source, shared = slot, own
        self.waiting.remove(sequence)
        self.running.append(sequence)
        slot.sequence, sequence.slot = sequence, slot
        slot.held = source.held[:shared]
        sequence.cached_tokens = shared
        return Move(slot.seq_id, None if source is slot else source.seq_id, shared)

    def _best_prefix(self, sequence: Sequence, slots: list[Slot]) -> tuple[Slot, int]:
        """Return the slot that holds most of the prompt's start, the first among equals.

        The last prompt token is never counted: it must be computed to have its logits.
        """
        if not self.reuse:
            return slots[0], 0
        usable = sequence.tokens[:-1]
        lengths = [common_prefix(slot.held, usable) for slot in slots]
        best = max(range(len(slots)), key=lengths.__getitem__)
        return slots[best], lengths[best]

    def _comes_soon(self, sequence: Sequence, shared: int) -> bool:
        """Whether a running prefill is about to compute more of this prompt's start than any
        slot holds now: then waiting a step or two is cheaper than computing it twice."""
        if not self.reuse:
            return False
        for other in self.running:
            held = len(other.slot.held) if other.slot else 0
            if other.n_generated or held >= len(other.tokens):
                continue
            common = common_prefix(other.tokens, sequence.tokens[:-1])
            if common > held and common - shared >= MIN_COPY_GAIN:
                return True
        return False


def common_prefix(a: Tokens[int], b: Tokens[int]) -> int:
    """Return how many leading items two lists share."""
    n = 0
    for n, (x, y) in enumerate(zip(a, b, strict=False), 1):
        if x != y:
            return n - 1
    return n
