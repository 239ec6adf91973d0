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
# llama.cpp's threads spin while they wait for each other. On a machine that does anything else
# meanwhile, that made it 4 to 9 times slower than sleeping does (measured with two threads on
# two busy cores). A policy set by the user wins.
# And an abort of llama.cpp starts no debugger.
WORKER_ENVIRONMENT = {"OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1"}
_LINE_LIMIT = 1 << 26  # bytes of one event: an answer with log-probabilities can be long
_END_S = 5.0


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
            env={**WORKER_ENVIRONMENT, **os.environ},
        )


async def end_process(process: Process) -> int:
    """Close its stdin, upon which it ends; return its exit status, negative for a signal."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        return await asyncio.wait_for(process.wait(), _END_S)
    except TimeoutError:
        process.kill()
        return await process.wait()
