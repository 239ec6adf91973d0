"""What another server takes of a request, learned from what it refuses.

Owns which parameters can be done without. An answer without log-probabilities lacks a statistic;
one without a seed is still an answer. The cap on its length has two names; one of them stays.
"""

from __future__ import annotations

import re
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


class Dialect:
    """How requests are put to one server.

    What is refused is left out by its value: a server may take a temperature of 1, but not of 0.
    """

    def __init__(self) -> None:
        self._refused: set[tuple[str, Any]] = set()
        self._cap = _CAP

    def put(self, body: Json) -> Json:
        """Return a request without what this server refuses."""
        said = {
            (self._cap if name == _CAP else name): value
            for name, value in body.items()
            if not self._is_refused(name, value)
        }
        without = {rest for name, rests in _NEEDS.items() if name not in said for rest in rests}
        return {name: value for name, value in said.items() if name not in without}

    def learn(self, sent: Json, refusal: Refusal) -> str:
        """Return the parameter that the next request goes without; "" if it would not help.

        Args:
            sent: the request as it was put.
        """
        if refusal.status not in _REFUSED:
            return ""
        if _CAP in sent and _is_about(_CAP, refusal):
            self._cap = _OTHER_CAP
            return _CAP
        for name in _SPARE:
            if name in sent and _is_about(name, refusal):
                self._refused.add((name, _value(sent[name])))
                return name
        return ""

    def _is_refused(self, name: str, value: Any) -> bool:
        return (name, _value(value)) in self._refused


def _value(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else None


def _is_about(name: str, refusal: Refusal) -> bool:
    """Tell whether a refusal is about a parameter; most servers say so only in their message."""
    if refusal.parameter:
        return refusal.parameter == name
    return re.search(rf"\b{name}\b", refusal.problem) is not None
