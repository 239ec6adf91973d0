"""A pool worker without a model that answers as the scripted server does: same prompt, same answer.

It stands in the place of `tasks.pool.worker` in a copy of the project, behind the real front and
supervisor, with the tiny model, whose tokens are bytes. One request at a time, SCRIPTED_DELAY
seconds each; each answer is a line in the file SCRIPTED_LOG before it is given. SCRIPTED_RULES has
rules of the scripted server, by prompt and seed: how often they have taken, no worker knows.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue

from support.scripted_server import Entry, Rule, answer_with
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


def answer(request: EngineRequest, rules: Sequence[Rule]) -> Done:
    text = bytes(token for token in request.prompt if token < EOG and token < 256).decode()
    entry = Entry(
        n=0, key="", model="", prompt=text, temperature=request.temperature,
        frequency_penalty=request.frequency_penalty, seed=request.seed,
        max_tokens=request.max_tokens, run=request.run, did="", open=1,
    )  # fmt: skip
    said, reason = answer_with(next((rule for rule in rules if rule.takes(entry)), Rule()), text)
    return Done(
        id=request.id,
        text=said,
        logprobs=[],
        finish_reason=reason,
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
    rules = [Rule(**rule) for rule in json.loads(os.environ["SCRIPTED_RULES"])]
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
        send(answer(order, rules))


if __name__ == "__main__":
    main()
