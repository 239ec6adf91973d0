"""What a peer is, and what comes of measuring it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..machine import Disturbance
from ..work import Request

PROCESSOR = "processor seconds, the client's included"


class PeerError(RuntimeError):
    """A peer ended early or answered wrong: what it says cannot be compared."""


@dataclass(frozen=True)
class Measured:
    """Seconds for the whole batch, who disturbed, and by name what else was seen meanwhile."""

    seconds: float
    disturbance: Disturbance
    seen: dict[str, float] = field(default_factory=dict)


class Peer(Protocol):
    """Somebody who answers requests.

    measure() starts afresh, so nothing is left of the last time; answers one request that does
    not count; answers the batch, all of it handed over at once; and leaves no process behind.
    """

    @property
    def name(self) -> str: ...

    def measure(self, warm_up: Request, requests: Sequence[Request]) -> Measured: ...


def check(peer: str, request: Request, text: str) -> None:
    """See that an answer is the right one and whole.

    Raises:
        PeerError: it is not.
    """
    if text.split() != request.answer:
        raise PeerError(f"{peer} answered {text[:60]!r} instead of {request.answer[0]!r} and on")
