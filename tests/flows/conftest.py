"""One Prefect server for all flow tests, in a home of its own, and the command in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.tiny_model import write_tiny_model

from flows.here import send_the_rest
from flows.server import RunningServer, client_environment, own_server, wait_for_server
from tasks.settings import PROJECT_ROOT, Settings

Lectern = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test comes first waits for the server to make its database."""
    for item in items:
        if "prefect_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(300))


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
