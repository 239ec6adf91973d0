"""Who sits where in the KV cache, and what of it is used again: policy only.

The cache is split or unified. Split: each seq_id has n_ctx cells of its own, a prefix is copied,
and llama.cpp computes together only seq_ids that follow one another, so running sequences are
kept side by side. Unified: all seq_ids share n_cells, so a sequence is seated only when the cells
that it may need at most are free; what others left there goes, least recently used first.
"""

from __future__ import annotations

from collections.abc import Sequence as Several

from tasks.pool.sequences import Move, Sequence, Slot, common_prefix

# Copying a slot's whole KV stream costs about as much as prefilling a few dozen tokens,
MIN_COPY_GAIN = 32
# and as a few steps in which a sequence that sits apart is computed apart.
MIN_STEPS_LEFT = 8


class Slots:
    """n_seq_max slots over one cache.

    Args:
        n_cells: of a unified cache; None: it is split.
        reuse: False for models whose cache can't be cut at a position (recurrent ones).
    """

    def __init__(self, n_seq_max: int, n_cells: int | None, *, reuse: bool) -> None:
        self._all = [Slot(seq_id) for seq_id in range(n_seq_max)]
        self._n_cells = n_cells
        self._reuse = reuse
        # Unified: cells are shared, not copied.
        self.min_gain = MIN_COPY_GAIN if n_cells is None else 1
        self._uses = 0

    def __getitem__(self, seq_id: int) -> Slot:
        return self._all[seq_id]

    @property
    def is_split(self) -> bool:
        return self._n_cells is None

    @property
    def free(self) -> list[Slot]:
        return [slot for slot in self._all if slot.sequence is None]

    @property
    def taken(self) -> list[Slot]:
        return [slot for slot in self._all if slot.sequence is not None]

    def longest_prefix(self, sequence: Sequence) -> int:
        """Return how much of a prompt's start some slot holds."""
        return max(self._shared(sequence, slot) for slot in self._all)

    def seat(self, sequence: Sequence) -> list[Move] | None:
        """Seat a sequence with as much of its prompt as the cache holds.

        Returns:
            What is to be done to the cache first; None: there is no room yet.
        """
        free = self.free
        if not free:
            return None
        shared = [self._shared(sequence, slot) for slot in self._all]
        slot = self._choose(free, shared)
        best = max(self._all, key=lambda each: shared[each.seq_id])
        gain = shared[best.seq_id] - shared[slot.seq_id]
        # Where keeping the better source leaves no room, do without it.
        for source in (best, slot) if gain >= self.min_gain else (slot,):
            emptied = self._make_room(sequence, slot, source)
            if emptied is not None:
                sequence.cached_tokens = shared[source.seq_id]
                self._sit(sequence, slot, source.held[: sequence.cached_tokens])
                return [*emptied, _move(slot, source)]
        return None

    def leave(self, sequence: Sequence) -> None:
        """Free a sequence's slot; its cache stays for later prompts."""
        assert sequence.slot is not None
        self._touch(sequence.slot)
        sequence.slot.sequence = None
        sequence.slot = None

    def cut(self) -> list[Move]:
        """Drop what wrong guesses left behind running sequences."""
        longer = [slot for slot in self.taken if slot.n_cells > len(slot.held)]
        for slot in longer:
            slot.n_cells = len(slot.held)
        return [_move(slot, slot) for slot in longer]

    def close_gaps(self) -> list[Move]:
        """Bring sequences of a split cache that sit apart next to the others."""
        taken = self.taken
        if not self.is_split or not self._reuse or not taken:
            return []
        starts = range(len(self._all) - len(taken) + 1)
        blocks = [self._all[start : start + len(taken)] for start in starts]
        block = max(blocks, key=lambda each: sum(slot.sequence is not None for slot in each))
        apart = [slot for slot in taken if slot not in block]
        seats = [slot for slot in block if slot.sequence is None]
        moves = []
        for source, slot in zip(apart, seats, strict=True):
            sequence = source.sequence
            assert sequence is not None
            if sequence.n_left >= MIN_STEPS_LEFT:
                self.leave(sequence)
                self._sit(sequence, slot, list(source.held))
                moves.append(_move(slot, source))
        return moves

    def _sit(self, sequence: Sequence, slot: Slot, held: list[int]) -> None:
        slot.sequence, sequence.slot = sequence, slot
        slot.held, slot.n_cells = held, len(held)
        self._touch(slot)

    def _touch(self, slot: Slot) -> None:
        self._uses += 1
        slot.used = self._uses

    def _choose(self, free: Several[Slot], shared: Several[int]) -> Slot:
        """Return the slot to sit in: of those that hold about as much of the prompt as the best,
        one beside a running sequence if that matters, and then the least recently used.

        Args:
            shared: how much of the prompt each slot holds, by seq_id.
        """
        most = max(shared[slot.seq_id] for slot in free)
        good = [slot for slot in free if most - shared[slot.seq_id] < MIN_COPY_GAIN]
        return min(good, key=lambda slot: (not self._is_beside(slot), slot.used))

    def _is_beside(self, slot: Slot) -> bool:
        around = self._all[max(0, slot.seq_id - 1) : slot.seq_id + 2]
        return self.is_split and any(other.sequence for other in around)

    def _make_room(self, sequence: Sequence, seat: Slot, source: Slot) -> list[Move] | None:
        """Empty idle slots of a unified cache, least recently used first, until a sequence has
        its cells; None if not even all of them would do.

        Cells that slots share are counted for each, which can only be too careful.
        """
        if self._n_cells is None:
            return []
        room = self._n_cells - sequence.n_cells_max
        room -= sum(slot.sequence.n_cells_max for slot in self._all if slot.sequence)
        idle = [slot for slot in self.free if slot is not seat and slot.n_cells]
        room -= sum(slot.n_cells for slot in idle)
        emptied = []
        for slot in sorted(idle, key=lambda slot: slot.used):
            if room < 0 and slot is not source:
                room += slot.n_cells
                emptied.append(slot)
        if room < 0:
            return None
        for slot in emptied:
            slot.held, slot.n_cells = [], 0
        return [_move(slot, slot) for slot in emptied]

    def _shared(self, sequence: Sequence, slot: Slot) -> int:
        """Return how many tokens of a prompt's start a slot holds.

        The last prompt token is never counted: it must be computed to have its logits.
        """
        if not self._reuse:
            return 0
        return min(common_prefix(slot.held, sequence.tokens), len(sequence.prompt) - 1)


def _move(slot: Slot, source: Slot) -> Move:
    return Move(slot.seq_id, None if source is slot else source.seq_id, len(slot.held))
