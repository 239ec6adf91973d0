"""The requests that all peers answer: tokens in, a fixed number of tokens out.

A prompt is a part that all of its kind share and a part of its own. Every round has new ones, so
that nobody lives on what an earlier round left in a cache; the same seed gives the same prompts.

With the models of shapes.py the answer to a prompt that ends in token t is t + 1, t + 2, and so
on. What a prompt holds of this path in advance decides what looking answers up in the prompt is
worth: nothing, everything, or pieces that go on in another way.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .shapes import FIRST_WORD, word

Ahead = Literal["nothing", "everything", "misleading"]
_PIECE = 4  # of a misleading prompt: three tokens of the path, then one that is not its next


@dataclass(frozen=True)
class Request:
    prompt: list[int]
    max_tokens: int

    @property
    def answer(self) -> list[str]:
        """The words that the right answer consists of."""
        last = self.prompt[-1]
        return [word(last + n) for n in range(1, self.max_tokens + 1)]


@dataclass(frozen=True)
class Kind:
    """Prompt tokens that all share, prompt tokens of each one's own, and tokens out."""

    shared: int
    own: int
    out: int
    ahead: Ahead = "nothing"


@dataclass(frozen=True)
class Work:
    """A batch: so many requests of these kinds in turn."""

    kinds: tuple[Kind, ...]
    n_requests: int

    @property
    def longest(self) -> int:
        """Return the tokens that a sequence must hold."""
        return max(kind.shared + kind.own + kind.out for kind in self.kinds)

    def requests(self, seed: str, vocabulary: int) -> list[Request]:
        """Return the batch; the same seed, the same tokens."""
        rng = random.Random(seed)
        top = vocabulary - max(max(kind.own, kind.out) for kind in self.kinds)
        shared = [_tokens(rng, kind.shared, top) for kind in self.kinds]
        turns = (n % len(self.kinds) for n in range(self.n_requests))
        return [
            Request(shared[turn] + _own(rng, self.kinds[turn], top), self.kinds[turn].out)
            for turn in turns
        ]


SUMMARISE = Kind(shared=120, own=400, out=64)
TRANSLATE = Kind(shared=200, own=300, out=350)


def total_prompt(requests: Sequence[Request]) -> int:
    return sum(len(request.prompt) for request in requests)


def total_out(requests: Sequence[Request]) -> int:
    return sum(request.max_tokens for request in requests)


def _tokens(rng: random.Random, n: int, top: int) -> list[int]:
    return [rng.randrange(FIRST_WORD, top) for _ in range(n)]


def _own(rng: random.Random, kind: Kind, top: int) -> list[int]:
    last = rng.randrange(FIRST_WORD, top)
    n = kind.own - 1
    if kind.ahead == "nothing":
        return [*_tokens(rng, n, top), last]
    path = range(last, last + n)  # begins with the token that the prompt ends in
    if kind.ahead == "everything":
        return [*path, last]
    return [*(_misled(rng, at, token, top) for at, token in enumerate(path)), last]


def _misled(rng: random.Random, at: int, token: int, top: int) -> int:
    return rng.randrange(FIRST_WORD, top) if at % _PIECE == _PIECE - 1 else token
