"""Fixtures for all tests: the outside material, settings that point into tmp_path, one Prefect
server for all in a home of its own, a model to count tokens by, and the command in a process.

`make test` shares the tests among processes, file by file; each process has a server of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from support.command import Lectern
from support.tiny_model import write_tiny_model

from flows.here import send_the_rest
from flows.server import RunningServer, client_environment, own_server, wait_for_server
from tasks.settings import PROJECT_ROOT, Settings, settings

# `make test` tries the same examples every time, `make soak` ever new ones, and more of them.
hypothesis.settings.register_profile("test", derandomize=True, deadline=None)
hypothesis.settings.register_profile("soak", max_examples=2000, deadline=None)
hypothesis.settings.load_profile("soak" if os.environ.get("LECTERN_SOAK") else "test")


@pytest.fixture(scope="session")
def material() -> Path:
    """The folder of real documents and vocabularies; the test skips where it is missing."""
    folder = Path(os.environ.get("LECTERN_MATERIAL", PROJECT_ROOT.parent / "shared" / "material"))
    if not folder.is_dir():
        pytest.skip("needs the outside material: set LECTERN_MATERIAL to its folder")
    return folder


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with results and state of their own; also what settings() returns meanwhile."""
    monkeypatch.setenv("LECTERN_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("LECTERN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LECTERN_OCR", "never")  # takes seconds, and programs that may be missing
    settings.cache_clear()
    yield settings()
    settings.cache_clear()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, files with slow ones come first: else the last
    process would be left alone with the longest."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server such as a command runs for itself; Prefect in this process talks to it."""
    config = Settings(home=tmp_path_factory.mktemp("prefect"))
    with own_server(config) as server:
        wait_for_server(server)
        environment = client_environment(config) | server.address.environment()
        before = dict(os.environ)
        os.environ.update(environment)
        from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

        address = {
            PREFECT_API_URL: server.address.url,
            PREFECT_API_AUTH_STRING: server.address.auth,
        }
        with temporary_settings(address):
            yield server
            send_the_rest()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server refuses is put again at once."""
    monkeypatch.setattr("tasks.generate.ask.PAUSES_S", (0.01, 0.01))


@pytest.fixture
def lectern(config: Settings) -> Lectern:
    """Run `lectern …` to its end, in the settings of the test."""

    def run(
        *arguments: str, cwd: Path = PROJECT_ROOT, timeout: float = 120, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            cwd=cwd, env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), **env},
            capture_output=True, text=True, check=False, timeout=timeout,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF to count tokens by; the answers come from elsewhere."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")
