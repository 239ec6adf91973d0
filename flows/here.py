"""Run a flow in this process, for a command: with the server that runs, or one of its own.

Owns what has to be in the environment before Prefect is imported, and that nothing is left
behind when the command ends, however it ends.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx

from flows.in_use import a_run
from flows.progress import watcher
from flows.server import (
    ServerAddress,
    client_environment,
    configured_server,
    is_healthy,
    log_file,
    own_server,
    wait_for_server,
)
from flows.stopping import STOPPED, Stopping
from flows.terminal import Terminal, err, print_totals
from flows.words import WORDS, Words
from tasks.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

OK, FAILED, SOME_FAILED = 0, 1, 2
_GONE = (
    "Prefect's server has gone, and the run could not tell it how it ended. Start it again, and "
    "give the same command: what is done is not asked anew."
)


@dataclass(frozen=True)
class FlowHere:
    """A flow that makes documents, and how a command calls it.

    Attributes:
        module, name: where the flow is; imported late, with Prefect.
        words: how it speaks of what it makes.
    """

    module: str
    name: str
    words: Words

    def load(self) -> Any:
        return getattr(import_module(self.module), self.name)


SUMMARIZE = FlowHere("flows.summarize_pdf", "summarize_pdf", WORDS["summary"])
TRANSLATE = FlowHere("flows.translate_pdf", "translate_pdf", WORDS["translation"])
SUMMARIZE_VIDEO = FlowHere("flows.summarize_video", "summarize_video", WORDS["summary"])
TRANSLATE_VIDEO = FlowHere("flows.translate_video", "translate_video", WORDS["translation"])
TRANSCRIBE = FlowHere("flows.transcribe", "transcribe", WORDS["transcript"])


def run_here(
    flow: FlowHere, settings: Settings, parameters: dict[str, Any], *, verbose: bool
) -> int:
    """Run a flow, print how it goes and what came of it; return the exit code.

    Raises:
        PipelineError: there is no server to run it with.
    """
    stopping = Stopping()
    try:
        code = _run_and_tell(flow, settings, parameters, stopping, verbose=verbose)
    except (Exception, KeyboardInterrupt) as error:
        if stopping.told:
            code = _stopped(stopping)
        elif isinstance(error, httpx.TransportError):
            err.print(_GONE, style="red")
            code = FAILED
        else:
            raise
    _leave_if_gone(code)
    return code


def _leave_if_gone(code: int) -> None:
    """End here if the server has gone: Prefect would try for minutes to send it the rest."""
    url = os.environ.get("PREFECT_API_URL")
    if url and not is_healthy(ServerAddress(url)):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run_and_tell(
    flow: FlowHere,
    settings: Settings,
    parameters: dict[str, Any],
    stopping: Stopping,
    *,
    verbose: bool,
) -> int:
    began = time.monotonic()
    log = log_file(settings, "lectern")
    with a_run(settings.home), Terminal() as terminal, _server(settings, flow) as server:
        if not verbose:
            _log_to(log)
        watcher.set(terminal)
        stopping.check()
        state = _run(flow, parameters, stopping)
        ui = _ui(server, state)
    if state.is_cancelled():
        return _stopped(stopping)
    if terminal.snapshot is None:  # it did not come to reading a source
        return _failed(state)
    seconds = time.monotonic() - began
    print_totals(terminal.outcomes, terminal.snapshot, seconds, flow.words)
    from tasks.land.index import NAME  # late: by now it is loaded, before that a server waited

    err.print(
        f"All documents: {settings.results / NAME}\n"
        f"Tables: {settings.results}/*/*.parquet (lectern stats)\nRun: {ui}\nLog: {log}",
        markup=False,
    )
    if not state.is_completed():
        return _failed(state)
    return SOME_FAILED if any(each.failed for each in terminal.outcomes) else OK


def _run(here: FlowHere, parameters: dict[str, Any], stopping: Stopping) -> State[Any]:
    """Run the flow; however it is stopped, its run says so."""
    from prefect.flow_engine import run_flow

    from flows.killed import begun, mark_cancelled

    def take_signals(*_: object) -> None:
        stopping.take()  # Prefect has its own idea of SIGTERM

    flow = here.load().with_options(on_running=[take_signals])
    run = begun(flow, parameters)
    try:
        state = cast("State[Any]", run_flow(flow, flow_run=run, return_type="state"))
    finally:
        if stopping.told:  # perhaps before or after the flow's own code, which sees to it itself
            mark_cancelled(run)
    return state


def _stopped(stopping: Stopping) -> int:
    err.print(STOPPED)
    return stopping.exit_code


def _failed(state: State[Any]) -> int:
    err.print(state.message or state.name, style="red", markup=False)  # it may hold any name
    return FAILED


@contextmanager
def _server(settings: Settings, flow: FlowHere) -> Iterator[ServerAddress | None]:
    """Yield the server that runs already, or None for one that lasts as long as the block.

    Prefect is imported, and knows of it.
    """
    os.environ.update(client_environment(settings))
    foreign = "PREFECT_API_URL" in os.environ
    if address := configured_server(os.environ):
        os.environ.update(address.environment())
        if not address.auth:
            err.print(f"{address.ui}: this Prefect server asks for no password", markup=False)
        if not foreign:  # its runs are of this machine
            _mark_killed_runs()
        yield address
        return
    with own_server(settings) as server:
        os.environ.update(server.address.environment())
        flow.load()  # takes as long as the server's own start

        wait_for_server(server)
        _mark_killed_runs()
        with server.kept(lambda line: err.print(line, style="yellow", markup=False)):
            try:
                yield None
            finally:
                send_the_rest()
                del os.environ["PREFECT_API_URL"]  # it goes now


def _mark_killed_runs() -> None:
    from flows.killed import mark_killed_runs  # late: with Prefect

    mark_killed_runs()


def send_the_rest() -> None:
    """Hand over what Prefect still has in its queues: after the server it would wait in vain."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (EventsWorker, APILogWorker):
        worker.drain_all(timeout=5)


def _ui(server: ServerAddress | None, state: State[Any]) -> str:
    page = f"runs/flow-run/{state.state_details.flow_run_id}"
    return f"{server.ui}/{page}" if server else f"`lectern up` shows it, at /{page}"


def _log_to(path: Path) -> None:
    """Send all logging to a file instead of the terminal."""
    from prefect.logging.configuration import setup_logging

    setup_logging()
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    logging.getLogger("prefect._internal").handlers = [handler]  # it has the terminal for itself
    for name in ("tasks", "flows", "prefect"):  # Prefect lets some of these end at themselves
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        if not logger.propagate:
            logger.addHandler(handler)
