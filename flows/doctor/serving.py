"""Prefect, the server, the pool and the service: what runs, and what was left behind."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from flows.doctor.findings import Finding, failed, ok, size, warning
from flows.server import (
    CONNECTION_FILE,
    ServerAddress,
    check_server,
    is_healthy,
    read_connection,
)
from tasks.errors import PipelineError
from tasks.models.elsewhere import authorization, base_of, is_local, is_served, read_models
from tasks.models.nearest import listed, nearest
from tasks.pool.lifecycle import PoolFiles, pool_status
from tasks.settings import PROJECT_ROOT, Settings

_OURS = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
_IMPORT_S = 15


def prefect(settings: Settings) -> Iterator[Finding]:
    """Prefect itself, with the fastapi that its server starts with."""
    try:
        version = importlib.metadata.version("prefect")
        fastapi = importlib.metadata.version("fastapi")
    except importlib.metadata.PackageNotFoundError as error:
        yield failed("Prefect", f"{error.name} is not installed", "make install")
        return
    problem = _import_problem("prefect, fastapi")
    if problem:
        yield failed("Prefect", f"{version} can't be loaded: {problem}", "make install")
    else:
        yield ok("Prefect", f"{version}, with fastapi {fastapi}")
    database = settings.home / "prefect" / "prefect.db"
    if database.exists():
        yield ok("history", f"{database}, {size(database.stat().st_size)}")


def server(settings: Settings) -> Iterator[Finding]:
    """The server of `lectern up`, or what is left of it."""
    runs = is_locked(settings.home / "up.lock")
    try:
        address = read_connection()
    except PipelineError as error:
        found = f"{CONNECTION_FILE}: {error.problem}"
        yield failed("server", found, f"rm {CONNECTION_FILE}")
        return
    if address is None and CONNECTION_FILE.exists():
        found = f"{CONNECTION_FILE} is not Lectern's: `lectern up` won't start beside it"
        yield warning("server", found, f"mv {CONNECTION_FILE} ~/")
    elif address is None:
        yield ok("server", "`lectern up` is starting" if runs else "`lectern up` does not run")
    elif is_healthy(address):
        yield ok("server", f"`lectern up` runs: {address.ui}")
    elif runs:
        found = f"`lectern up` runs, but its server at {address.ui} does not answer"
        yield warning("server", found, f"tail {settings.home}/logs/up-server.log")
    else:
        found = f"{CONNECTION_FILE} names a server that is gone; the next command removes it"
        yield warning("server", found, f"rm {CONNECTION_FILE}")


def environment(settings: Settings) -> Iterator[Finding]:
    """Variables of Prefect's that turn our commands elsewhere."""
    if url := os.environ.get("PREFECT_API_URL"):
        address = ServerAddress(url, os.environ.get("PREFECT_API_AUTH_STRING", ""))
        try:
            check_server(address)
        except PipelineError as error:
            yield failed("PREFECT_API_URL", f"{url}: {error.problem}", "unset PREFECT_API_URL")
        else:
            found = f"runs go to {url}, not to a server of Lectern's own"
            yield warning("PREFECT_API_URL", found, "unset PREFECT_API_URL")
    others = sorted(name for name in os.environ if _is_theirs(name))
    if others:
        found = f"{', '.join(others)}: they change how Prefect works here"
        yield warning("environment", found, f"unset {' '.join(others)}")


def pool(settings: Settings) -> Iterator[Finding]:
    """The process that holds the model, or the server that is used instead."""
    if settings.pool_url:
        yield _foreign_pool(settings)
        return
    status = pool_status(settings)
    if status:
        found = f"{status.state}, {status.model or 'no model yet'}, {status.running} running"
        yield ok("pool", f"{status.url} (pid {status.pid}): {found}")
    elif is_locked(PoolFiles(settings.home).lock):
        found = "a pool runs, but does not answer"
        yield warning("pool", found, f"tail {settings.home}/pool.log; lectern pool stop")
    else:
        yield ok("pool", "does not run; it starts when a run needs it")


def units(settings: Settings) -> Iterator[Finding]:
    """The units of `lectern service`, where there are some."""
    from flows.service.install import unit_states

    for each in unit_states():
        if each.works:
            yield ok("service", f"{each.unit}: {each.active}")
        else:
            found = f"{each.unit}: {each.active}"
            yield warning("service", found, f"journalctl --user -u {each.unit} -e")


def is_locked(path: Path) -> bool:
    """Tell whether another process holds this lock, without waiting and without making it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _is_theirs(name: str) -> bool:
    return name.startswith("PREFECT_") and name not in _OURS


def _foreign_pool(settings: Settings) -> Finding:
    key = settings.pool_api_key
    headers = authorization(key.get_secret_value() if key else None)
    url = base_of(settings.pool_url or "")
    remedy = "start it, or unset LECTERN_POOL_URL"
    try:
        trusts = not is_local(url)
        answer = httpx.get(f"{url}/models", headers=headers, timeout=3, trust_env=trusts)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return failed("pool_url", f"{url} does not answer ({error})", remedy)
    if answer.status_code in (401, 403):
        return failed("pool_url", f"{url} refuses the key", "set LECTERN_POOL_API_KEY")
    if answer.status_code >= 500:
        return failed("pool_url", f"{url} answers with status {answer.status_code}", remedy)
    models = read_models(_read(answer))
    name = settings.pool_model or ""
    if models and name and not is_served(name, models):
        names = listed(nearest(name, [each.name for each in models]))
        found = f"{url} does not serve {name}: it has {names}"
        return failed("pool_url", found, "set LECTERN_POOL_MODEL to one of these")
    serves = f", with {listed([each.name for each in models])}" if models else ""
    return ok("pool_url", f"{url} is used instead of a pool of Lectern's own{serves}")


def _read(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _import_problem(module: str) -> str:
    """Return why a module can't be imported; "" where it can, or that takes too long to tell."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"import {module}"], cwd=PROJECT_ROOT, capture_output=True,
            timeout=_IMPORT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return "" if done.returncode == 0 else (lines[-1] if lines else f"status {done.returncode}")
