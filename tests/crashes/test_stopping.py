"""Stopping on purpose, at any time: soon over, in order, resumable, and nothing left behind.

How soon is no test's business, but a hang is. Cancelling in the UI is in test_kills, with its pool.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pypdf
import pytest
from support.crashing import wait_until
from support.processes import running
from support.project import copy_project
from support.scripted_server import ScriptedServer

from flows.server import RunningServer, listen
from flows.stopping import STOPPED
from tasks.pool.lifecycle import pool_status
from tasks.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(200)]

BOOK = PROJECT_ROOT / "data" / "samples" / "handbook-en.pdf"
PATIENCE_S = 60.0
SIGNALS = [signal.SIGINT, signal.SIGTERM] if os.environ.get("LECTERN_SOAK") else [signal.SIGINT]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(delay_s=1) as server:
        yield server


def lectern(*arguments: object, **environment: object) -> subprocess.Popen[str]:
    """Start a command with the server of the tests."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *map(str, arguments)], cwd=PROJECT_ROOT, text=True,
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> str:
    """Send a signal, wait for the end, check that no child is left; return what was said."""
    below = children(process)
    process.send_signal(number)
    said = process.communicate(timeout=PATIENCE_S)[0]
    assert psutil.wait_procs(below, timeout=PATIENCE_S)[1] == []
    assert "Traceback" not in said
    return said


def until(process: subprocess.Popen[str], condition: Callable[[], Any]) -> None:
    """Return when the condition holds; fail, with what was said, if the process ends before."""
    wait_until(lambda: process.poll() is not None or condition())
    assert process.poll() is None, process.communicate()[0]


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def child(process: subprocess.Popen[str], module: str) -> psutil.Process | None:
    """Return the child that runs a module, if there is one."""
    return next(iter(running(module, children(process))), None)


def parses(process: subprocess.Popen[str]) -> bool:
    return child(process, "tasks.extract.child") is not None


def newest_run() -> Any:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        return client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)[0]


def generations(config: Settings) -> int:
    return len(list((config.results / "generations").glob("*.parquet")))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("prefect_server")
def test_one_signal_cancels_what_is_in_flight(
    number: signal.Signals, server: ScriptedServer, config: Settings, tiny_model: Path
) -> None:
    """The run ends as cancelled, the exit status is the signal's, and the line says how to go on;
    what was answered stays."""
    process = lectern(
        "summarize", BOOK, "-m", tiny_model, LECTERN_POOL_URL=server.url, LECTERN_POOL_N_SEQ_MAX=1
    )
    until(process, lambda: generations(config) >= 2)
    said = stop(process, number)

    assert (process.returncode, STOPPED in said) == (128 + number, True), said
    assert newest_run().state_name == "Cancelled"
    assert 2 <= generations(config) < 30


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.usefixtures("prefect_server")
def test_a_signal_ends_the_reading_of_a_long_document(
    number: signal.Signals, config: Settings, tiny_model: Path, tmp_path: Path
) -> None:
    """The child that parses is killed, and the document is not called bad for it."""
    writer = pypdf.PdfWriter()
    for _ in range(60):
        writer.append(BOOK)
    writer.write(tmp_path / "long.pdf")
    process = lectern("summarize", tmp_path / "long.pdf", "-m", tiny_model)
    until(process, lambda: parses(process))
    said = stop(process, number)

    assert (process.returncode, STOPPED in said) == (128 + number, True), said
    assert newest_run().state_name == "Cancelled"
    assert not (config.results / "sources").exists()


@pytest.mark.usefixtures("prefect_server")
def test_ctrl_c_while_the_model_is_fetched(config: Settings, tmp_path: Path) -> None:
    """A hub that says nothing more is not waited for."""
    with listen() as silent:
        hub = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = lectern(
            "summarize", BOOK, "-m", "hf:own/er:q4_0", HF_ENDPOINT=hub, HF_HOME=tmp_path / "hf"
        )
        silent.settimeout(PATIENCE_S)
        with silent.accept()[0]:
            said = stop(process)

    assert (process.returncode, STOPPED in said) == (130, True), said
    assert newest_run().state_name == "Cancelled"


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.usefixtures("prefect_server")
def test_a_signal_while_the_pool_starts(
    number: signal.Signals, config: Settings, tiny_model: Path
) -> None:
    """A pool that is half started, and here does not get on, is neither waited for nor left."""
    process = lectern("summarize", BOOK, "-m", tiny_model)
    until(process, lambda: child(process, "tasks.pool.server"))
    pool = child(process, "tasks.pool.server")
    assert pool is not None
    pool.suspend()
    said = stop(process, number)

    assert (process.returncode, STOPPED in said) == (128 + number, True), said
    assert newest_run().state_name == "Cancelled"


def test_ctrl_c_while_the_server_starts(config: Settings, tiny_model: Path) -> None:
    """A command's own server, which makes its database at that time, goes too; and it can be
    started again."""
    environment = {name: "" for name in os.environ if name.startswith("PREFECT_API_")}
    process = lectern("summarize", BOOK, "-m", tiny_model, **environment)
    until(process, lambda: children(process))
    said = stop(process)

    assert (process.returncode, STOPPED in said) == (130, True), said


def test_impatience_leaves_nothing_behind(
    server: ScriptedServer, config: Settings, tiny_model: Path
) -> None:
    """However often the signal comes: the server of its own goes as well."""
    environment = {name: "" for name in os.environ if name.startswith("PREFECT_API_")}
    process = lectern(
        "summarize", BOOK, "-m", tiny_model, LECTERN_POOL_URL=server.url, **environment
    )
    until(process, lambda: generations(config) >= 1)
    below = children(process)
    assert below

    def ended() -> bool:
        process.send_signal(signal.SIGINT)
        return process.poll() is not None

    wait_until(ended, PATIENCE_S)
    said = process.communicate()[0]
    assert (process.returncode, STOPPED in said) == (130, True), said
    assert psutil.wait_procs(below, timeout=PATIENCE_S)[1] == []


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_lectern_up_starts(
    number: signal.Signals, prefect_server: RunningServer, tmp_path: Path
) -> None:
    """Neither processes nor the file with the password stay."""
    project = copy_project(tmp_path, prefect_server)
    process = project.start("flows.cli", "up", "--port", "0")
    until(process, lambda: children(process))
    said = stop(process, number)

    assert process.returncode in (128 + number, -number), said  # a shell shows the same for both
    assert "Stopped." in said
    assert not (tmp_path / "prefect.toml").exists()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_pool_in_the_foreground(number: signal.Signals, config: Settings) -> None:
    """`lectern pool serve` takes its address away and leaves in order."""
    process = lectern("pool", "serve", LECTERN_HOME=config.home)
    until(process, lambda: pool_status(config))
    stop(process, number)

    assert process.returncode == 0
    assert not (config.home / "pool.json").exists()


def test_a_second_signal_ends_it_though_its_terminal_is_gone() -> None:
    """What it has to say then reaches nobody; that must not keep it alive."""
    code = (
        "import time; from flows.stopping import Stopping; Stopping().take_second();"
        "print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stderr.close()
    assert process.stdout.readline() == b"ready\n"

    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
    process.stdout.close()


@pytest.mark.usefixtures("prefect_server")
def test_the_same_twice_at_once_is_asked_once(
    server: ScriptedServer, config: Settings, tiny_model: Path
) -> None:
    """Two runs of one command: one asks, the other waits and finds it done; both end well."""
    environment = {"LECTERN_POOL_URL": server.url, "LECTERN_MODEL": tiny_model}
    source = PROJECT_ROOT / "data" / "samples" / "two-columns-en.pdf"
    both = [lectern("summarize", source, **environment) for _ in range(2)]
    for process in both:
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, said
        assert "0 failed" in said

    keys = [entry.key for entry in server.log]
    assert len(keys) == len(set(keys)) == generations_of(config)
    assert list((config.home / "claims").iterdir()) == []


def generations_of(config: Settings) -> int:
    from tasks.land import read_table

    return read_table(config.results, "generations").collect().height
