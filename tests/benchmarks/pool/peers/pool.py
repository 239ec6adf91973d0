"""The pool, as a run has it: started by Lectern's own lifecycle, asked over HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tasks.pool.lifecycle import ensure_pool, pool_status, stop_pool
from tasks.settings import Settings

from ..machine import watched
from ..work import Request
from .measured import PROCESSOR, Measured, PeerError
from .over_http import Server

FRONT = "front's share of a core"
OUTSIDE = "worker's share outside llama.cpp"
RESIDENT, ESTIMATED = "resident bytes", "estimated bytes"
_NUMBER = re.compile(r"^(\w+) ([\d.e+-]+)$", re.MULTILINE)
BUSY, IN_LLAMA = "lectern_worker_busy_seconds_total", "lectern_worker_llama_seconds_total"
ESTIMATE = "lectern_worker_memory_estimate_bytes"


@dataclass(frozen=True)
class Pool:
    """A pool with a home of its own.

    Attributes:
        n_clients, streamed: how it is asked; see Server.
        overrides: settings beside these.
        from_start: count from the start of the process instead of from a warm one.
    """

    name: str
    model: Path
    home: Path
    n_ctx: int
    n_seq_max: int
    n_clients: int = 0
    streamed: bool = False
    overrides: dict[str, Any] = field(default_factory=dict)
    from_start: bool = False

    def measure(self, warm_up: Request, requests: Sequence[Request]) -> Measured:
        config = Settings(
            home=self.home,
            pool_url=None,  # another server may be set in the environment
            pool_n_ctx=self.n_ctx,
            pool_tuning="off",  # nothing is measured beside what the benchmark measures
            pool_n_seq_max=self.n_seq_max,
            **self.overrides,
        )
        if self.from_start:
            with self._running(config) as server:  # what it keeps of a model is there from now on
                server.answer([warm_up])
            return self._started(config, requests)
        with self._running(config) as server:
            server.answer([warm_up])
            before = _seen(config, server)
            with watched(before.pid) as by:
                seconds = server.answer(requests)
            told = _taken_apart(before, _seen(config, server), seconds)
            return Measured(seconds, by, {PROCESSOR: by.own_s, **told})

    def _started(self, config: Settings, requests: Sequence[Request]) -> Measured:
        with ExitStack() as stack, watched() as by:  # watched until it is stopped
            start = time.perf_counter()
            server = stack.enter_context(self._running(config))
            server.answer(requests)
            seconds = time.perf_counter() - start
            by.pids[_seen(config, server).pid] = 0.0
        return Measured(seconds, by)

    @contextmanager
    def _running(self, config: Settings) -> Iterator[Server]:
        stop_pool(config)  # a killed benchmark may have left one
        try:
            address = ensure_pool(config)
            assert address.api_key is not None
            yield Server(
                self.name,
                address.url,
                str(self.model),
                address.api_key,
                self.n_clients,
                self.streamed,
            )
        finally:
            stop_pool(config)


@dataclass(frozen=True)
class _Snapshot:
    pid: int
    front_cpu_s: float
    resident: int
    metrics: dict[str, float]


def _seen(config: Settings, server: Server) -> _Snapshot:
    status = pool_status(config)
    if status is None or status.worker is None:
        raise PeerError(f"{server.name} has no worker: see pool.log in {config.home}")
    cpu = psutil.Process(status.pid).cpu_times()
    resident = psutil.Process(status.worker).memory_info().rss
    headers = {"authorization": f"Bearer {server.key}"}
    text = httpx.get(f"{server.url}/metrics", headers=headers, trust_env=False).text
    metrics = {name: float(value) for name, value in _NUMBER.findall(text)}
    return _Snapshot(status.pid, cpu.user + cpu.system, resident, metrics)


def _taken_apart(before: _Snapshot, after: _Snapshot, seconds: float) -> dict[str, float]:
    """Return what the pool tells of itself; what it does not tell is left out."""
    seen = {
        FRONT: (after.front_cpu_s - before.front_cpu_s) / seconds,
        RESIDENT: float(after.resident),
    }
    if BUSY in after.metrics and IN_LLAMA in after.metrics:
        busy, inside = (after.metrics[n] - before.metrics[n] for n in (BUSY, IN_LLAMA))
        seen[OUTSIDE] = 1 - inside / busy
    if ESTIMATE in after.metrics:
        seen[ESTIMATED] = after.metrics[ESTIMATE]
    return seen
