"""The nightly run, with a cron of a minute: it comes by itself, and does not overtake itself."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
from support.crashing import World, wait_until
from support.project import copy_project
from support.scripted_server import ScriptedServer
from support.tiny_model import write_tiny_model

from flows.server import RunningServer

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
            assert "CANCELLED" in {run["state_type"] for run in world.begun()}
            assert all(run["auto_scheduled"] for run in world.begun())
        finally:
            world.up.stop()
            world.hang_up()

    inboxed = pl.read_parquet(root / "data" / "results" / "inbox" / "*.parquet")
    assert inboxed["status"].to_list() == ["ok"]
    assert len(server.log) == 1


def said(world: World, state: str) -> str:
    """Return what the runs in a state say of how they ended."""
    return "\n".join(
        str(run["state"]["message"]) for run in world.begun() if run["state_type"] == state
    )
