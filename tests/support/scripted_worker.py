"""A pool worker without a model that answers as the scripted server does: same prompt, same answer.

It stands in the place of `tasks.pool.worker` in a copy of the project, behind the real front and
supervisor, with the tiny model, whose tokens are bytes. One request at a time, SCRIPTED_DELAY
seconds each; each answer is a line in the file SCRIPTED_LOG before it is given.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue

from support.scripted_server import answer_by_rule
from support.tiny_model import EOG

from tasks.pool.protocol import (
    Cancel,
    Done,
    EngineRequest,
    Event,
    Order,
    Ready,
    Started,
    decode,
    encode,
)


def send(event: Event) -> None:
    sys.stdout.buffer.write(encode(event))
    sys.stdout.buffer.flush()


def answer(request: EngineRequest) -> Done:
    text = bytes(token for token in request.prompt if token < EOG and token < 256).decode()
    said = answer_by_rule(text)
    return Done(
        id=request.id,
        text=said,
        logprobs=[],
        finish_reason="stop",
        prompt_tokens=len(request.prompt),
        cached_tokens=0,
        completion_tokens=len(said.encode()),
        queue_s=0.0,
        prefill_s=0.0,
        decode_s=0.0,
    )


def read(orders: SimpleQueue[Order], cancelled: set[int]) -> None:
    """Fill the queue; end the process when the front is gone."""
    for line in sys.stdin.buffer:
        order = decode(line)
        if isinstance(order, Cancel):
            cancelled.add(order.id)
        orders.put(order)
    os._exit(0)


def main() -> None:
    if not (line := sys.stdin.buffer.readline()):
        return
    config = decode(line)
    delay, log = float(os.environ["SCRIPTED_DELAY"]), Path(os.environ["SCRIPTED_LOG"])
    orders: SimpleQueue[Order] = SimpleQueue()
    cancelled: set[int] = set()
    threading.Thread(target=read, args=(orders, cancelled), daemon=True).start()
    send(Ready(n_ctx=config.n_ctx, n_vocab=259))
    while True:
        order = orders.get()
        if not isinstance(order, EngineRequest) or order.id in cancelled:
            continue
        send(Started(id=order.id))
        time.sleep(delay)
        with log.open("a") as file:
            file.write(hashlib.sha256(repr(order.prompt).encode()).hexdigest() + "\n")
        send(answer(order))


if __name__ == "__main__":
    main()
