"""`lectern up`: Prefect's server, the work pool, a worker and the deployments, until Ctrl-C.

Owns the order in which they start and stop. What the server may do is `flows.server`'s
business; what is deployed stands in deployments/prefect.yaml.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psutil
from filelock import FileLock, Timeout
from rich.markup import escape
from tzlocal import get_localzone_name

from flows.keeping import KeptChild
from flows.server import (
    HEARTBEAT_S,
    RunningServer,
    ServerAddress,
    client_environment,
    drop_damaged,
    known_server,
    listen,
    log_file,
    new_auth,
    prefect_home,
    remove_connection,
    start_child,
    start_server,
    wait_for_server,
    write_connection,
)
from flows.stopping import Stopping
from flows.terminal import err, out
from tasks.errors import PipelineError
from tasks.files import make_folder, write_private
from tasks.pool.lifecycle import pool_status, stop_pool
from tasks.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from prefect.events.schemas.automations import AutomationCore

WORK_POOL = "local-gguf"
_DEAD_AFTER_S = 3 * HEARTBEAT_S  # a run whose process was killed sends no heartbeats
_DEPLOY_S = 300.0  # seconds, on a machine that is not busy
_POOL_SETTLES_S = 3.0  # while it learns that the runs which asked it are gone
_DEAD_RUNS = "lectern: mark dead runs as crashed"
_WELCOME = """\
[bold]{url}[/]  log in with  [bold]{auth}[/]

In a second shell, in the project's folder:
  prefect deployment run summarize-pdf -p 'sources=["paper.pdf"]'

Ctrl-C stops the server, the worker and its runs."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Up:
    """What runs while `lectern up` does."""

    server: RunningServer
    worker: KeptChild

    @property
    def address(self) -> ServerAddress:
        return self.server.address


@contextmanager
def running_up(settings: Settings, port: int, say: Callable[[str], None]) -> Iterator[Up]:
    """Run all of it for as long as the block lasts.

    Args:
        port: the one to try first; another is taken, and told, if it is not free.
        say: hears what is being done, a phrase at a time.

    Raises:
        PipelineError: it runs already, or something did not start.
    """
    with (
        serving(settings, port, say) as server,
        working(settings, server.address, say) as worker,
    ):
        yield Up(server, worker)


@contextmanager
def serving(settings: Settings, port: int, say: Callable[[str], None]) -> Iterator[RunningServer]:
    """Run the server, with the work pool and the automation, and leave its address for others.

    Raises:
        PipelineError: one runs already, or it did not start.
    """
    with _only_one(settings):
        drop_damaged()
        say("starting Prefect's server")
        with _server(settings, port, say) as server:
            # Before Prefect is imported,
            os.environ.update({**client_environment(settings), **server.address.environment()})
            import_module("prefect.automations")  # which takes as long as the server does
            wait_for_server(server)
            from flows.killed import mark_killed_runs

            mark_killed_runs()
            write_connection(server.address)
            try:
                asyncio.run(_prepare())
                yield server
            finally:
                remove_connection(server.address)


@contextmanager
def working(
    settings: Settings, address: ServerAddress, say: Callable[[str], None]
) -> Iterator[KeptChild]:
    """Deploy the flows to a server, and run a worker for it.

    Raises:
        PipelineError: the flows could not be deployed.
    """
    environment = {
        **client_environment(settings),
        **address.environment(),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    say("starting the worker")
    with _worker(settings, address, environment) as worker:
        say("deploying the flows")
        deploy(settings, environment)
        yield worker
        say("stopping the worker and its runs")


def run_up(settings: Settings, port: int) -> int:
    """Run all of it until SIGINT or SIGTERM; return the exit code.

    Raises:
        PipelineError: it runs already, or something did not start.
    """
    stopping = Stopping()
    status = err.status("starting")

    def say(text: str) -> None:
        status.update(escape(text))
        log.info("%s", text)

    try:
        with status, running_up(settings, port, say) as up:
            status.stop()
            stop = stop_signals(stopping)
            out.print(_WELCOME.format(url=up.address.ui, auth=up.address.auth))
            ended = until_stopped(stop, lambda: kept_up(up.server.child, up.worker))
            stopping.take_second()
            status.start()
    except KeyboardInterrupt:  # while it started
        err.print("Stopped.")
        return stopping.exit_code
    _stop_idle_pool(settings)
    err.print(ended or "Stopped.", style="red" if ended else "", markup=False)
    return 1 if ended else 0


def kept_up(*children: KeptChild) -> str:
    """Start again what has ended, and say so; return why that is given up, or ""."""
    try:
        for child in children:
            if line := child.restarted():
                err.print(line, style="yellow", markup=False)
    except PipelineError as error:
        return str(error)
    return ""


def stop_signals(stopping: Stopping) -> threading.Event:
    """Return an event that SIGINT, SIGTERM and SIGHUP set from now on, instead of ending us."""
    stopping.check()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop


def until_stopped(stop: threading.Event, ended: Callable[[], str]) -> str:
    """Wait until `stop` is set, or `ended` tells what ended by itself; return that."""
    while not stop.wait(1):
        if what := ended():
            return what
    return ""


def _stop_idle_pool(settings: Settings) -> None:
    """Give the model's memory back, unless a `lectern summarize` elsewhere is using it."""
    deadline = time.monotonic() + _POOL_SETTLES_S
    while pool := pool_status(settings):
        if not pool.running and not pool.waiting:
            stop_pool(settings)
        elif time.monotonic() < deadline:
            time.sleep(0.2)
            continue
        return


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    lock = FileLock(make_folder(settings.home) / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        address = known_server()
        where = address.ui if address else "starting"
        raise PipelineError("lectern up", f"it runs already: {where}") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _server(settings: Settings, port: int, say: Callable[[str], None]) -> Iterator[RunningServer]:
    try:
        listener = listen(port)
    except OSError:
        listener = listen()
        say(f"port {port} is taken, using {listener.getsockname()[1]} instead")
    server = start_server(settings, listener, kept_auth(settings), alone=False)
    try:
        yield server
    finally:
        server.stop()


def kept_auth(settings: Settings) -> str:
    """Return the same password every time, so that a browser's login stays good."""
    path = make_folder(prefect_home(settings)) / "auth"
    kept = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    if not all(kept.partition(":")):  # an empty one would let anybody in
        kept = new_auth()
        write_private(path, kept)
    return kept


async def _prepare() -> None:
    """Make the work pool and the automation, unless they are there as they should be."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    automation = _marking_dead_runs()
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"), True)
        found = await client.read_automations_by_name(_DEAD_RUNS)
        for old in found:
            await client.update_automation(old.id, automation)
        if not found:
            await client.create_automation(automation)


def _marking_dead_runs() -> AutomationCore:
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    # Events are called after the state's name, not its type; a * would want a further letter.
    over = ("Completed", "Completed with warnings", "Failed", "Cancelled", "Crashed")
    return AutomationCore(
        name=_DEAD_RUNS,
        description="A run whose process is gone sends no heartbeats any more.",
        trigger=EventTrigger(
            after={"prefect.flow-run.Running", "prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{each}" for each in over)},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=_DEAD_AFTER_S),
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                state=StateType.CRASHED,
                message="Its process is gone. Start it again: what is done is not asked anew.",
                force=False,
            )
        ],
    )


@contextmanager
def _worker(
    settings: Settings, address: ServerAddress, environment: Mapping[str, str]
) -> Iterator[KeptChild]:
    from flows.killed import put_back_runs

    command = ["prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process",
               "--name", "lectern up", "--install-policy", "never"]  # fmt: skip
    log = log_file(settings, "worker")

    def start() -> subprocess.Popen[bytes]:
        put_back_runs()
        return start_child(command, environment, log)

    worker = KeptChild("The worker", start, log)
    try:
        yield worker
    finally:
        stop_runs(address)
        worker.stop(patience_s=20)


def stop_runs(address: ServerAddress) -> None:
    """End the processes of a server's flow runs first, while it is there to report to.

    Also those of a worker that died; but not the pool, which bears no run's marks.
    """
    from flows.killed import run_processes

    runs = run_processes(address.url)
    for run in runs:
        _quietly(run.terminate)
    _, alive = psutil.wait_procs(runs, timeout=15)
    for run in alive:
        _quietly(run.kill)


def _quietly(end: Callable[[], None]) -> None:
    try:
        end()
    except psutil.NoSuchProcess:
        return


def local_zone() -> str:
    """Return the name of this machine's time zone, in which schedules are meant."""
    try:
        name = get_localzone_name() or "UTC"
        named = datetime.now(ZoneInfo(name)).utcoffset()
    except ZoneInfoNotFoundError as error:
        log.warning("schedules are in UTC: %s", error)
        return "UTC"
    here = datetime.now().astimezone().utcoffset() or timedelta()
    if here == named:
        return name
    # TZ is no name but a rule, as in CST-8.
    hours, rest = divmod(here, timedelta(hours=1))
    if not rest:
        return f"Etc/GMT{-hours:+d}"  # whose signs are POSIX's
    log.warning("schedules are in %s: set TZ to the name of a zone, such as Asia/Kolkata", name)
    return name


def deploy(
    settings: Settings, environment: Mapping[str, str], patience_s: float = _DEPLOY_S
) -> None:
    """Deploy what stands in deployments/prefect.yaml.

    Raises:
        PipelineError: it could not be done, or not in time.
    """
    log = log_file(settings, "deploy")
    command = ["prefect", "--no-prompt", "deploy", "--all",
               "--prefect-file", str(Path("deployments") / "prefect.yaml")]  # fmt: skip
    child = start_child(command, {**environment, "TZ": local_zone()}, log)
    try:
        status = child.wait(patience_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        problem = f"the flows were not deployed within {patience_s:.0f} s"
    else:
        if status == 0:
            return
        problem = "the flows could not be deployed"
    where = str(PROJECT_ROOT / "deployments" / "prefect.yaml")
    raise PipelineError(where, problem, f"The log says why: {log}")
