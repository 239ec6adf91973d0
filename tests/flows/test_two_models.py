"""Two runs with two models at once, and memory for one of them: both are finished, in turns."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import polars as pl
import psutil
import pytest
from support.citations import citations_astray
from support.command import Lectern

from tasks.pool.lifecycle import PoolFiles, pool_status
from tasks.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.usefixtures("prefect_server")]

SAMPLES = PROJECT_ROOT / "data" / "samples"
DEMO = PROJECT_ROOT / "data" / "models" / "lectern-demo-q8_0.gguf"
DOCUMENTS = {"demo": "two-columns-en.pdf", "twin": "chinese-zh.pdf"}
ENTRY = """
[{name}]
file = "{name}.gguf"
max_prompt_tokens = 900
max_lines = 6
max_line_tokens = 80
"""
# The pool with turns that are short beside what a run takes here.
IN_A_HURRY = """
from functools import partial
from tasks.pool import server
server.Supervisor = partial(server.Supervisor, turn_s=1)
server.main()
"""


@dataclass
class Watch:
    """Which workers a pool had at once, looked at all the while."""

    pool: psutil.Process
    seen: set[frozenset[int]] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ended.is_set():
            with suppress(psutil.NoSuchProcess):
                self.seen.add(frozenset(each.pid for each in self.pool.children()))
            time.sleep(0.03)  # looking takes a while, too

    def models_at_once(self, log: str) -> set[frozenset[str]]:
        """Return the models that were in memory together, by what the pool says it has loaded."""
        loaded = dict(re.findall(r"worker (\d+) loads (\S+)", log))
        return {frozenset(loaded[str(pid)] for pid in each if str(pid) in loaded)
                for each in self.seen}  # fmt: skip


@contextmanager
def in_a_hurry(config: Settings) -> Iterator[Watch]:
    """Run a pool that waits for nobody long, and watch its workers."""
    files = PoolFiles(config.home)
    files.prepare()
    with files.log.open("ab") as log:
        front = subprocess.Popen(
            [sys.executable, "-c", IN_A_HURRY], cwd=PROJECT_ROOT, stdout=log, stderr=log
        )
    watch = Watch(psutil.Process(front.pid))
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while pool_status(config) is None:
            assert front.poll() is None, files.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield watch
    finally:
        watch.ended.set()
        thread.join()
        front.terminate()
        front.wait(30)


@pytest.fixture
def two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo model, and one that says the same and is another by its content."""
    folder = tmp_path / "models"
    folder.mkdir()
    content = DEMO.read_bytes()
    renamed = content.replace(b"Lectern demo", b"Lectern twin", 1)
    assert renamed != content
    (folder / "demo.gguf").write_bytes(content)
    (folder / "twin.gguf").write_bytes(renamed)
    entries = (ENTRY.format(name=name) for name in DOCUMENTS)
    (folder / "models.toml").write_text("".join(entries))
    # Few at once, or a run would be done in its first turn.
    chosen = {"MODELS": str(folder), "POOL_N_SEQ_MAX": "3", "POOL_N_THREADS": "1"}
    for name, value in chosen.items():
        monkeypatch.setenv(f"LECTERN_{name}", value)


def numbers(config: Settings) -> dict[str, float]:
    files = PoolFiles(config.home)
    status = pool_status(config)
    assert status is not None
    told = httpx.get(
        f"{status.url}/metrics", headers={"authorization": f"Bearer {files.read_key()}"}
    )
    return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", told.text, re.M)}


@pytest.mark.usefixtures("two_models")
def test_two_runs_with_two_models_take_turns(config: Settings, lectern: Lectern) -> None:
    """Never are both in memory, and the pool counts its swaps."""
    with in_a_hurry(config) as watch, ThreadPoolExecutor(2) as threads:
        asked = [
            threads.submit(lectern, "summarize", str(SAMPLES / pdf), "-m", name, timeout=200)
            for name, pdf in DOCUMENTS.items()
        ]
        done = [each.result() for each in asked]
        told, status = numbers(config), lectern("pool", "status").stdout
    log = PoolFiles(config.home).log.read_text()

    assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
    assert watch.models_at_once(log) == {frozenset(), frozenset({"demo"}), frozenset({"twin"})}
    swaps = told["lectern_worker_swaps_total"]
    assert swaps >= 2
    assert swaps == len(re.findall(r"swap \d+: ", log)) == told["lectern_worker_loads_total"] - 1
    assert f"2 models, {swaps:.0f} swaps" in status
    # And no swap for each request.
    calls = pl.read_parquet(config.results / "generations" / "*.parquet")
    assert set(calls["model"]) == set(DOCUMENTS)
    assert calls.height > 2 * swaps
    for pdf in DOCUMENTS.values():
        checked, astray = citations_astray(config.results, SAMPLES / pdf)
        assert checked >= 3
        assert astray == []
    for document in pl.read_parquet(config.results / "documents" / "*.parquet").iter_rows(
        named=True
    ):
        assert document["coverage"]["failed"] == 0
