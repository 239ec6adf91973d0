"""Runs whose process was killed outright: they could not tell the server how they ended.

Owns the note in a run of which process runs it, and marking as crashed those whose process is
gone. Runs of the worker of `lectern up` are watched by their heartbeats instead (`flows.up`).
"""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

import httpx
import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.flows import Flow
from prefect.states import Crashed

log = logging.getLogger(__name__)

_MARK = "lectern"
_GONE = "Its process is gone. Start it again: what is done is not asked anew."
_RUNNING = FlowRunFilter(
    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
)


def note_process(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Note in a run that this process runs it; a hook for Prefect's `on_running`."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, infrastructure_pid=_note(psutil.Process(os.getpid())))


def mark_killed_runs() -> None:
    """Mark the runs of this machine that say "running" and are not."""
    try:
        with get_client(sync_client=True) as client:
            for run in client.read_flow_runs(flow_run_filter=_RUNNING):
                if _is_gone(run.infrastructure_pid or ""):
                    client.set_flow_run_state(run.id, Crashed(message=_GONE), force=True)
    except httpx.HTTPError as error:  # a history that stays wrong is no reason not to run
        log.warning("killed runs could not be marked: %s", error)


def _note(process: psutil.Process) -> str:
    # A pid alone may be another's by then; its start, in seconds, tells them apart.
    return f"{_MARK} {socket.gethostname()} {process.pid} {process.create_time():.0f}"


def _is_gone(note: str) -> bool:
    match note.split():
        case [mark, host, pid, started] if (mark, host) == (_MARK, socket.gethostname()):
            try:
                process = psutil.Process(int(pid))
                return abs(process.create_time() - int(started)) > 2
            except psutil.NoSuchProcess:
                return True
    return False
