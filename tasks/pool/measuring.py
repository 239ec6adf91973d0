"""What a tuning does on this machine: a context of its own, for seconds, over a loaded model.

Owns what is computed and how it is timed. The prompt is as deep as a chunk where the machine is
fast enough for that; the other sequences are filled without computing, each with cells of its own.
What is to be measured, and what follows from it, is tasks.pool.search's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from statistics import median
from time import perf_counter

import numpy as np

from tasks.pool.alarm import Alarm, RungError
from tasks.pool.loading import Model
from tasks.pool.model_runner import DecodeError, ModelRunner
from tasks.pool.protocol import WorkerConfig
from tasks.pool.sequences import Move, Piece, Sequence
from tasks.pool.tuning import Rates, Tuning

LEAST_DEPTH, MOST_DEPTH = 128, 1024
_WARM_UP = 32  # tokens, in buffers whose pages are not there yet
_PASSES, _STEPS = 5, 12  # over the prompt, and of decoding: at most
_ENOUGH_S = 0.8  # of each
_PREFILL_S = 2.0  # deeper would be truer, and leave time for fewer settings
_ROOM = 2 * _STEPS + 2
_CELLS = 256  # llama.cpp makes caches of multiples of these


def depth_for(prefill: float, model: Model, config: WorkerConfig) -> int:
    """Return how deep a prompt of about two seconds is, at most as deep as a chunk's."""
    most = min(MOST_DEPTH, model.n_ctx(config) - _ROOM)
    return min(most, max(LEAST_DEPTH, int(_PREFILL_S * prefill) // LEAST_DEPTH * LEAST_DEPTH))


def context_for(config: WorkerConfig, tuning: Tuning, depth: int) -> WorkerConfig:
    """Return the config of the context in which a tuning is measured."""
    n_ctx = -(-(depth + _ROOM) // _CELLS) * _CELLS
    return replace(config, **asdict(tuning), n_ctx=n_ctx, n_draft=0)


def measure(model: Model, config: WorkerConfig, tuning: Tuning, depth: int, alarm: Alarm) -> Rates:
    """Measure a tuning.

    Raises:
        RungError: the alarm rang.
        ModelError: there is no memory for its context.
    """
    runner = ModelRunner(model, context_for(config, tuning, depth))
    runner.end_at(alarm)
    try:
        return _Run(runner, depth, alarm).rates()
    except DecodeError as error:
        if alarm.rung:
            raise RungError from error
        raise
    finally:
        runner.close()


class _Run:
    """The computing for one measurement."""

    def __init__(self, runner: ModelRunner, depth: int, alarm: Alarm) -> None:
        self._runner, self._alarm = runner, alarm
        self._prompt = np.random.default_rng(0).integers(0, runner.n_vocab, depth).tolist()
        self._sequences = [Sequence(n, self._prompt, 1) for n in range(runner.n_seq_max)]
        self._n_held = [depth] * runner.n_seq_max  # once they are filled

    def rates(self) -> Rates:
        self._prefill(min(_WARM_UP, len(self._prompt)))
        prefill_s = _median_s(lambda: self._prefill(len(self._prompt)), 1, _PASSES)
        n = len(self._sequences)
        if n > 1:
            self._runner.fill_like_first(range(1, n))
        together_s = _median_s(lambda: self._decode(n), 2, _STEPS)
        alone_s = _median_s(lambda: self._decode(1), 2, _STEPS)
        return Rates(
            prefill=len(self._prompt) / prefill_s, decode=n / together_s, alone=1 / alone_s
        )

    def _prefill(self, depth: int) -> None:
        """Compute the prompt's start in sequence 0, from nothing."""
        self._runner.move(Move(0, None, 0))
        for at in range(0, depth, self._runner.n_batch):
            tokens = self._prompt[at : min(depth, at + self._runner.n_batch)]
            complete = at + len(tokens) == depth
            self._compute([Piece(self._sequences[0], 0, at, tokens, complete)])

    def _decode(self, n: int) -> None:
        """Compute another token of the first n sequences."""
        token = [self._prompt[0]]
        held = self._n_held
        self._compute([Piece(self._sequences[i], i, held[i], token, True) for i in range(n)])
        for i in range(n):
            held[i] += 1

    def _compute(self, pieces: list[Piece]) -> None:
        if self._alarm.rung:  # on a GPU, llama.cpp does not look at it
            raise RungError
        self._runner.decode(pieces)


def _median_s(work: Callable[[], None], least: int, most: int) -> float:
    """Return the median of the seconds that work takes; so many times, as time allows."""
    seconds: list[float] = []
    while len(seconds) < least or (len(seconds) < most and sum(seconds) < _ENOUGH_S):
        began = perf_counter()
        work()
        seconds.append(perf_counter() - began)
    return median(seconds)
