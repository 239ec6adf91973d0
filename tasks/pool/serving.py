"""A loaded model at work: requests first, and tuning while there are none.

Owns the engine and its context, and making them anew as a tuning wants them. Where orders come from
and events go is tasks.pool.worker's business.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue

from tasks.errors import ModelError
from tasks.pool.alarm import Alarm, RungError
from tasks.pool.draft_model import DraftModel
from tasks.pool.engine import Engine
from tasks.pool.loading import Model
from tasks.pool.model_runner import ModelRunner
from tasks.pool.protocol import (
    Alive,
    Cancel,
    EngineRequest,
    Event,
    Order,
    Ready,
    Tune,
    WorkerConfig,
)
from tasks.pool.tuner import Tuner
from tasks.pool.tuning import FIELDS

_ALIVE_EVERY_S = 10.0


class Serving:
    """One model, one engine at a time.

    Args:
        alarm: rings when a request is in the inbox.
        resident: bytes that the process had before anything was loaded.

    Raises:
        ModelError: there is no memory for the context.
    """

    def __init__(
        self,
        model: Model,
        alarm: Alarm,
        send: Callable[[Iterable[Event]], None],
        resident: int = 0,
    ) -> None:
        self._model, self._alarm, self._send = model, alarm, send
        self._resident = resident
        self._draft: Model | None = None
        self._draft_runner: ModelRunner | None = None
        self._make(model.config)
        self._tuner: Tuner | None = None
        self._told_at = 0.0
        self._busy_s = self._llama_s = 0.0  # of engines before this one

    def guess_with(self, draft: Model) -> None:
        """Let a smaller model guess too, from now on.

        Raises:
            ModelError: there is no memory for its context.
        """
        self._draft = draft
        try:
            self._make_engine()
        except ModelError:
            self._draft = None
            raise

    @property
    def memory_estimate(self) -> int:
        """Bytes that the process should have resident; 0: not known."""
        models = [model for model in (self._model, self._draft) if model]
        known = [model.resident for model in models if model.resident is not None]
        return self._resident + sum(known) if len(known) == len(models) else 0

    def tell_ready(self, siblings: Sequence[Sequence[int] | None] = ()) -> None:
        """Say what is loaded, and which GPUs further workers should use."""
        ready = Ready(
            n_ctx=self._runner.n_ctx,
            n_vocab=self._runner.n_vocab,
            memory_estimate=self.memory_estimate,
            n_seq_max=self._config.n_seq_max,
            gpus=self._config.gpus,
            siblings=siblings,
            note=self._model.note,
        )
        self._send([ready])

    def run(self, inbox: SimpleQueue[Order]) -> None:
        """Follow orders until the process ends."""
        tune: Tune | None = None
        while True:
            self._alarm.silence()  # before looking: what comes from now on rings again
            idle = not self._engine.busy and tune is None
            for order in next_orders(inbox, wait=idle):
                if isinstance(order, Tune):
                    tune = order
                else:
                    self._take(order)
            if self._engine.busy:
                self._step()
            elif tune is not None:
                self._tune(tune)
                tune = None

    def _take(self, order: EngineRequest | Cancel) -> None:
        if isinstance(order, Cancel):
            self._engine.cancel(order.id)
        elif refused := self._engine.add(order):
            self._send([refused])

    def _step(self) -> None:
        engine = self._engine
        self._send(engine.step(self._send))
        if not engine.busy or time.monotonic() - self._told_at > _ALIVE_EVERY_S:
            self._told_at = time.monotonic()
            busy_s, llama_s = self._busy_s + engine.busy_s, self._llama_s + engine.llama_s
            self._send([Alive(busy_s=busy_s, llama_s=llama_s)])

    def _tune(self, order: Tune) -> None:
        """Tune, from where it was interrupted last; serve as is best from then on."""
        if self._tuner is None:
            config = self._config
            self._tuner = Tuner(
                self._model, config, order, self._alarm, lambda each: self._send([each])
            )
        try:
            tuned = self._tuner.run()
        except RungError:
            return
        except ModelError as error:  # its file is gone
            print(f"measuring ended: {error}", file=sys.stderr)
            return
        self._adopt(replace(self._config, **tuned.tuning))
        adopted = {name: getattr(self._config, name) for name in FIELDS}
        self._send([replace(tuned, tuning=adopted, memory_estimate=self.memory_estimate)])

    def _adopt(self, config: WorkerConfig) -> None:
        """Serve with another tuning; the model stays, its cache begins anew."""
        before = self._config
        if vars(config) == vars(before):
            return
        self._busy_s += self._engine.busy_s
        self._llama_s += self._engine.llama_s
        self._close()
        try:
            self._make(config)
        except ModelError:  # what was measured was smaller
            self._make(before)
        for model in filter(None, (self._model, self._draft)):
            model.learn_need(self._with_tuning(model.config))

    def _with_tuning(self, config: WorkerConfig) -> WorkerConfig:
        return replace(config, **{name: getattr(self._config, name) for name in FIELDS})

    def _make(self, config: WorkerConfig) -> None:
        """Make context and engine; with fewer sequences where memory is short and they may be."""
        while True:
            try:
                self._runner = ModelRunner(self._model, config)
                break
            except ModelError:
                if not config.adapts or config.n_seq_max == 1:
                    raise
                config = replace(config, n_seq_max=config.n_seq_max // 2)
        self._config = config
        try:
            self._make_engine()
        except ModelError as error:  # it would only have made it faster
            print(f"going on without the draft model: {error}", file=sys.stderr)
            self._draft = None
            self._make_engine()

    def _make_engine(self) -> None:
        drafter = None
        if self._draft:
            self._draft_runner = ModelRunner(self._draft, self._with_tuning(self._draft.config))
            drafter = DraftModel(self._draft_runner, self._runner.n_vocab)
        self._engine = Engine(self._runner, drafter)

    def _close(self) -> None:
        self._runner.close()
        if self._draft_runner:
            self._draft_runner.close()
            self._draft_runner = None


def next_orders(inbox: SimpleQueue[Order], *, wait: bool) -> Iterable[Order]:
    """Yield what has arrived; if `wait`, at least one."""
    if wait:
        yield inbox.get()
    while True:
        try:
            yield inbox.get_nowait()
        except Empty:
            return
