"""What the units run: one part of `lectern up` each, in the foreground, until SIGTERM.

Owns how a part finds the others, and telling systemd that it is ready. The parts may start and
end in any order: a worker waits for the server, and ends (to be started again) when it has moved.
"""

from __future__ import annotations

import os
import socket
import time

from flows.server import ServerAddress, client_environment, is_healthy, known_server
from flows.stopping import Stopping
from flows.terminal import err
from flows.up import kept_up, serving, stop_signals, until_stopped, working
from tasks.errors import PipelineError
from tasks.settings import Settings

_SERVER_PATIENCE_S = 180.0
_LOOK_EVERY_S = 30.0


def run_server(settings: Settings, port: int) -> int:
    """Run Prefect's server until a signal; return the exit code.

    Raises:
        PipelineError: one runs already, or it did not start.
    """
    stopping = Stopping()
    try:
        with serving(settings, port, _say) as server:
            stop = stop_signals(stopping)
            _say(f"serving at {server.address.ui}, password in {settings.home}/prefect/auth")
            tell_systemd("READY=1")
            ended = until_stopped(stop, lambda: kept_up(server.child))
            stopping.take_second()
    except KeyboardInterrupt:  # while it started
        ended = ""
    return _ended(ended)


def run_worker(settings: Settings) -> int:
    """Deploy the flows to the server that runs here, and run a worker until a signal.

    Raises:
        PipelineError: there is no server, or the flows could not be deployed.
    """
    stopping = Stopping()
    try:
        address = _find_server(stopping)
        os.environ.update({**client_environment(settings), **address.environment()})
        with working(settings, address, _say) as worker:
            stop = stop_signals(stopping)
            _say(f"working for {address.ui}")
            tell_systemd("READY=1")
            moved = _Moved(address)
            ended = until_stopped(stop, lambda: kept_up(worker) or moved.look())
            stopping.take_second()
    except KeyboardInterrupt:
        ended = ""
    return _ended(ended)


class _Moved:
    """Looks now and then whether the server is elsewhere, where this worker's runs can't reach it.

    One that is gone for a moment is waited for.
    """

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self._looked = time.monotonic()

    def look(self) -> str:
        if time.monotonic() - self._looked < _LOOK_EVERY_S:
            return ""
        self._looked = time.monotonic()
        now = known_server()
        moved = now is not None and now != self._address and is_healthy(now)
        return "The server has moved; a worker for the new one is wanted." if moved else ""


def tell_systemd(state: str) -> None:
    """Pass on our state (sd_notify(3)), if systemd has started us and wants to hear."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if name:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(state.encode(), name.replace("@", "\0", 1))


def _find_server(stopping: Stopping) -> ServerAddress:
    deadline = time.monotonic() + _SERVER_PATIENCE_S
    while time.monotonic() < deadline:
        stopping.check()
        address = known_server()
        if address and is_healthy(address):
            return address
        time.sleep(0.5)
    raise PipelineError(
        "the worker", "no server runs here", "Start one: `lectern up --only server`"
    )


def _ended(what: str) -> int:
    _say(what or "stopped")
    return 1 if what else 0


def _say(text: str) -> None:
    err.print(text, markup=False, soft_wrap=True)
