"""The worker process: one engine between two pipes. `python -m tasks.pool.worker`

Reads a WorkerConfig, then orders, from stdin; writes events to stdout, both as JSON lines
(tasks.pool.protocol). It ends when stdin closes, whatever it is doing, so it never outlives
its front. It does not mend a failed decode: it dies, and the front starts another.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import BinaryIO

import psutil

from tasks.errors import ModelError
from tasks.pool.engine import Engine
from tasks.pool.protocol import (
    Alive,
    Cancel,
    EngineRequest,
    Event,
    LoadFailed,
    Loading,
    Order,
    Ready,
    WorkerConfig,
    decode,
    encode,
)

_ALIVE_EVERY_S = 10.0


class Events:
    """Write events to the front, a batch at a time."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._progress = -1.0

    def send(self, events: Iterable[Event]) -> None:
        lines = b"".join(encode(event) for event in events)
        if lines:
            self._pipe.write(lines)
            self._pipe.flush()

    def loading(self, progress: float) -> None:
        """Pass on every full percent; llama.cpp reports each tensor."""
        if progress - self._progress >= 0.01:
            self._progress = progress
            self.send([Loading(progress=progress)])


def claim_stdout() -> BinaryIO:
    """Return a private handle of stdout, and send all other prints to stderr."""
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return private


def read_orders(stdin: BinaryIO, inbox: SimpleQueue[Order]) -> None:
    """Fill the inbox; end the process when the front is gone, even in a long decode."""
    for line in stdin:
        inbox.put(decode(line))
    os._exit(0)


def next_orders(inbox: SimpleQueue[Order], *, wait: bool) -> Iterable[Order]:
    """Yield what has arrived; if `wait`, at least one."""
    if wait:
        yield inbox.get()
    while True:
        try:
            yield inbox.get_nowait()
        except Empty:
            return


def serve(engine: Engine, inbox: SimpleQueue[Order], events: Events) -> None:
    """Run the engine until the process ends."""
    told_at = 0.0
    while True:
        for order in next_orders(inbox, wait=not engine.busy):
            if isinstance(order, EngineRequest):
                if refused := engine.add(order):
                    events.send([refused])
            elif isinstance(order, Cancel):
                engine.cancel(order.id)
        if engine.busy:
            events.send(engine.step(events.send))
            if not engine.busy or time.monotonic() - told_at > _ALIVE_EVERY_S:
                told_at = time.monotonic()
                events.send([Alive(busy_s=engine.busy_s, llama_s=engine.llama_s)])


def load(config: WorkerConfig, events: Events) -> Engine:
    """Load the model, and the one that guesses for it, and say that it is ready.

    Raises:
        ModelError: the model can't be loaded. One that guesses is only told of.
    """
    # Only now: importing llama.cpp can print.
    from tasks.pool.draft_model import DraftModel
    from tasks.pool.loading import load_draft_model, load_model
    from tasks.pool.model_runner import ModelRunner

    estimate = psutil.Process().memory_info().rss
    model = load_model(config, events.loading)
    runner, drafter = ModelRunner(model, config), None
    needs = [model.need]
    if config.draft_path:
        try:
            draft, own = load_draft_model(model, config)
            drafter = DraftModel(ModelRunner(draft, own), model.n_vocab)
            needs.append(draft.need)
        except ModelError as error:
            print(f"going on without the draft model: {error}", file=sys.stderr)
    estimate += sum(need.total for need in needs if need)
    ready = Ready(n_ctx=runner.n_ctx, n_vocab=runner.n_vocab, memory_estimate=estimate)
    events.send([ready])
    return Engine(runner, drafter)


def main() -> None:
    """Work until stdin closes. Ends the process itself: the thread that reads stdin would not
    let it end in peace."""
    events = Events(claim_stdout())
    config = decode(sys.stdin.buffer.readline())
    inbox: SimpleQueue[Order] = SimpleQueue()
    threading.Thread(target=read_orders, args=(sys.stdin.buffer, inbox), daemon=True).start()
    try:
        serve(load(config, events), inbox, events)
    except ModelError as error:
        events.send([LoadFailed(problem=error.problem, remedy=error.remedy)])
    except Exception:
        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    main()
