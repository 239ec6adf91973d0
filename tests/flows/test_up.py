"""`lectern up` for real, in a copy of the project: everything starts, works, and stops."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psutil
import pytest
from support.project import Project, Up, copy_project
from support.scripted_server import ScriptedServer
from support.tiny_model import write_tiny_model

from flows.server import RunningServer, read_connection

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: RunningServer
) -> Iterator[Project]:
    root = tmp_path_factory.mktemp("project")
    model = write_tiny_model(root / "tiny.gguf")
    with ScriptedServer() as server:
        yield copy_project(
            root, prefect_server, LECTERN_MODEL=model, LECTERN_POOL_URL=server.url, TZ="CST-8"
        )


@pytest.fixture(scope="module")
def up(project: Project) -> Iterator[Up]:
    up = project.up()
    yield up
    up.stop()


def test_it_leaves_the_address_for_a_second_shell(project: Project, up: Up) -> None:
    """In a file that only its owner can read."""
    path = project.root / "prefect.toml"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"{up.url}/api" in path.read_text()


def test_a_second_one_says_where_the_first_is(project: Project, up: Up) -> None:
    """One line, at once, and nothing is started."""
    code, said = project.run("flows.cli", "up")

    assert (code, said) == (1, f"lectern: lectern up: it runs already: {up.url}\n")


def test_the_bare_name_runs_the_deployment(project: Project, up: Up) -> None:
    """Exactly as the README writes it, from the project's root; relative paths count from there."""
    code, said = project.run(
        "prefect", "deployment", "run", "summarize-pdf", "-p", 'sources=["paper.pdf"]', "--watch"
    )

    assert code == 0, said
    documents = pl.read_parquet(project.root / "data" / "results" / "documents" / "*.parquet")
    assert documents["title"].len() == 1
    assert all(Path(path).is_file() for path in documents["paths"][0])


def test_schedules_are_in_the_machines_time(project: Project, up: Up) -> None:
    """Also where TZ is a rule, which no schedule can hold."""
    from prefect.client.orchestration import SyncPrefectClient  # late: it reads its settings once

    address = read_connection(project.root / "prefect.toml")
    assert address is not None
    with SyncPrefectClient(address.url, auth_string=address.auth) as client:
        deployment = client.read_deployment_by_name("translate-inbox/translate-inbox")

    assert [each.schedule.timezone for each in deployment.schedules] == ["Etc/GMT-8"]


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("Asia/Shanghai", "Asia/Shanghai"),
        ("CST-8", "Etc/GMT-8"),
        ("XST+7", "Etc/GMT+7"),
        ("IST-5:30", ""),
    ],
)
def test_the_time_zone_has_a_name(zone: str, expected: str) -> None:
    """A rule is the zone of its hours; of half ones there is none, which is told."""
    done = subprocess.run(
        [sys.executable, "-c", "from flows.up import local_zone; print(local_zone())"],
        env=os.environ | {"TZ": zone}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.startswith(expected)
    assert ("set TZ to the name of a zone" in done.stderr) is (not expected)


def test_prefects_own_form_works_beside_it(project: Project, up: Up) -> None:
    """flow/deployment; the run that it makes may still run when all is stopped."""
    code, said = project.run(
        "prefect", "deployment", "run", "summarize-pdf/summarize-pdf", "-p", 'sources=["paper.pdf"]'
    )

    assert code == 0, said
    assert "Created flow run" in said


def test_the_command_uses_the_server_that_runs(project: Project, up: Up) -> None:
    """`lectern summarize` beside `lectern up` starts no server, and names the run's page."""
    code, said = project.run("flows.cli", "summarize", "paper.pdf")

    assert code == 0, said
    assert f"{up.url}/runs/flow-run/" in said


def test_one_interrupt_stops_all_of_it(project: Project, up: Up) -> None:
    """Server, worker and runs are gone, and so is the file with the password."""
    children = psutil.Process(up.process.pid).children(recursive=True)
    assert len(children) >= 2
    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(60) == 0
    assert psutil.wait_procs(children, timeout=30)[1] == []
    assert not (project.root / "prefect.toml").exists()
