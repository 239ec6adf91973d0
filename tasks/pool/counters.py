"""What the pool has done since its start, in sums."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks.pool.protocol import Alive, Done, Refused
from tasks.pool.tickets import PoolModel


@dataclass
class Counters:
    """Sums since the pool's start, for /metrics.

    Attributes:
        requests: ended ones, by finish reason, error code, or "cancelled".
        busy_s: of workers, in steps.
        llama_s: of these, in llama.cpp.
        crashes: workers that died when they had loaded.
        loads: workers that were told to load a model.
        models: those that were wanted; with other adapters, one is another.
        swaps: loads of another model than the one before.
    """

    requests: dict[str, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    busy_s: float = 0.0
    llama_s: float = 0.0
    crashes: int = 0
    loads: int = 0
    models: set[PoolModel] = field(default_factory=set)
    swaps: int = 0

    def count_end(self, reason: str) -> None:
        self.requests[reason] = self.requests.get(reason, 0) + 1

    def count(self, event: Done | Refused) -> None:
        self.count_end(event.finish_reason if isinstance(event, Done) else event.code)
        if isinstance(event, Done):
            self.prompt_tokens += event.prompt_tokens
            self.cached_tokens += event.cached_tokens
            self.completion_tokens += event.completion_tokens

    def count_work(self, before: Alive, now: Alive) -> None:
        self.busy_s += now.busy_s - before.busy_s
        self.llama_s += now.llama_s - before.llama_s
