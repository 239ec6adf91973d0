"""The worker's part of tuning: search, memory and time, and what a request that comes does to it.

Joins the search (tasks.pool.search) with the measuring (tasks.pool.measuring). Owns how long it may
take, and that nothing is measured that there is no memory for. Knows no pipes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from time import perf_counter

from tasks.errors import ModelError
from tasks.pool.alarm import Alarm
from tasks.pool.contexts import auto_flash_attn
from tasks.pool.cpus import physical_cores, usable_cpus
from tasks.pool.devices import on_gpu
from tasks.pool.fit import free_memory
from tasks.pool.loading import Model, needs
from tasks.pool.measuring import LEAST_DEPTH, context_for, depth_for, measure
from tasks.pool.protocol import Measured, Tune, Tuned, WorkerConfig
from tasks.pool.search import Choices, Search
from tasks.pool.tuning import FIELDS, Rates, Tuning

_SHARE = 0.8  # of the memory that is free now: others will want some too
Fits = Callable[[Tuning, int], bool]


class Tuner:
    """The search for a loaded model's best tuning: run() it, after an interruption again.

    Args:
        config: of the context that serves meanwhile.
        say: hears of each measurement.
    """

    def __init__(
        self,
        model: Model,
        config: WorkerConfig,
        order: Tune,
        alarm: Alarm,
        say: Callable[[Measured], None],
    ) -> None:
        self._model, self._config, self._order = model, config, order
        self._alarm, self._say = alarm, say
        self._start = Tuning(**{name: getattr(config, name) for name in FIELDS})
        self._search: Search | None = None
        self._depth = LEAST_DEPTH
        self._left_s = order.budget_s

    def run(self) -> Tuned:
        """Measure until the best is known, or the budget is used up.

        Raises:
            RungError: the alarm rang; what was being measured is forgotten.
            ModelError: the model's file can no longer be read.
        """
        with _memory(self._config) as fits:
            search = self._search = self._search or self._begin(fits)
            while search.wanted and self._left_s > 0:
                self._note(search, self._measure(search.wanted, fits))
        return Tuned(tuning=asdict(search.best), left=search.left)

    def _begin(self, fits: Fits) -> Search:
        """Return the search, with prompts as deep as this machine can compute in two seconds."""
        first = self._measure(self._start, fits)
        if first is not None:
            self._depth = depth_for(first.prefill, self._model, self._config)
        choices = Choices(
            free=self._order.free,
            flash_attn="on" if auto_flash_attn(self._config) == "off" else "off",
            depth=self._depth,
            cores=physical_cores(),
            threads=usable_cpus(),
        )
        search = Search(self._start, choices)
        if first is None or self._depth == LEAST_DEPTH:
            self._note(search, first)
        return search

    def _note(self, search: Search, rates: Rates | None) -> None:
        if rates is not None:
            assert search.wanted is not None
            self._say(Measured(tuning=asdict(search.wanted), rates=asdict(rates)))
        search.note(rates)

    def _measure(self, tuning: Tuning, fits: Fits) -> Rates | None:
        """Measure, if there is memory for it here."""
        began = perf_counter()
        try:
            if not fits(tuning, self._depth):
                return None
            return measure(self._model, self._config, tuning, self._depth, self._alarm)
        except ModelError:
            return None
        finally:
            self._left_s -= perf_counter() - began


@contextmanager
def _memory(config: WorkerConfig) -> Iterator[Fits]:
    """Tell whether there is memory to measure a tuning beside the context that serves now, and to
    serve with it then. Of a GPU's only its driver knows: making the context will tell."""
    if on_gpu(config):
        yield lambda _tuning, _depth: True
        return
    with needs(config) as need:
        freed = need(config).buffers

        def fits(tuning: Tuning, depth: int) -> bool:
            free = free_memory()
            here = need(context_for(config, tuning, depth)).buffers
            then = need(replace(config, **asdict(tuning))).buffers
            return here <= _SHARE * free and then <= _SHARE * (free + freed)

        yield fits
