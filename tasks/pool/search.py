"""Which tuning to measure next, and which is best so far: policy only, no clock, no device.

A change is kept only if each of its measurements is better than each one of what it would replace,
measured in turn with it: what other programs do to a machine must not be taken for its own speed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from statistics import median

from tasks.pool.protocol import FlashAttn
from tasks.pool.tuning import Rates, Tuning

Measuring = Generator[Tuning, Rates | None, None]
Score = Callable[[Rates], float]

SEQUENCES = (1, 4, 8, 16, 24, 32)
BATCHES = (128, 256, 512, 1024)
_BASELINES = 2  # measurements before the first comparison: they show the spread
_TURNS = 3  # measurements of what is kept; by chance alone, one candidate in fifty has luck


@dataclass(frozen=True)
class Choices:
    """What there is to try.

    Attributes:
        free: fields of a Tuning that may be changed.
        flash_attn: the other value than the one that `auto` stands for here.
        depth: tokens of a measured prompt; what a larger batch does can't be told from it.
        cores, threads: physical and logical ones that may be used.
    """

    free: Collection[str]
    flash_attn: FlashAttn
    depth: int
    cores: int
    threads: int

    @property
    def thread_counts(self) -> list[int]:
        return sorted({max(1, self.cores // 2), max(1, self.cores - 1), self.cores, self.threads})


class Verdict(Enum):
    better = auto()
    worse = auto()
    open = auto()  # the spread hides it


class Search:
    """A search from a tuning on: measure what is `wanted`, note() it, until nothing is.

    Attributes:
        wanted: what to measure next.
        best: as far as is known.
        left: fields that were not looked at to the end.
    """

    def __init__(self, start: Tuning, choices: Choices) -> None:
        self.best = start
        self._choices = choices
        self._rates: dict[Tuning, list[Rates]] = {}
        self._groups = (
            (("kv_unified", "flash_attn"), self._layouts),
            (("n_seq_max",), self._sequences),
            (("n_batch",), self._batches),
            (("n_threads_batch",), self._threads_batch),
            (("n_threads",), self._threads),
        )
        self.left = [name for names, _ in self._groups for name in names if name in choices.free]
        self._steps = self._plan()
        self.wanted: Tuning | None = next(self._steps)

    def note(self, rates: Rates | None) -> None:
        """Take in what was measured of `wanted`; None: it can't be had here."""
        assert self.wanted is not None
        if rates is not None:
            self._rates.setdefault(self.wanted, []).append(rates)
        try:
            self.wanted = self._steps.send(rates)
        except StopIteration:
            self.wanted = None

    def _plan(self) -> Measuring:
        for _ in range(_BASELINES):
            if (yield self.best) is None:
                return  # there is nothing to compare with
        for names, plan in self._groups:
            if set(names) & set(self.left):
                yield from plan()
                self.left = [name for name in self.left if name not in names]

    def _layouts(self) -> Measuring:
        start = self.best
        other = self._choices.flash_attn
        caches = (False, True) if "kv_unified" in self._choices.free else (start.kv_unified,)
        flashes = (start.flash_attn, other) if "flash_attn" in self._choices.free else ()
        for kv_unified in caches:
            for flash_attn in flashes or (start.flash_attn,):
                layout = replace(start, kv_unified=kv_unified, flash_attn=flash_attn)
                if layout != start:
                    yield from self._try(layout, chunks_per_hour)

    def _sequences(self) -> Measuring:
        now = self.best.n_seq_max
        ladder = [replace(self.best, n_seq_max=n) for n in SEQUENCES]
        yield from self._climb([t for t in ladder if t.n_seq_max > now], chunks_per_hour)
        if self.best.n_seq_max == now:
            fewer = [t for t in ladder if t.n_seq_max < now]
            yield from self._climb(fewer[::-1], chunks_per_hour)

    def _batches(self) -> Measuring:
        now = self.best.n_batch
        ladder = [replace(self.best, n_batch=n) for n in BATCHES if n <= self._choices.depth]
        yield from self._climb([t for t in ladder if t.n_batch > now], prefill)
        if self.best.n_batch == now:
            yield from self._climb([t for t in ladder if t.n_batch < now][::-1], prefill)

    def _threads_batch(self) -> Measuring:
        now = self.best.n_threads_batch or self._choices.cores
        for n in self._choices.thread_counts:
            if n != now:
                yield from self._try(replace(self.best, n_threads_batch=n), chunks_per_hour)

    def _threads(self) -> Measuring:
        # All other steps keep theirs: where none are set, they would follow these.
        batch = self.best.n_threads_batch or self.best.n_threads or self._choices.cores
        now = self.best.n_threads or batch
        for n in self._choices.thread_counts:
            if n != now:
                yield from self._try(replace(self.best, n_threads=n, n_threads_batch=batch), alone)

    def _climb(self, ladder: Sequence[Tuning], score: Score) -> Measuring:
        """Try steps in one direction, up to the first that is surely worse."""
        for candidate in ladder:
            verdict = yield from self._try(candidate, score)
            if verdict is Verdict.worse:
                return

    def _try(self, candidate: Tuning, score: Score) -> Generator[Tuning, Rates | None, Verdict]:
        """Measure a candidate, in turn with the best; if it is better, it is the best from now."""
        for turn in range(_TURNS):
            if turn:
                yield self.best
            if (yield candidate) is None:
                return Verdict.worse
            verdict = self._verdict(candidate, score)
            if verdict is not Verdict.better:
                return verdict
        self.best = candidate
        return Verdict.better

    def _verdict(self, candidate: Tuning, score: Score) -> Verdict:
        """Compare with the best; what costs chunks an hour is never better."""
        verdict = self._compare(candidate, score)
        costs = self._compare(candidate, chunks_per_hour) is Verdict.worse
        return Verdict.worse if costs and verdict is Verdict.better else verdict

    def _compare(self, candidate: Tuning, score: Score) -> Verdict:
        its, others = ([score(r) for r in self._rates[t]] for t in (candidate, self.best))
        if min(its) > max(others):
            return Verdict.better
        return Verdict.worse if max(its) < min(others) else Verdict.open


def chunks_per_hour(rates: Rates) -> float:
    return rates.chunks_per_hour


def prefill(rates: Rates) -> float:
    return rates.prefill


def alone(rates: Rates) -> float:
    return rates.alone


def medians(rates: Sequence[Rates]) -> Rates:
    """Return the median of each rate."""
    return Rates(
        prefill=median(r.prefill for r in rates),
        decode=median(r.decode for r in rates),
        alone=median(r.alone for r in rates),
    )
