"""A worker without a model: it speaks the protocol and does what a prompt's first token says.

ECHO answers at once; HOLD begins and never answers; DIE kills the worker; DIE_ONCE does so
unless the file named by its first stop string exists, which it makes first. A model path
that ends in "bad" does not load, in "abort" takes the process down, and in "stuck" gets no further
than the middle. Of several workers, the first says that there should be as many as it was told.
Started with the word dies-of-tuning, it does. Where MEMORY names a file, there is memory for one
such process, as long as it lives.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

from tasks.pool.protocol import (
    Done,
    EngineRequest,
    Event,
    LoadFailed,
    Loading,
    Ready,
    Started,
    Text,
    Tune,
    decode,
    encode,
)

ECHO, HOLD, DIE, DIE_ONCE = range(4)


def send(*events: Event) -> None:
    sys.stdout.buffer.write(b"".join(map(encode, events)))
    sys.stdout.buffer.flush()


def answer(request: EngineRequest) -> None:
    what = request.prompt[0]
    send(Started(id=request.id))
    if what == DIE_ONCE and not (marker := Path(request.stop[0])).exists():
        marker.touch()
        send(Text(id=request.id, text="o", logprobs=[]))
        what = DIE
    if what == DIE:
        os.kill(os.getpid(), signal.SIGKILL)
    if what == HOLD:
        return
    n = len(request.prompt)
    times = {"queue_s": 0.0, "prefill_s": 0.0, "decode_s": 0.0}
    counts = {"prompt_tokens": n, "cached_tokens": 0, "completion_tokens": 1}
    reason = "stop"
    send(Done(id=request.id, text="ok", logprobs=[], finish_reason=reason, **counts, **times))


def has_memory() -> bool:
    """Take all there is, until this process ends; tell whether nobody has it."""
    if "MEMORY" not in os.environ:
        return True
    file = os.open(os.environ["MEMORY"], os.O_CREAT | os.O_WRONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main() -> None:
    if not (line := sys.stdin.buffer.readline()):
        return
    config = decode(line)
    if not has_memory():
        send(LoadFailed(problem="there is no memory for it"))
        return
    if config.model_path.endswith("bad"):
        send(LoadFailed(problem="it is bad"))
        return
    if config.model_path.endswith("abort"):
        os.abort()
    if config.model_path.endswith("stuck"):
        send(Loading(progress=0.5))
        sys.stdin.buffer.read()
    send(Ready(n_ctx=config.n_ctx, n_vocab=1000, siblings=[None] * (config.n_workers - 1)))
    for line in sys.stdin.buffer:
        order = decode(line)
        if isinstance(order, EngineRequest):
            answer(order)
        if isinstance(order, Tune) and "dies-of-tuning" in sys.argv:
            os.abort()


if __name__ == "__main__":
    main()
