"""What the scheduler plans with: sequences, the slots they sit in, and the steps they take.

Records and one comparison; no policy.
"""

from __future__ import annotations

from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field


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

    @property
    def n_left(self) -> int:
        """Tokens that may still be generated."""
        return self.max_tokens - self.n_generated

    @property
    def n_cells_max(self) -> int:
        """Cells of the cache that it may need."""
        return len(self.prompt) + self.max_tokens


@dataclass(eq=False)
class Slot:
    """A seat with a seq_id.

    Attributes:
        held: the tokens in its KV cache that are good for something; kept after its sequence
            has left, for a later prompt that begins with the same.
        n_cells: tokens in its cache, those behind `held` included: guesses that were wrong.
        used: grows with each use of any slot.
    """

    seq_id: int
    held: list[int] = field(default_factory=list)
    n_cells: int = 0
    used: int = 0
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
    """Consecutive tokens of one sequence.

    Attributes:
        complete: they reach its end, so its next token can be chosen: logits are needed for the
            last of them, and for each guess.
        n_draft: how many of them, at the end, are guesses.
    """

    sequence: Sequence
    seq_id: int
    pos: int
    tokens: list[int]
    complete: bool
    n_draft: int = 0

    @property
    def draft(self) -> list[int]:
        return self.tokens[len(self.tokens) - self.n_draft :]


@dataclass(frozen=True)
class Step:
    """One decode call: moves first, then all pieces as one batch, by ascending seq_id."""

    admitted: list[Sequence]
    moves: list[Move]
    pieces: list[Piece]

    @property
    def only_decodes(self) -> bool:
        return all(piece.sequence.n_generated for piece in self.pieces)


def common_prefix(a: list[int], b: list[int]) -> int:
    """Return how many leading items two lists share, by comparing slices: a loop over a prompt
    of some thousand tokens takes a hundred times as long."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
