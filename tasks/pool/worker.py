"""The worker process: one engine between two pipes. `python -m tasks.pool.worker`

Reads a WorkerConfig, then orders, from stdin; writes events to stdout, both as JSON lines
(tasks.pool.protocol). It ends when stdin closes, whatever it is doing, so it never outlives
its front. It does not mend a failed decode: it dies, and the front starts another.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from importlib import import_module
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO

import psutil

from tasks.errors import ModelError
from tasks.models.stdout import claim_stdout
from tasks.pool.protocol import (
    EngineRequest,
    Event,
    LoadFailed,
    Loading,
    Order,
    WorkerConfig,
    decode,
    encode,
)

if TYPE_CHECKING:
    from tasks.pool.alarm import Alarm
    from tasks.pool.serving import Serving


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


def read_orders(stdin: BinaryIO, inbox: SimpleQueue[Order], ring: Callable[[], None]) -> None:
    """Fill the inbox, and ring for a request; end the process when the front is gone, even in a
    long decode."""
    for line in stdin:
        order = decode(line)
        inbox.put(order)
        if isinstance(order, EngineRequest):
            ring()  # after it is there: who has heard it finds the request
    os._exit(0)


def load(config: WorkerConfig, alarm: Alarm, events: Events) -> Serving:
    """Load the model, and the one that guesses for it, and say that it is ready.

    Raises:
        ModelError: the model can't be loaded. One that guesses is only told of.
    """
    from tasks.pool.loading import load_draft_model, load_model
    from tasks.pool.serving import Serving
    from tasks.pool.sharing import share

    resident = psutil.Process().memory_info().rss
    taken = share(config)
    model = load_model(taken.config, events.loading)
    serving = Serving(model, alarm, events.send, resident)
    if config.draft_path:
        try:
            serving.guess_with(load_draft_model(model))
        except ModelError as error:
            print(f"going on without the draft model: {error}", file=sys.stderr)
    serving.tell_ready(taken.siblings)
    return serving


def main() -> None:
    """Work until stdin closes. Ends the process itself: the thread that reads stdin would not
    let it end in peace."""
    events = Events(claim_stdout())
    # Only now: importing llama.cpp can print. And already now: the config may be long in coming.
    import_module("tasks.pool.serving")
    from tasks.pool.alarm import Alarm

    line = sys.stdin.buffer.readline()
    if not line:
        return  # the front is gone, or wants no model any more
    config = decode(line)
    inbox: SimpleQueue[Order] = SimpleQueue()
    alarm = Alarm()
    reading = (sys.stdin.buffer, inbox, alarm.ring)
    threading.Thread(target=read_orders, args=reading, daemon=True).start()
    try:
        load(config, alarm, events).run(inbox)
    except ModelError as error:
        events.send([LoadFailed(problem=error.problem, remedy=error.remedy)])
    except Exception:
        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    main()
