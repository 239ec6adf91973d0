"""Runs whose process was killed outright: they could not tell the server how they ended.

Owns the beginning of a run that says which process runs it, marking as crashed those whose
process is gone, and putting back those that never began. While `lectern up` runs, runs are
watched by their heartbeats as well (`flows.up`).
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow
from prefect.states import Cancelled, Crashed, Scheduled

log = logging.getLogger(__name__)

_NOTE = "lectern"  # in a run's context: the process that runs it
_RUN_ID = "PREFECT__FLOW_RUN_ID"  # Prefect gives it to the process that it starts for a run
_GONE = "Its process is gone. Start it again: what is done is not asked anew."
_STOPPED = "Stopped. Start it again: what is done is not asked anew."


def begun(flow: Flow[..., Any], parameters: dict[str, Any]) -> FlowRun:
    """Return a run of a flow that is to be run in this process.

    It says so from its first moment: Prefect's own would be nobody's, were this killed now.

    Raises:
        httpx.HTTPError: the server can't be told.
    """
    with get_client(sync_client=True) as client:
        return client.create_flow_run(
            flow, parameters=flow.serialize_parameters(parameters), context={_NOTE: _note()}
        )


def mark_cancelled(run: FlowRun) -> None:
    """Mark a run of this process as cancelled, if it has not ended well."""
    with _if_possible(), get_client(sync_client=True) as client:
        state = client.read_flow_run(run.id).state
        if state is None or not (state.is_completed() or state.is_cancelled()):
            client.set_flow_run_state(run.id, Cancelled(message=_STOPPED), force=True)


def mark_killed_runs() -> None:
    """Mark the runs of this machine that say that they run or are about to, and do not."""
    with _if_possible(), get_client(sync_client=True) as client:
        for run in _runs(client, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING):
            if _is_gone(run):
                client.set_flow_run_state(run.id, Crashed(message=_GONE), force=True)


def put_back_runs() -> None:
    """Let the next worker take the runs that a worker had taken, and not begun, when it died.

    What it had started for them is ended: without their worker, such processes come to nothing.
    """
    with _if_possible(), get_client(sync_client=True) as client:
        for run in _runs(client, StateType.PENDING):
            if run.deployment_id:
                for process in _processes_of(run):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                client.set_flow_run_state(run.id, Scheduled(), force=True)


def run_processes(api_url: str) -> list[psutil.Process]:
    """Return the processes that a worker of this server has started for flow runs, and theirs."""
    return [
        process
        for process in psutil.process_iter()
        if _variable(process, _RUN_ID) and _variable(process, "PREFECT_API_URL") == api_url
    ]


def _runs(client: SyncPrefectClient, *states: StateType) -> list[FlowRun]:
    wanted = FlowRunFilterState(type=FlowRunFilterStateType(any_=[*states]))
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(state=wanted))


@contextmanager
def _if_possible() -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, ObjectNotFound) as error:
        # A history that stays wrong is no reason not to run.
        log.warning("runs could not be marked: %s", error)


def _note() -> dict[str, Any]:
    # A pid alone may be another's by then; its start, in seconds, tells them apart.
    process = psutil.Process(os.getpid())
    return {"host": socket.gethostname(), "pid": process.pid, "started": process.create_time()}


def _is_gone(run: FlowRun) -> bool:
    match run.context.get(_NOTE):
        case {"host": host, "pid": int(pid), "started": float(started)}:
            return host == socket.gethostname() and _is_over(pid, started)
    if run.deployment_id is None:
        return False  # someone else's, by a script of their own
    is_begun = run.state_type is not StateType.PENDING  # a worker takes its time to begin one
    return is_begun and not _processes_of(run)


def _is_over(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        another = abs(process.create_time() - started) > 2
        return another or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _processes_of(run: FlowRun) -> list[psutil.Process]:
    every = psutil.process_iter()
    return [process for process in every if _variable(process, _RUN_ID) == str(run.id)]


def _variable(process: psutil.Process, name: str) -> str:
    """Return what a process has in its environment from its start; "" where it can't be seen."""
    try:
        return process.environ().get(name, "")
    except psutil.Error:
        return ""
