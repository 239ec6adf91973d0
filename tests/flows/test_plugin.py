"""Deployments by their bare names. What is wrapped is private to Prefect: this pins it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from flows.plugin import accepting_bare_names
from tasks.settings import PROJECT_ROOT


class FakeClient:
    """Deployments by flow, as far as the lookup asks."""

    def __init__(self, *names: str) -> None:
        self.flows = {uuid4(): name.split("/")[0] for name in names}
        self.deployment = names[0].split("/")[1] if names else ""

    async def read_deployments(self, *, deployment_filter: Any, limit: int) -> list[Any]:
        [wanted] = deployment_filter.name.any_
        found = self.flows if wanted == self.deployment else {}
        return [SimpleNamespace(flow_id=flow_id) for flow_id in found]

    async def read_flow(self, flow_id: UUID) -> Any:
        return SimpleNamespace(name=self.flows[flow_id])


def read(name: str, *deployments: str) -> Any:
    """Return the name that Prefect would be asked for."""

    async def reading(client: Any, full: str) -> Any:
        return full

    return asyncio.run(accepting_bare_names(reading)(FakeClient(*deployments), name))  # type: ignore[arg-type]


def test_a_bare_name_is_completed() -> None:
    """The one deployment of that name is meant, whatever its flow is called."""
    assert read("nightly", "summarize-pdf/nightly") == "summarize-pdf/nightly"


def test_a_full_name_is_left_alone() -> None:
    """Prefect's own form is passed on as it is."""
    assert read("a/b", "c/b") == "a/b"


def test_an_unknown_name_is_left_to_prefect() -> None:
    """It says that there is no such deployment, as it always does."""
    assert read("nothing", "summarize-pdf/nightly") == "nothing/nothing"


def test_an_ambiguous_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Both candidates are named, and no run is made."""
    with pytest.raises(SystemExit):
        read("nightly", "a/nightly", "b/nightly")

    assert "a/nightly, b/nightly" in capsys.readouterr().out


def test_prefects_client_is_wrapped_in_the_projects_root() -> None:
    """pyproject.toml switches the plugin on, and the method it wraps is still there."""
    code = (
        "from prefect.client.orchestration import PrefectClient;"
        "print(PrefectClient.read_deployment_by_name.__wrapped__.__module__)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )

    assert answer.stdout.split() == ["prefect.client.orchestration._deployments.client"]
