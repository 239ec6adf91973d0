"""What another server takes of a request, learned from what it refuses.

Owns which parameters can be done without. An answer without log-probabilities lacks a statistic;
one without a seed is still an answer. The cap on its length has two names; one of them stays.
Whoever asks keeps what a request has learned only if it was answered then: a refusal may name
parameters and be about something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from tasks.pool.client_answer import Refusal

_CAP, _OTHER_CAP = "max_tokens", "max_completion_tokens"
_NEEDS = {"stream": ("stream_options",), "logprobs": ("top_logprobs",)}
_SPARE = (
    *("stream_options", "top_logprobs", "logprobs", "seed", "frequency_penalty"),
    *("top_p", "temperature", "stream"),
)  # in the order of what is most likely meant
_REFUSED = frozenset({400, 415, 422, 501})

Json = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """How requests are put to one server.

    Attributes:
        refused: what is left out, by its value: a server may take a temperature of 1, but not of 0.
        cap: what the longest answer is called.
    """

    refused: frozenset[tuple[str, Any]] = frozenset()
    cap: str = _CAP

    def __or__(self, other: Dialect) -> Dialect:
        """Return what heeds both."""
        cap = self.cap if other.cap == _CAP else other.cap
        return Dialect(self.refused | other.refused, cap)

    def put(self, body: Json) -> Json:
        """Return a request without what this server refuses."""
        said = {
            (self.cap if name == _CAP else name): value
            for name, value in body.items()
            if (name, _value(value)) not in self.refused
        }
        without = {rest for name, rests in _NEEDS.items() if name not in said for rest in rests}
        return {name: value for name, value in said.items() if name not in without}

    def without(self, name: str, sent: Json) -> Dialect:
        """Return how to put a request that is refused for a parameter.

        Args:
            sent: the request as it was put.
        """
        if name == _CAP:
            return replace(self, cap=_OTHER_CAP)
        return replace(self, refused=self.refused | {(name, _value(sent[name]))})


def spared(sent: Json, refusal: Refusal) -> str:
    """Return the parameter that the next request should go without; "" if none would help.

    Args:
        sent: the request as it was put.
    """
    if refusal.status not in _REFUSED:
        return ""
    candidates = (name for name in (_CAP, *_SPARE) if name in sent)
    return next((name for name in candidates if _is_about(name, refusal)), "")


def _value(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else None


def _is_about(name: str, refusal: Refusal) -> bool:
    """Tell whether a refusal is about a parameter; most servers say so only in their message."""
    if refusal.parameter:
        return refusal.parameter == name
    return re.search(rf"\b{name}\b", refusal.problem) is not None
