"""How far a run is: counted from several threads, read once a second.

Pure counting and one division; who shows it (a terminal, an artifact) is elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.records import Generation, Request

if TYPE_CHECKING:
    from flows.rounds import Outcome


@dataclass(frozen=True)
class Snapshot:
    """A moment of a run.

    Attributes:
        calls: of the model, answered; calls_known: those and the ones planned so far.
        tokens_per_s: read and written, since the first call; 0 before.
        seconds_left: None as long as nothing is known.
        doing: what the first answer waits for, such as a model that is loaded; else "".
    """

    sources: int
    sources_read: int
    sources_ended: int
    calls: int
    calls_known: int
    prompt_tokens: int
    completion_tokens: int
    tokens_per_s: float
    seconds_left: float | None
    doing: str = ""

    @property
    def fraction(self) -> float:
        """Return the part of the run that is done, from 0 to 1."""
        if self.sources_ended == self.sources:
            return 1.0
        if not self.calls_known:
            return self.sources_ended / self.sources
        return self.sources_read / self.sources * self.calls / self.calls_known


class Watcher:
    """Someone who looks on, such as a terminal. This one looks away."""

    def note(self, text: str) -> None:
        """Hear what the user should know."""

    def fetched(self, label: str, done_bytes: int, total_bytes: int) -> None:
        """Hear how far a model's file is; a total of 0: nobody knows how far."""

    def show(self, snapshot: Snapshot) -> None:
        """See how far the run is, about once a second."""

    def ended(self, outcome: Outcome) -> None:
        """Hear how a source ended."""


watcher: ContextVar[Watcher] = ContextVar("watcher", default=Watcher())  # noqa: B039


class Progress:
    """Counts of one run; every method may be called from any thread."""

    def __init__(self, sources: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._sources = sources
        self._read = self._ended = 0
        self._calls = self._calls_known = 0
        self._prompt_tokens = self._completion_tokens = 0
        self._prompt_tokens_known = 0
        self._started: float | None = None
        self._doing = ""

    def planned(self, requests: Sequence[Request]) -> None:
        """Count requests that will be asked."""
        with self._lock:
            if self._started is None and requests:
                self._started = self._clock()
            self._calls_known += len(requests)
            self._prompt_tokens_known += sum(each.prompt_tokens for each in requests)

    def answered(self, generation: Generation) -> None:
        """Count a request that needs no further attempt."""
        with self._lock:
            self._calls += 1
            self._prompt_tokens += generation.prompt_tokens
            self._completion_tokens += generation.completion_tokens

    def doing(self, text: str) -> None:
        """Note what the first answer waits for; "": for nothing else."""
        with self._lock:
            self._doing = text

    def read(self) -> None:
        """Count a source that is read, or can't be."""
        with self._lock:
            self._read += 1

    def ended(self) -> None:
        """Count a source that is landed or has failed."""
        with self._lock:
            self._ended += 1

    def snapshot(self) -> Snapshot:
        """Return the counts, the rate, and the time left by that rate."""
        with self._lock:
            seconds = self._clock() - self._started if self._started is not None else 0.0
            tokens = self._prompt_tokens + self._completion_tokens
            rate = tokens / seconds if seconds > 0 else 0.0
            return Snapshot(
                sources=self._sources,
                sources_read=self._read,
                sources_ended=self._ended,
                calls=self._calls,
                calls_known=self._calls_known,
                prompt_tokens=self._prompt_tokens,
                completion_tokens=self._completion_tokens,
                tokens_per_s=rate,
                seconds_left=self._tokens_left() / rate if rate > 0 else None,
                doing=self._doing,
            )

    def _tokens_left(self) -> float:
        """Estimate: planned prompts and their answers; unread sources are like the read ones."""
        unanswered = max(self._prompt_tokens_known - self._prompt_tokens, 0)
        answer_ratio = self._completion_tokens / max(self._prompt_tokens, 1)
        unread = self._sources - self._read
        expected = unread * self._prompt_tokens_known / max(self._read, 1)
        return (unanswered + expected) * (1 + answer_ratio)


def in_words(snapshot: Snapshot) -> str:
    """Return the snapshot as a line: "31 of 57 chunks, 412 tokens/s, 3 min left"."""
    if not snapshot.calls_known:
        return f"reading, {snapshot.sources_ended} of {snapshot.sources} sources done"
    parts = [f"{snapshot.calls} of {snapshot.calls_known} chunks"]
    if snapshot.sources > 1:
        parts.insert(0, f"{snapshot.sources_ended} of {snapshot.sources} sources")
    if snapshot.doing:
        parts.append(snapshot.doing)
    if snapshot.calls:
        parts.append(f"{snapshot.tokens_per_s:,.0f} tokens/s")
    if snapshot.seconds_left is not None:
        parts.append(f"{duration(snapshot.seconds_left)} left")
    return ", ".join(parts)


def fetched_in_words(label: str, done_bytes: int, total_bytes: int) -> str:
    """Return how far a model's file is: "fetching x.gguf: 12 of 934 MB"."""
    if not total_bytes:
        return label
    return f"{label}: {done_bytes >> 20} of {total_bytes >> 20} MB"


def duration(seconds: float) -> str:
    """Return a length of time as a person would say it: 40 s, 3 min, 2 h 05 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
