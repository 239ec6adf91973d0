"""llama.cpp's own server, at its defaults or with the pool's settings."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from ..machine import watched
from ..tuned import Tuned
from ..work import Request
from .measured import PROCESSOR, Measured, PeerError
from .over_http import Server

_START_S = 300.0
_STOP_S = 30.0


@dataclass(frozen=True)
class LlamaServer:
    """As many slots as the pool has sequences, each of as many tokens.

    Attributes:
        tuned: the pool's settings.
        defaults: of these, take the number of sequences alone.
        from_start: count from the start of the process instead of from a warm one.
    """

    name: str
    binary: Path
    model: Path
    n_ctx: int
    tuned: Tuned
    log: Path
    defaults: bool = False
    from_start: bool = False

    def measure(self, warm_up: Request, requests: Sequence[Request]) -> Measured:
        if self.from_start:
            return self._started(requests)
        with self._running() as (server, pid):
            server.answer([warm_up])
            with watched(pid) as by:
                seconds = server.answer(requests)
            return Measured(seconds, by, {PROCESSOR: by.own_s})

    def _started(self, requests: Sequence[Request]) -> Measured:
        with ExitStack() as stack, watched() as by:  # watched until it is stopped
            start = time.perf_counter()
            server, pid = stack.enter_context(self._running())
            server.answer(requests)
            seconds = time.perf_counter() - start
            by.pids[pid] = 0.0
        return Measured(seconds, by)

    @contextmanager
    def _running(self) -> Iterator[tuple[Server, int]]:
        port = _free_port()
        n_seq = self.tuned.n_seq_max
        command = [
            *(str(self.binary), "--model", str(self.model)),
            *("--host", "127.0.0.1", "--port", str(port), "--offline"),
            *("--parallel", str(n_seq), "--ctx-size", str(n_seq * self.n_ctx)),
            *(() if self.defaults else self.tuned.flags()),
        ]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=None if self.defaults else self.tuned.environment(),
            )
        server = Server(self.name, f"http://127.0.0.1:{port}", self.model.name)
        try:
            self._wait(process, server.url)
            yield server, process.pid
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait(self, process: subprocess.Popen[bytes], url: str) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise PeerError(f"{self.name} ended with {process.returncode}: see {self.log}")
            with suppress(httpx.TransportError):
                if httpx.get(f"{url}/health", trust_env=False).is_success:
                    return
            time.sleep(0.02)
        raise PeerError(f"{self.name} does not start within {_START_S:.0f} s: see {self.log}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
