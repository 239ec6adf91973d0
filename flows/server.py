"""Prefect's server: find the one that runs, or run one.

Owns where a server is looked for, how one is started and made safe, and the file in the
project's root by which a second shell finds the one that `lectern up` runs. Imports nothing
of Prefect, so that a server can start while Prefect's client is still being imported.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import tomllib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import BaseFileLock, Timeout

from flows.keeping import KeptChild
from tasks.errors import PipelineError, StorageError
from tasks.files import make_folder, write_private
from tasks.locks import acquire
from tasks.settings import PROJECT_ROOT, Settings

log = logging.getLogger(__name__)

CONNECTION_FILE = PROJECT_ROOT / "prefect.toml"
_CONNECTION_MARK = "# Written by `lectern up`, which removes it when it stops."
_ROOM = 1 << 20  # bytes: less than a new database takes
_START_PATIENCE_S = 120.0
_TURN_S = 2 * _START_PATIENCE_S  # for the server of another command to start
_RESTART_PATIENCE_S = 60.0  # `lectern up` may just be starting its server again
_LOOK_EVERY_S = 0.5
HEARTBEAT_S = 30  # how often a run says that it lives
# What the server of a single `lectern` command has no use for.
_UNUSED_ALONE = (
    "SCHEDULER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP",
    "TRIGGERS", "REPOSSESSOR", "CLEANUP_RECONCILER",
)  # fmt: skip


@dataclass(frozen=True)
class ServerAddress:
    """Where a Prefect server's API is, and what it wants to hear.

    Attributes:
        url: of the API, ending in /api.
        auth: "user:password", or "" for a server that asks for none.
    """

    url: str
    auth: str = ""

    @property
    def ui(self) -> str:
        return self.url.removesuffix("/").removesuffix("/api")

    def environment(self) -> dict[str, str]:
        """Return the variables by which Prefect's client finds this server."""
        auth = {"PREFECT_API_AUTH_STRING": self.auth} if self.auth else {}
        return {"PREFECT_API_URL": self.url, **auth}


@dataclass(frozen=True)
class RunningServer:
    """A server that this process started and has to stop.

    Attributes:
        listener: its socket, open here too: while a server that died is started again, its
            clients wait instead of being turned away.
    """

    address: ServerAddress
    child: KeptChild
    listener: socket.socket
    starting: BaseFileLock

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.child.process

    @property
    def log(self) -> Path:
        return self.child.log

    def stop(self) -> None:
        """End the server and wait until it is gone."""
        self.listener.close()
        self.child.stop()
        self.starting.release()

    @contextmanager
    def kept(self, say: Callable[[str], None]) -> Iterator[None]:
        """Start the server again whenever it dies while the block lasts, and say so."""
        over = threading.Event()

        def keep() -> None:
            while not over.wait(_LOOK_EVERY_S):
                try:
                    if line := self.child.restarted():
                        say(line)
                except PipelineError as error:
                    self.listener.close()  # nobody shall wait any longer
                    say(str(error))
                    return

        thread = threading.Thread(target=keep, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


# Finding one.


def configured_server(environment: Mapping[str, str]) -> ServerAddress | None:
    """Return the server named by PREFECT_API_URL, else the one that `lectern up` runs.

    Raises:
        PipelineError: the server that PREFECT_API_URL names does not answer or refuses; or the
            user's own file of settings can't be read.
    """
    drop_damaged()
    if url := environment.get("PREFECT_API_URL"):
        address = ServerAddress(url, environment.get("PREFECT_API_AUTH_STRING", ""))
        check_server(address)
        return address
    return server_left(CONNECTION_FILE, _RESTART_PATIENCE_S)


def server_left(path: Path, patience_s: float) -> ServerAddress | None:
    """Return the server that `lectern up` runs, if it answers.

    The file goes only if `lectern up` was killed before it could remove it: a server that is too
    busy to answer will be wanted by others.
    """
    left = read_connection(path)
    if left is None:
        return None
    try:
        if _answers(left, patience_s):
            return left
    except httpx.TimeoutException:
        return None
    remove_connection(left, path)
    return None


def is_healthy(address: ServerAddress, patience_s: float = 5) -> bool:
    """Return whether a server answers there."""
    try:
        return _answers(address, patience_s)
    except httpx.TimeoutException:
        return False


def _answers(address: ServerAddress, patience_s: float) -> bool:
    try:
        return httpx.get(f"{address.url}/health", timeout=patience_s).status_code == 200
    except httpx.TimeoutException:
        raise
    except httpx.HTTPError:
        return False


def check_server(address: ServerAddress) -> None:
    """Make sure that the server answers and lets us in.

    Raises:
        PipelineError: it doesn't; the message says what to do.
    """
    headers = {"Authorization": f"Basic {b64encode(address.auth.encode()).decode()}"}
    try:
        answer = httpx.get(
            f"{address.url}/admin/version", headers=headers if address.auth else {}, timeout=30
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PipelineError(
            address.url,
            f"the Prefect server named by PREFECT_API_URL does not answer ({error})",
            "Start it, or unset PREFECT_API_URL to let Lectern run its own",
        ) from error
    if answer.status_code in {401, 403}:
        raise PipelineError(
            address.url,
            "the Prefect server refuses the password",
            "Set PREFECT_API_AUTH_STRING to user:password as the server knows them",
        )
    if answer.status_code != 200:
        raise PipelineError(
            address.url,
            f"no Prefect API there (status {answer.status_code})",
            "PREFECT_API_URL ends in /api, as in http://127.0.0.1:4200/api",
        )


# The file in the project's root, which Prefect's own settings read.


def read_connection(path: Path = CONNECTION_FILE) -> ServerAddress | None:
    """Return the address that `lectern up` has written, if it has.

    Raises:
        PipelineError: the file, whoever wrote it, can't be read; by Prefect neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
        api = tomllib.loads(text).get("api", {})
        if not text.startswith(_CONNECTION_MARK):
            return None  # the user's own file: Prefect reads it, we leave it alone
        return ServerAddress(str(api["url"]), str(api["auth_string"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"it is damaged ({type(error).__name__}: {error})"
        raise PipelineError(str(path), problem, "Correct it, or remove it") from error


def known_server(path: Path = CONNECTION_FILE) -> ServerAddress | None:
    """Return the address that `lectern up` has written, if it has and it can be read."""
    try:
        return read_connection(path)
    except PipelineError:
        return None


def drop_damaged(path: Path = CONNECTION_FILE) -> None:
    """Remove what `lectern up` has written if it can't be read: Prefect would stop at it.

    Raises:
        PipelineError: a file of the user's own can't be read.
    """
    try:
        read_connection(path)
    except PipelineError as error:
        if not _is_ours(path):
            raise
        path.unlink(missing_ok=True)
        log.warning("%s was removed: %s", path, error.problem)


def _is_ours(path: Path) -> bool:
    try:
        return path.read_bytes().startswith(_CONNECTION_MARK.encode())
    except OSError:
        return False


def write_connection(address: ServerAddress, path: Path = CONNECTION_FILE) -> None:
    """Leave the address for a second shell, readable by its owner only.

    Raises:
        PipelineError: a file of the user's own stands there.
    """
    if path.exists() and not _is_ours(path):
        raise PipelineError(
            str(path),
            "this file is not Lectern's, so the server's address can't be written there",
            "Move its settings into a Prefect profile or the environment",
        )
    write_private(
        path,
        f'{_CONNECTION_MARK}\n[api]\nurl = "{address.url}"\nauth_string = "{address.auth}"\n'
        "\n[server]\nanalytics_enabled = false\n",
    )


def remove_connection(address: ServerAddress, path: Path = CONNECTION_FILE) -> None:
    """Remove the file if it still names this address."""
    if known_server(path) == address:
        path.unlink(missing_ok=True)


# Running one.


def prefect_home(settings: Settings) -> Path:
    """Return the folder of Prefect's database, the same for every server we run."""
    return settings.home / "prefect"


def client_environment(settings: Settings) -> dict[str, str]:
    """Return what every process of ours that uses Prefect has in its environment."""
    return {
        "PREFECT_HOME": str(prefect_home(settings)),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "tasks,flows",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
        "PREFECT_CLIENT_MAX_RETRIES": "3",  # 14 s in all; one that is restarting is waited for
        "DO_NOT_TRACK": "1",
    }


def server_environment(settings: Settings, port: int, auth: str, *, alone: bool) -> dict[str, str]:
    """Return the environment that makes Prefect's server safe and quiet.

    Args:
        alone: it serves a single command, without schedules and workers.
    """
    ui = f"http://127.0.0.1:{port}"
    unused = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _UNUSED_ALONE}
    return {
        **client_environment(settings),
        **ServerAddress(f"{ui}/api", auth).environment(),
        **(unused if alone else {}),
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        # Its own pages, and no other's.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{ui},http://localhost:{port}",
        "PREFECT_UI_API_URL": f"{ui}/api",
        # In Prefect's home: in memory, a server that is started again would cancel the inbox's run.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # Not the one to begin with: the new UI asks an analytics service for its configuration,
        # whatever is set above.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT__SERVER_FINAL": "1",
    }


def new_auth() -> str:
    """Return a user and a password nobody can guess."""
    return f"lectern:{secrets.token_urlsafe(18)}"


def start_server(
    settings: Settings, listener: socket.socket, auth: str, *, alone: bool
) -> RunningServer:
    """Start Prefect's server on a listening socket, which is its own from now on.

    `wait_for_server` tells when it serves. Two servers of one home may run, but not start, at
    once: both would migrate its database.

    Raises:
        PipelineError: another one has been starting for too long.
    """
    port = listener.getsockname()[1]
    home = make_folder(prefect_home(settings))
    starting = _turn(home / "starting.lock")
    log = log_file(settings, "server" if alone else "up-server")
    environment = server_environment(settings, port, auth, alone=alone)
    command = ["uvicorn", "--factory", "prefect.server.api.server:create_app", "--lifespan", "on",
               "--fd", str(listener.fileno()), "--log-level", "warning", "--no-access-log",
               "--timeout-graceful-shutdown", "3"]  # fmt: skip

    def start() -> subprocess.Popen[bytes]:
        return start_child(command, environment, log, pass_fds=[listener.fileno()])

    return RunningServer(
        ServerAddress(f"http://127.0.0.1:{port}/api", auth),
        KeptChild("Prefect's server", start, log),
        listener,
        starting,
    )


def _turn(path: Path) -> BaseFileLock:
    try:
        return acquire(path, "another command, which starts Prefect's server", _TURN_S).lock
    except Timeout:
        problem = f"another command has been starting one for {_TURN_S:.0f} s"
        remedy = f"See which process holds {path}, and end it"
        raise PipelineError("Prefect's server", problem, remedy) from None


def start_child(
    command: Sequence[str], environment: Mapping[str, str], log: Path, pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start `python -m command` in the project's root; it ends when we do, at the latest."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.child", str(os.getpid()), *command],
            env={**os.environ, **environment},
            cwd=PROJECT_ROOT,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us, who stop our children in order
        )


def log_file(settings: Settings, name: str) -> Path:
    """Return the path of a log, in a folder that exists."""
    return make_folder(settings.home / "logs") / f"{name}.log"


def wait_for_server(server: RunningServer) -> None:
    """Return once the server answers.

    Raises:
        PipelineError: it ended or did not answer in time.
        StorageError: for want of room on the disk.
    """
    deadline = time.monotonic() + _START_PATIENCE_S
    while time.monotonic() < deadline and server.process.poll() is None:
        if is_healthy(server.address):
            server.starting.release()
            return
        time.sleep(0.05)
    home = server.log.parent.parent
    if shutil.disk_usage(home).free < _ROOM:  # the log is empty then
        problem = "no space is left for Prefect's server, which keeps its database there"
        raise StorageError(str(home), problem, "Free some, or set LECTERN_HOME to another disk")
    raise PipelineError("Prefect's server", "it did not start", f"Its log says why: {server.log}")


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens on loopback; port 0 is any free one.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


@contextmanager
def own_server(settings: Settings) -> Iterator[RunningServer]:
    """Run a server for as long as the block lasts. It is still starting when the block begins."""
    server = start_server(settings, listen(), new_auth(), alone=True)
    try:
        yield server
    finally:
        server.stop()
