"""kill -9 in the middle, then the same command: nothing is lost, next to nothing repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from support.flow_runs import summarize
from support.scripted_server import Rule, ScriptedServer

from tasks.land import read_table
from tasks.settings import PROJECT_ROOT, Settings, settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.soak,
    pytest.mark.usefixtures("prefect_server"),
]

# How far a run is when it is killed.
MOMENTS = [n / 21 for n in range(1, 21)] if os.environ.get("LECTERN_SOAK") else [1 / 3]

BOOK = PROJECT_ROOT / "data" / "samples" / "handbook-en.pdf"
TABLES = {
    "sources": ["source_id"],
    "segments": ["source_id", "n"],
    "generations": ["key", "attempt"],
    "documents": ["document_id"],
}
# Times, ids of runs, who answered; and the folder that each run here has for itself.
VARYING = ["started_at", "flow_run_id", "task_run_id", "worker", "paths"]
VARYING += ["read_at", "created_at", "busy_s"]
VARYING += [f"{what}_s" for what in ("queue", "prefill", "decode", "ttft", "tpot", "e2e")]


# How the server answers. Each of these is the same whenever it happens, as a model's answers are.
WELL: tuple[Rule, ...] = ()
BADLY = (
    Rule("status", status=500, times=1),
    Rule("leak", match="loan", seed=0),
    Rule("leak", match="loan", seed=1),
    Rule("empty", match="loan", seed=2),
    Rule("garbage", match="Inside <notes>", seed=0),
    Rule("truncated", match="workshop", seed=0),
)


def start(folder: Path, model: Path, server: ScriptedServer) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "LECTERN_POOL_URL": server.url,
        "LECTERN_RESULTS": str(folder / "results"),
        "LECTERN_HOME": str(folder / "home"),
        "LECTERN_POOL_N_SEQ_MAX": "1",  # small batches: not all of the book is in flight at once
    }
    command = [sys.executable, "-m", "flows.cli", "summarize", str(BOOK), "--model", str(model)]
    return subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment)


def table(folder: Path, name: str) -> pl.DataFrame:
    frame = read_table(folder / "results", name).collect()
    return frame.drop(VARYING, strict=False).sort(TABLES[name])


def scripted(rules: Sequence[Rule], delay_s: float = 0) -> ScriptedServer:
    return ScriptedServer(rules=[replace(rule) for rule in rules], delay_s=delay_s)


def answered(server: ScriptedServer) -> int:
    return sum(entry.did != "status" for entry in server.log)


@pytest.mark.parametrize("rules", [WELL, BADLY], ids=["well", "badly"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_goes_on_as_if_it_had_never_been_killed(
    moment: float,
    rules: tuple[Rule, ...],
    tmp_path: Path,
    tiny_model: Path,
    config: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tables equal an undisturbed run's, whatever attempts it took; only what was in flight
    is asked twice."""
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    with scripted(rules) as server:
        monkeypatch.setenv("LECTERN_POOL_URL", server.url)
        monkeypatch.setenv("LECTERN_RESULTS", str(undisturbed / "results"))
        settings.cache_clear()
        summarize(tiny_model, BOOK)
        asked = answered(server)

    with scripted(rules, 0.3) as server:
        process = start(killed, tiny_model, server)
        while len(list(killed.glob("results/generations/*.parquet"))) < int(asked * moment):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = table(killed, "generations").height
    with scripted(rules) as server:
        assert start(killed, tiny_model, server).wait(120) == 0
        assert answered(server) == asked - kept

    assert 0 < kept < asked  # it was killed in the middle
    assert bool(rules) == (table(killed, "generations")["attempt"].max() == 3)
    for name in TABLES:
        assert table(killed, name).equals(table(undisturbed, name)), name
    for file in ("summary.md", "summary.html"):
        [one], [other] = (list(each.rglob(file)) for each in (killed, undisturbed))
        assert one.read_text() == other.read_text()
