"""The worker's process: how one starts and ends, and the one that is started before it is needed.

A worker takes a while to import what it needs and then waits for its first line. The first one of
a pool does so while the front itself still starts. Knows no models and no requests.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence

WORKER_COMMAND = (sys.executable, "-m", "tasks.pool.worker")
# llama.cpp's threads wait for each other some hundred times a token. Those that spin made it 4 to 9
# times slower than those that sleep, where other programs want the processors too (two threads on
# two busy cores). Those that sleep at once made it 1.8 times slower on quiet ones (29 ms a token of
# a 0.5B Q4_0 instead of 16; of 16 sequences 102 instead of 89). So they spin for some microseconds,
# then sleep: 16 and 89 ms, and on two busy cores 33 to 44 and 190, where sleeping at once has 28 to
# 31 and 179. Ten times the spinning had 196 and 341. What the user has set wins.
_WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}
_NO_DEBUGGER = {"GGML_NO_BACKTRACE": "1"}  # at an abort of llama.cpp
_LINE_LIMIT = 1 << 26  # bytes of one event: an answer with log-probabilities can be long
END_S = 5.0


def worker_environment() -> dict[str, str]:
    """Return this process's environment with what a process that computes needs beside it."""
    waiting = {} if _WAITING.keys() & os.environ.keys() else _WAITING
    return {**_NO_DEBUGGER, **waiting, **os.environ}


class WorkerProcesses:
    """Starts processes, all with the same command."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._ahead: Process | None = None

    async def start_ahead(self) -> None:
        """Start one that the next take() returns."""
        self._ahead = await self._start()

    async def take(self) -> Process:
        """Return one that waits for its first line: the one that does already, or a fresh one."""
        ahead, self._ahead = self._ahead, None
        return ahead if ahead and ahead.returncode is None else await self._start()

    async def close(self) -> None:
        """End the one that was not taken."""
        if self._ahead is not None:
            await end_process(self._ahead)

    async def _start(self) -> Process:
        pipe = asyncio.subprocess.PIPE
        # A session of its own: Ctrl-C is the front's to handle, which then closes stdin.
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=pipe,
            stdout=pipe,
            limit=_LINE_LIMIT,
            start_new_session=True,
            env=worker_environment(),
        )


async def end_process(process: Process) -> int:
    """Close its stdin, upon which it ends; return its exit status, negative for a signal."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        return await asyncio.wait_for(process.wait(), END_S)
    except TimeoutError:
        process.kill()
        return await process.wait()
