"""Find, start and stop the machine's pool.

Owns the pool's files in settings.home: pool.json (where it is and how it is set; 0600),
pool.key (its key; 0600), pool.log, pool.lock (held by a pool as long as it lives) and
pool.starting.lock (held by whoever starts one). Knows nothing of models or requests.

The pool's own lock is what tells that it lives: the system frees it however the pool ends.
What answers at the address in pool.json is believed only if it proves that it has the key.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, fields
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from filelock import FileLock, Timeout

from tasks.errors import InferenceError, StorageError
from tasks.files import state_errors, sync_folder, write_private
from tasks.locks import acquire, go_on_always
from tasks.settings import PROJECT_ROOT, Settings

FOREVER = -1.0  # of a patience
_START_S = 60.0
_STOP_S = 20.0
_LOOK_EVERY_S = 0.01
_LOG_MAX_BYTES = 5_000_000
# Of the settings, what does not concern a pool, or would turn it away from itself.
_NOT_PASSED = frozenset({"pool_url", "pool_api_key", "pool_model"})
_OF_NO_ANSWER = frozenset({"pool_idle_s", "pool_queue_max"})
# What an answer or its speed depends on: a pool that was started with others is not the one that
# is wanted.
_KEPT = {"models", *(name for name in Settings.model_fields if name.startswith("pool_"))} - (
    _NOT_PASSED | _OF_NO_ANSWER
)

# Kept, because Python warns of a child that it forgets while it lives; a pool is meant to.
_started: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class PoolAddress:
    url: str
    api_key: str | None


@dataclass(frozen=True)
class PoolStatus:
    """A living pool.

    Attributes:
        progress: of the load, from 0 to 1.
        worker: the pid of the first that is ready, or else of the one that loads.
        workers: the pids of all.
        models: how many it has served.
        swaps: loads of another model than the one before.
        note: what the user should know of how the model runs; may be empty.
    """

    url: str
    pid: int
    state: str
    model: str
    progress: float
    running: int
    waiting: int
    worker: int | None
    workers: Sequence[int] = ()
    models: int = 0
    swaps: int = 0
    note: str = ""

    @property
    def in_use(self) -> bool:
        return bool(self.running or self.waiting or self.state == "loading")


@dataclass(frozen=True)
class PoolState:
    """What pool.json says.

    Attributes:
        created: the process's start as the system tells it.
        settings: those that an answer or its speed depends on.
    """

    url: str
    pid: int
    created: float
    settings: dict[str, Any]

    def process(self) -> psutil.Process | None:
        """Return the process, unless it is gone and its pid is another's now."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created) > 1:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None


class PoolFiles:
    """The pool's files in a home folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = home / "pool.json"
        self.key = home / "pool.key"
        self.log = home / "pool.log"
        self.lock = home / "pool.lock"
        self.starting = home / "pool.starting.lock"

    def prepare(self) -> None:
        """Make the folder and the key.

        Raises:
            StorageError: the folder can't be written.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.key.exists():
                self._make_key()
        except OSError as error:
            raise StorageError(
                str(self.home), f"can't be written ({error.strerror})", "Set LECTERN_HOME"
            ) from error

    def _make_key(self) -> None:
        """Write a new key, unless another starter is first."""
        own = self.key.with_name(f"{self.key.name}.{secrets.token_hex(8)}")
        write_private(own, secrets.token_urlsafe(32))
        with suppress(FileExistsError):
            self.key.hardlink_to(own)
        own.unlink()
        sync_folder(self.home)

    def read_key(self) -> str:
        """Return the key.

        Raises:
            StorageError: it is gone, and so is what the running pool could be known by.
        """
        with state_errors(
            self.key, "End the pool with `lectern pool stop`; the next has a new one"
        ):
            return self.key.read_text().strip()

    def read_state(self) -> PoolState | None:
        try:
            return PoolState(**json.loads(self.state.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None  # none, or half of one: as good as none

    def write_state(self, url: str, settings: Settings) -> None:
        pid = os.getpid()
        state = PoolState(url, pid, psutil.Process(pid).create_time(), _kept(settings))
        write_private(self.state, json.dumps(asdict(state)))

    def remove_state(self) -> None:
        self.state.unlink(missing_ok=True)


def prove(key: str, challenge: str) -> str:
    """Return what only a holder of the key can say to a challenge."""
    return hmac.new(key.encode(), challenge.encode(), "sha256").hexdigest()


def ensure_pool(settings: Settings, go_on: Callable[[], None] = go_on_always) -> PoolAddress:
    """Return where the pool is; start it if none runs, or only an idle one with other settings.

    Args:
        go_on: called again and again while waiting; may raise to end it. A pool that is half
            started then is ended too.

    Raises:
        StorageError: settings.home can't be written.
        InferenceError: it does not start, and the message names its log; or it is in use with
            other settings, and the message names these.
    """
    if settings.pool_url:
        secret = settings.pool_api_key
        return PoolAddress(settings.pool_url, secret.get_secret_value() if secret else None)
    files = PoolFiles(settings.home)
    files.prepare()
    if not _serves(files, settings):
        with acquire(files.starting, "another command, which starts the pool", go_on=go_on):
            if not _serves(files, settings):
                _make_way(files, settings, go_on)
                _start(files, settings, go_on)
    state = files.read_state()
    if state is None:
        raise _not_started(files, "it ended again at once")
    return PoolAddress(state.url, files.read_key())


def _serves(files: PoolFiles, settings: Settings) -> bool:
    """Tell whether a pool with these settings answers."""
    state = files.read_state()
    return state is not None and state.settings == _kept(settings) and _health(files) is not None


def _make_way(files: PoolFiles, settings: Settings, go_on: Callable[[], None]) -> None:
    """Stop a pool that has other settings, unless it is in use."""
    status, state = pool_status(settings), files.read_state()
    if status is None or state is None:
        return
    if status.in_use:
        differing = [
            f"{name} {state.settings.get(name)} instead of {wanted}"
            for name, wanted in _kept(settings).items()
            if state.settings.get(name) != wanted
        ]
        raise InferenceError(
            "the pool",
            f"it is in use with other settings ({', '.join(differing)})",
            "Wait until it is free, or end it with `lectern pool stop`",
        )
    stop_pool(settings, go_on=go_on)


def _kept(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", include=_KEPT)


def reconnector(
    settings: Settings, go_on: Callable[[], None] = go_on_always
) -> Callable[[], PoolAddress] | None:
    """Return what a client calls when its pool has gone; None for a server that isn't ours."""
    return None if settings.pool_url else lambda: ensure_pool(settings, go_on)


def pool_status(settings: Settings) -> PoolStatus | None:
    """Return what the pool is doing, or None if none answers."""
    files = PoolFiles(settings.home)
    health = _health(files)
    state = files.read_state()
    if health is None or state is None:
        return None
    shown = [each.name for each in fields(PoolStatus) if each.name not in ("url", "pid")]
    found = {name: health[name] for name in shown if name in health}  # an older pool tells less
    return PoolStatus(state.url, state.pid, **found)


def stop_pool(
    settings: Settings,
    patience_s: float = _STOP_S,
    go_on: Callable[[], None] = go_on_always,
) -> bool:
    """Stop the pool, by force if it takes too long; return whether there was one.

    Args:
        go_on: called again and again while waiting; may raise to end it.

    Raises:
        InferenceError: not even force ends it.
    """
    files = PoolFiles(settings.home)
    state = files.read_state()
    process = state.process() if state else None
    if state is None or process is None:
        return False
    for end in (process.terminate, process.kill):  # its worker ends when its pipe closes
        with suppress(psutil.NoSuchProcess):
            end()
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if state.process() is None:
                return True
            go_on()
            time.sleep(_LOOK_EVERY_S)
    problem = f"process {state.pid} does not end, not even by force"
    raise InferenceError("the pool", problem, "See whether its disk answers")


def _health(files: PoolFiles) -> dict[str, Any] | None:
    """Return /health of this home's pool, if it answers and proves that it is."""
    state = files.read_state()
    if state is None or state.process() is None:
        return None
    challenge = secrets.token_hex(16)
    try:
        # Not httpx: the front would import it too, and start later for it.
        with closing(HTTPConnection(urlsplit(state.url).netloc, timeout=5)) as connection:
            connection.request("GET", f"/health?challenge={challenge}")
            health: dict[str, Any] = json.loads(connection.getresponse().read())
        proof = str(health.get("proof", ""))
        expected = prove(files.read_key(), challenge)
    except (OSError, HTTPException, ValueError, AttributeError, StorageError):
        return None
    return health if hmac.compare_digest(proof, expected) else None


def _start(files: PoolFiles, settings: Settings, go_on: Callable[[], None]) -> None:
    """Start a pool that outlives this process, and wait until it answers."""
    status = _try_to_start(files, settings, go_on)
    if status == -signal.SIGKILL:  # most likely someone else's doing: once more
        status = _try_to_start(files, settings, go_on)
    if status is not None:
        raise _not_started(files, f"it ended with status {status}")


def _try_to_start(files: PoolFiles, settings: Settings, go_on: Callable[[], None]) -> int | None:
    """Return None when the pool answers; its exit status, negative for a signal, if it ends."""
    if files.log.exists() and files.log.stat().st_size > _LOG_MAX_BYTES:
        files.log.replace(files.log.with_suffix(".log.1"))
    with files.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tasks.pool.server"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=PROJECT_ROOT,
            env={**_inherited(), **_as_environment(settings)},
            start_new_session=True,
        )
    _started.append(process)
    try:
        return _wait_for(process, files, settings, go_on)
    except BaseException:
        process.kill()  # it has nothing to put in order yet, and may not hear anything else
        process.wait()
        raise


def _wait_for(
    process: subprocess.Popen[bytes],
    files: PoolFiles,
    settings: Settings,
    go_on: Callable[[], None],
) -> int | None:
    deadline = time.monotonic() + _START_S
    while not _serves(files, settings):  # another may have been quicker, with other settings
        if process.poll() is not None:
            return process.returncode
        if time.monotonic() > deadline:
            raise _not_started(files, f"no answer within {_START_S:.0f} s")
        go_on()
        time.sleep(_LOOK_EVERY_S)
    return None


def _inherited() -> dict[str, str]:
    """Return this process's environment without the marks of the run that it may belong to: by
    these a run's processes are found, and ended with it."""
    return {name: text for name, text in os.environ.items() if not name.startswith("PREFECT_")}


def _as_environment(settings: Settings) -> dict[str, str]:
    """Return the settings as LECTERN_* variables, so that the pool reads the same."""
    values = settings.model_dump(exclude=set(_NOT_PASSED), exclude_none=True)
    return {
        f"LECTERN_{name.upper()}": json.dumps(value) if isinstance(value, tuple) else str(value)
        for name, value in values.items()
    }


def _not_started(files: PoolFiles, problem: str) -> InferenceError:
    return InferenceError("the pool", f"it does not start: {problem}", f"See {files.log}")


def hold_lock(files: PoolFiles, patience_s: float = _STOP_S) -> FileLock | None:
    """Return the pool's own lock, held; None if another pool keeps it.

    One that is stopping is waited for, so that two models are never in memory at once.
    """
    lock = FileLock(files.lock)
    try:
        lock.acquire(timeout=patience_s)
    except Timeout:
        return None
    return lock
