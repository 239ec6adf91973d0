"""The systemd units: valid, and what each of them starts works, stops, and survives a reboot."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.project import Project, copy_project
from support.scripted_server import ScriptedServer
from support.tiny_model import write_tiny_model

from flows.server import RunningServer, ServerAddress, is_healthy, read_connection
from flows.service.units import MARK, belongs_to, kept_environment, parts, unit_text
from tasks.errors import PipelineError
from tasks.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

pytestmark = pytest.mark.slow
_ODD = "Bücher %h 100% $HOME 书"  # everything that systemd reads something into


def _wait(what: Callable[[], object], patience_s: float = 180) -> None:
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: RunningServer
) -> Iterator[Project]:
    root = tmp_path_factory.mktemp("service") / _ODD
    root.mkdir()
    (root / ".venv").symlink_to(Path(sys.prefix))
    model = write_tiny_model(root / "tiny.gguf")
    with ScriptedServer() as server:
        home = root / "home"
        home.mkdir()
        copied = copy_project(
            root, prefect_server, LECTERN_MODEL=model, LECTERN_POOL_URL=server.url, HOME=home
        )
        yield copied


def _units(project: Project, **environment: str) -> dict[str, str]:
    """Return what `service install --dry-run` prints, by the units' names."""
    done = subprocess.run(
        [project.root / ".venv/bin/python", "-m", "flows.cli", "service", "install", "--dry-run",
         "--port", "0"],
        cwd=project.root, env=project.environment | environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    blocks = done.stdout.split("# /")[1:]
    return {block.split("\n", 1)[0].rpartition("/")[2]: block.split("\n", 1)[1] for block in blocks}


@contextmanager
def _started(text: str, runtime: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a unit's command as systemd would, until it is ready: nothing else in its environment."""
    lines = [line.partition("=") for line in text.splitlines()]
    values = {key: value.replace("%%", "%") for key, _, value in lines}
    own = [value.replace("%%", "%") for key, _, value in lines if key == "Environment"]
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(f"\0lectern-test-{os.getpid()}-{time.monotonic_ns()}")
    environment = {
        "HOME": str(runtime), "XDG_RUNTIME_DIR": str(runtime),
        "NOTIFY_SOCKET": notify.getsockname().decode().replace("\0", "@"),
        **dict(shlex.split(each)[0].split("=", 1) for each in own),
    }  # fmt: skip
    process = subprocess.Popen(
        shlex.split(values["ExecStart"]), cwd=values["WorkingDirectory"], env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        if values["Type"] == "notify":
            _wait_until_ready(process, notify)
        yield process
    finally:
        notify.close()
        if process.poll() is None:
            process.kill()
        process.communicate()


def _wait_until_ready(process: subprocess.Popen[str], notify: socket.socket) -> None:
    notify.settimeout(0.5)
    for _ in range(360):
        try:
            assert notify.recv(100) == b"READY=1"
        except TimeoutError:
            assert process.poll() is None, process.stdout and process.stdout.read()
        else:
            return
    pytest.fail("not ready within three minutes")


def _catches_sigterm(process: subprocess.Popen[str]) -> bool:
    """Tell whether it has come so far; before, SIGTERM ends it as it ends any program."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze: make debian"
)
def test_systemd_finds_nothing_wrong_with_the_units(project: Project, tmp_path: Path) -> None:
    """Whatever stands in the paths and in the environment."""
    odd = 'a "quoted" \\ value, 100% $PATH'
    folder = tmp_path / "units"
    folder.mkdir()
    both = _units(project) | _units(project, LECTERN_POOL_URL="", LECTERN_LANGUAGE=odd)
    for name, text in both.items():
        (folder / name).write_text(text)
    found = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", *folder.iterdir()],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    assert sorted(both) == ["lectern-server.service", "lectern-worker.service"]


@pytest.mark.timeout(600)
def test_a_schedule_survives_a_reboot(project: Project, tmp_path: Path) -> None:
    """One that is set in the UI runs again after all units were stopped and started anew."""
    units = _units(project)
    connection = project.root / "prefect.toml"

    @contextmanager
    def running() -> Iterator[ServerAddress]:
        with ExitStack() as stack:
            server = stack.enter_context(_started(units["lectern-server.service"], tmp_path))
            worker = stack.enter_context(_started(units["lectern-worker.service"], tmp_path))
            address = read_connection(connection)
            assert address is not None
            assert is_healthy(address, 60)
            yield address
            _stop(worker)
            _stop(server)
        assert not connection.exists()

    with running() as address:
        # Later than the second start is through with deploying, which plans all runs anew.
        before = _schedule(address, first=timedelta(seconds=60), sources=["paper.pdf"])
        _wait(lambda: _runs(address))
    rebooted = datetime.now(UTC)
    with running() as address:
        assert _schedules(address) == before
        _wait(lambda: any(run.state.is_completed() for run in _runs(address)))
        assert min(run.start_time for run in _runs(address) if run.start_time) > rebooted
    assert list((project.root / "data/results/documents").glob("*/summary.html"))


def _client(address: ServerAddress) -> SyncPrefectClient:
    from prefect.client.orchestration import SyncPrefectClient

    return SyncPrefectClient(address.url, auth_string=address.auth)


def _schedule(address: ServerAddress, first: timedelta, sources: list[str]) -> object:
    """Set a schedule as the UI does: daily, from soon on; return all that there are."""
    schedule = {"interval": 86400, "anchor_date": (datetime.now(UTC) + first).isoformat()}
    wanted = {"schedule": schedule, "active": True, "parameters": {"sources": sources}}
    with _client(address) as client:
        deployment = client.read_deployment_by_name("summarize-pdf/summarize-pdf")
        path = f"/deployments/{deployment.id}/schedules"
        client._client.post(path, json=[wanted]).raise_for_status()
    return _schedules(address)


def _schedules(address: ServerAddress) -> list[tuple[object, ...]]:
    with _client(address) as client:
        deployment = client.read_deployment_by_name("summarize-pdf/summarize-pdf")
    return [(each.id, each.active, each.schedule, each.parameters) for each in deployment.schedules]


def _runs(address: ServerAddress) -> list[FlowRun]:
    """Return the runs that this schedule made; deployments have others of their own."""
    with _client(address) as client:
        deployment = client.read_deployment_by_name("summarize-pdf/summarize-pdf")
        runs = client.read_flow_runs()
    return [run for run in runs if run.auto_scheduled and run.deployment_id == deployment.id]


def test_the_pool_serves_and_stops(tmp_path: Path, prefect_server: RunningServer) -> None:
    """It waits for another pool to end, takes its place, and ends with status 0 when told to."""
    from tasks.pool.lifecycle import PoolFiles, pool_status
    from tasks.settings import Settings

    config = Settings(home=tmp_path / "home")
    pool = parts(0)[-1]
    text = unit_text(pool, os.environ | {"LECTERN_HOME": str(config.home)})
    with _started(text, tmp_path) as first:
        _wait(lambda: pool_status(config))
        with _started(text, tmp_path) as second:
            _stop(first)
            _wait(lambda: (found := pool_status(config)) and found.pid == second.pid)
            with _started(text, tmp_path) as third:
                _wait(lambda: _catches_sigterm(third))
                _stop(third)  # while it waits for the second
            _stop(second)
    assert PoolFiles(config.home).read_state() is None


def test_a_worker_that_waits_for_its_server_can_be_stopped(
    project: Project, tmp_path: Path
) -> None:
    """With status 0, as everywhere."""
    with _started(
        _units(project)["lectern-worker.service"].replace("Type=notify", "Type=exec"), tmp_path
    ) as worker:
        _wait(lambda: _catches_sigterm(worker))
        _stop(worker)


@pytest.mark.parametrize(
    ("says", "delays"),
    [
        ("systemd 252 (252.38-1~deb12u1)\n+PAM", ["RestartSec=30"]),
        ("systemd 257 (257.9-1~deb13u1)\n+PAM",
         ["RestartSec=5", "RestartSteps=6", "RestartMaxDelaySec=300"]),
    ],
)  # fmt: skip
def test_what_can_never_start_is_tried_ever_later(
    says: str, delays: list[str], project: Project, tmp_path: Path
) -> None:
    """Where systemd knows how, and else not often; but never given up."""
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\n")
    (tmp_path / "systemctl").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    text = _units(project, PATH=path)["lectern-server.service"]

    assert [line for line in text.splitlines() if re.match("Restart.*(Sec|Steps)", line)] == delays
    assert "StartLimitIntervalSec=0" in text


def test_a_unit_tells_whose_it_is() -> None:
    """Only what this project has written is replaced or removed."""
    text = unit_text(parts(4200)[0], {})

    assert text.startswith(MARK)
    assert belongs_to(text) == str(PROJECT_ROOT)
    assert belongs_to("[Unit]\nDescription=mine\n") is None


def test_what_the_programs_need_goes_along_and_nothing_else() -> None:
    """Settings, tokens and proxies of the shell; not its Prefect, and secrets are not shown."""
    shell = {
        "PATH": "/bin", "LECTERN_POOL_API_KEY": "geheim", "HF_HOME": "/hub", "EDITOR": "vi",
        "https_proxy": "http://a:b@c", "PREFECT_API_URL": "http://other", "LANG": "zh_CN.UTF-8",
    }  # fmt: skip
    kept = kept_environment(shell)
    shown = unit_text(parts(4200)[1], shell, masked=True)

    assert set(kept) == {"PATH", "LECTERN_POOL_API_KEY", "HF_HOME", "https_proxy", "LANG"}
    assert "geheim" not in shown
    assert "geheim" in unit_text(parts(4200)[1], shell)


@pytest.mark.parametrize("name", ['a"b', "a'b", "a\\b", "a\nb"])
def test_a_path_that_no_unit_can_hold_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a line that names it, before anything is written."""
    monkeypatch.setattr(sys, "executable", f"/opt/{name}/python")
    with pytest.raises(PipelineError, match="can't stand in a unit file") as caught:
        unit_text(parts(4200)[0], {})
    assert "\n" not in str(caught.value)
