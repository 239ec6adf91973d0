"""The nightly run, with a cron of a minute: it comes by itself, and does not overtake itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import polars as pl
import pytest
from support.crashing import World, wait_until
from support.project import copy_database, copy_project
from support.scripted_server import ScriptedServer
from support.tiny_model import write_tiny_model

from flows.server import (
    RunningServer,
    listen,
    new_auth,
    prefect_home,
    start_server,
    wait_for_server,
)
from tasks.settings import Settings

ANSWER_S = 75.0  # longer than from one run to the next
TEXT = "The library lends its tools to all who ask for them. It is closed on Mondays.\n"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_schedule_fires_and_an_overlapping_run_is_cancelled(
    tmp_path: Path, prefect_server: RunningServer
) -> None:
    """Each minute a run: until the file has settled there is nothing new, then one takes it, and
    the next one is cancelled meanwhile."""
    model = write_tiny_model(tmp_path / "tiny.gguf")
    root = tmp_path / "project"
    root.mkdir()
    with ScriptedServer(delay_s=ANSWER_S) as server:
        project = copy_project(
            root, prefect_server, LECTERN_MODEL=model, LECTERN_POOL_URL=server.url,
            LECTERN_TRANSLATE_TO="zh",
        )  # fmt: skip
        deployments = root / "deployments" / "prefect.yaml"
        nightly = deployments.read_text(encoding="utf-8")
        assert 'cron: "0 1 * * *"' in nightly
        each_minute = nightly.replace("0 1 * * *", "* * * * *").replace('until: "07:00"', "until:")
        deployments.write_text(each_minute, encoding="utf-8")
        (root / "data" / "inbox").mkdir()
        (root / "data" / "inbox" / "notes.txt").write_text(TEXT, encoding="utf-8")
        world = World(project, project.up(), uuid4().hex)
        try:
            wait_until(lambda: "1 translation" in said(world, "COMPLETED"), 400, every_s=2)
            assert "CANCELLED" in {run["state_type"] for run in scheduled(world)}
        finally:
            world.up.stop()
            world.hang_up()

    inboxed = pl.read_parquet(root / "data" / "results" / "inbox" / "*.parquet")
    assert inboxed["status"].to_list() == ["ok"]
    assert len(server.log) == 1


@pytest.mark.slow
def test_a_run_keeps_its_slot_when_the_server_is_started_again(
    config: Settings, prefect_server: RunningServer
) -> None:
    """Else the run, which renews it, would be cancelled."""
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

    copy_database(prefect_server, prefect_home(config))
    server = start_server(config, listen(), new_auth(), alone=False)
    address = server.address
    try:
        with SyncPrefectClient(address.url, auth_string=address.auth) as client:
            wait_for_server(server)
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="x", limit=1))
            taken = client.increment_concurrency_slots_with_lease(["x"], 1, "concurrency", 300)
            server.process.kill()
            server.process.wait()
            assert server.child.restarted()
            wait_for_server(server)
            lease = UUID(taken.json()["lease_id"])

            assert client.renew_concurrency_lease(lease, 300).status_code == 204
            assert client.read_global_concurrency_limit_by_name("x").active_slots == 1
    finally:
        server.stop()
    leases = prefect_home(config) / "concurrency_leases"
    assert (leases / f"{lease}.json").is_file()


def said(world: World, state: str) -> str:
    """Return what the runs in a state say of how they ended."""
    return "\n".join(
        str(run["state"]["message"]) for run in scheduled(world) if run["state_type"] == state
    )


def scheduled(world: World) -> list[dict[str, Any]]:
    """Return the runs that came by themselves; the copied database may hold others."""
    return [run for run in world.begun() if run["auto_scheduled"]]
