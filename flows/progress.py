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

from tasks.generate.foresight import Foreseen
from tasks.naming import clock
from tasks.records import Generation, Request

if TYPE_CHECKING:
    from flows.rounds import Outcome


_LEAST_SHARE = 0.01  # of a reading, that tells how long the rest takes


@dataclass(frozen=True)
class Snapshot:
    """A moment of a run.

    Attributes:
        calls: of the model, answered; calls_known: those and the ones planned so far;
            calls_foreseen: about how many follow from the answers to these.
        tokens_per_s: read and written, since the model is there; 0 before.
        seconds_left: None as long as nothing is known.
        reading: what reading a source is at, where that takes long; else "".
        reading_share: the part of it that is done, from 0 to 1.
        reading_s: seconds that it takes further; None as long as nothing is known.
        doing: what the first answer waits for, such as a model that is loaded; else "".
        elsewhere: documents that another run is making, and which are waited for.
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
    reading: str = ""
    reading_share: float = 0.0
    reading_s: float | None = None
    calls_foreseen: int = 0
    elsewhere: int = 0

    @property
    def calls_expected(self) -> int:
        return self.calls_known + self.calls_foreseen

    @property
    def is_through(self) -> bool:
        """Return whether nothing but another run is waited for."""
        own = self.sources_read == self.sources and self.calls == self.calls_expected
        return bool(self.elsewhere) and own

    @property
    def fraction(self) -> float:
        """Return the part of the run that is done, from 0 to 1."""
        if self.sources_ended == self.sources:
            return 1.0
        if not self.calls_known:
            return (self.sources_ended + self.reading_share) / self.sources
        return self.sources_read / self.sources * self.calls / self.calls_expected


@dataclass(frozen=True)
class Phase:
    """What a run is at, in the words of a state's name.

    Attributes:
        kind: what tells it from other phases.
        name: "Extracting 3 of 12".
        share: the part of it that is done, from 0 to 1.
    """

    kind: str
    name: str
    share: float


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
        self._planned: dict[str, int] = {}  # prompt tokens by key, of what is not answered
        self._planned_tokens = self._answered_tokens = 0  # both as the plan counts them
        self._foreseen: dict[int, Foreseen] = {}
        self._started: float | None = None
        self._doing = self._reading = ""
        self._share = 0.0
        self._share_began = (0.0, 0.0)  # share and clock when this reading was first told
        self._elsewhere = 0

    def planned(self, requests: Sequence[Request]) -> None:
        """Count requests that will be asked."""
        with self._lock:
            if self._started is None and requests:
                self._started = self._clock()
            self._calls_known += len(requests)
            self._planned |= {each.key: each.prompt_tokens for each in requests}
            self._planned_tokens += sum(each.prompt_tokens for each in requests)

    def answered(self, generation: Generation) -> None:
        """Count a request that needs no further attempt."""
        with self._lock:
            self._calls += 1
            planned = self._planned.pop(generation.key, generation.prompt_tokens)
            self._answered_tokens += planned
            self._prompt_tokens += generation.prompt_tokens
            self._completion_tokens += generation.completion_tokens

    def foresee(self, source: int, calls: Foreseen) -> None:
        """Note what follows a source's planned requests, instead of what was foreseen before."""
        with self._lock:
            self._foreseen[source] = calls

    def reading(self, text: str, share: float = 0.0) -> None:
        """Note what reading a source is at, and how far; "": nothing worth a word."""
        with self._lock:
            if not share or share < self._share:
                self._share_began = (share, self._clock())
            self._reading, self._share = text, share

    def elsewhere(self, documents: int) -> None:
        """Note how many documents another run is making."""
        with self._lock:
            self._elsewhere = documents

    def doing(self, text: str) -> None:
        """Note what the first answer waits for; "": for nothing else."""
        with self._lock:
            if not self._calls and (text or self._doing):
                self._started = self._clock()  # loading a model says nothing of its speed
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
                seconds_left=self._seconds_left(seconds),
                doing=self._doing,
                reading=self._reading,
                reading_share=self._share,
                reading_s=self._reading_s(),
                calls_foreseen=sum(each.calls for each in self._foreseen.values()),
                elsewhere=self._elsewhere,
            )

    def _reading_s(self) -> float | None:
        first, began = self._share_began
        if self._share - first < _LEAST_SHARE:
            return None
        return (1 - self._share) * (self._clock() - began) / (self._share - first)

    def _seconds_left(self, seconds: float) -> float | None:
        """Estimate: what is planned and foreseen, and unread sources like the read ones, at the
        rate so far. In the plan's own tokens: another server may count others."""
        if not self._answered_tokens or seconds <= 0:
            return None
        foreseen = sum(each.prompt_tokens for each in self._foreseen.values())
        known = self._planned_tokens + foreseen
        unread = (self._sources - self._read) * known / max(self._read, 1)
        left = max(known + unread - self._answered_tokens, 0.0)
        return left * seconds / self._answered_tokens


def in_words(snapshot: Snapshot) -> str:
    """Return the snapshot as a line: "about 3 min left, 31 of about 57 answers, 412 tokens/s".

    What matters most comes first: Prefect's UI cuts the line short.
    """
    if snapshot.sources_read < snapshot.sources and not snapshot.calls_known:
        parts = [_lowered(_extracting(snapshot).name)]
        if snapshot.reading:
            parts.append(snapshot.reading)
        if snapshot.reading_s is not None:
            parts.append(f"about {duration(snapshot.reading_s)} left")
        return ", ".join(parts)
    parts = []
    if snapshot.seconds_left is not None:
        parts.append(f"about {duration(snapshot.seconds_left)} left")
    if snapshot.doing:
        parts.append(snapshot.doing)
    if snapshot.calls_known:
        parts.append(f"{_calls(snapshot)} answers")
    if snapshot.reading:
        parts.append(snapshot.reading)
    if snapshot.elsewhere:
        parts.append(_elsewhere(snapshot))
    if snapshot.calls:
        parts.append(f"{snapshot.tokens_per_s:,.0f} tokens/s")
    if snapshot.sources > 1 or not snapshot.calls_known:
        parts.append(f"{snapshot.sources_ended} of {snapshot.sources} sources done")
    return ", ".join(parts)


def phase_of(snapshot: Snapshot) -> Phase:
    """Return what the run is at."""
    if snapshot.doing:
        return phase_of_text(snapshot.doing.rpartition(", ")[0] or snapshot.doing)
    if snapshot.calls_known and not snapshot.is_through:
        return Phase("asking", f"Asking {_calls(snapshot)}", snapshot.fraction)
    if snapshot.sources_read < snapshot.sources:
        return _extracting(snapshot)
    if snapshot.elsewhere:
        return phase_of_text(_elsewhere(snapshot))
    return phase_of_text("landing documents")


def phase_of_text(text: str) -> Phase:
    """Return a phase of which nobody knows how far it is."""
    return Phase(text, text[:1].upper() + text[1:], 0.0)


def phase_of_bytes(label: str, done_bytes: int, total_bytes: int) -> Phase:
    """Return the phase of a model's file that is fetched or read."""
    share = done_bytes / total_bytes if total_bytes else 0.0
    name = f"{label}, {share:.0%}" if total_bytes else label
    return Phase(label, phase_of_text(name).name, share)


def _extracting(snapshot: Snapshot) -> Phase:
    read, sources = snapshot.sources_read, snapshot.sources
    return Phase("extracting", f"Extracting {read + 1} of {sources}", read / sources)


def _elsewhere(snapshot: Snapshot) -> str:
    which = "the same document" if snapshot.elsewhere == 1 else f"{snapshot.elsewhere} of these"
    return f"waiting for another run, which makes {which}"


def _lowered(name: str) -> str:
    return name[:1].lower() + name[1:]


def _calls(snapshot: Snapshot) -> str:
    """Return "31 of 57", or "31 of about 60" as long as not all of them can be planned."""
    all_known = not snapshot.calls_foreseen and snapshot.sources_read == snapshot.sources
    about = "" if all_known else "about "
    return f"{snapshot.calls:,} of {about}{snapshot.calls_expected:,}"


def fetched_in_words(label: str, done: int, total: int) -> str:
    """Return how far a file is: "fetching x.gguf: 12 of 934 MB"; of one that is heard, in seconds:
    "transcribing talk.mp3: 12:30 of 1:02:00"."""
    if not total:
        return label
    if label.startswith("transcribing "):
        return f"{label}: {clock(done)} of {clock(total)}"
    return f"{label}: {done >> 20} of {total >> 20} MB"


def duration(seconds: float) -> str:
    """Return a length of time as a person would say it: 40 s, 3 min, 2 h 05 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
