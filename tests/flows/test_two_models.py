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
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import psutil
import pypdfium2 as pdfium
import pytest
from support.citations import citations_astray
from support.flow_runs import summarize

from flows import asking
from tasks.pool.lifecycle import PoolAddress, PoolFiles, PoolStatus, ensure_pool, pool_status
from tasks.settings import PROJECT_ROOT, Settings, settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.usefixtures("prefect_server")]

SAMPLES = PROJECT_ROOT / "data" / "samples"
DEMO = PROJECT_ROOT / "data" / "models" / "lectern-demo-q8_0.gguf"
DOCUMENTS: dict[Any, str] = {"demo": "two-columns-en.pdf", "twin": "chinese-zh.pdf"}
N_PAGES = 2
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
server.Supervisor = partial(server.Supervisor, turn_s=0.5)
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
def two_models(config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with the demo model, and one that says the same and is another by its content."""
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
    settings.cache_clear()
    return settings()


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let neither run ask before both have something to ask."""
    both = threading.Barrier(2)

    def wait_and_find(*arguments: Any) -> PoolAddress:
        both.wait(60)
        return ensure_pool(*arguments)

    monkeypatch.setattr(asking, "ensure_pool", wait_and_find)


def first_pages(name: str, folder: Path) -> Path:
    """Return the beginning of a sample."""
    path = folder / name
    short = pdfium.PdfDocument.new()
    short.import_pages(pdfium.PdfDocument(SAMPLES / name), list(range(N_PAGES)))
    short.save(path)
    return path


def numbers(config: Settings, status: PoolStatus) -> dict[str, float]:
    key = PoolFiles(config.home).read_key()
    told = httpx.get(f"{status.url}/metrics", headers={"authorization": f"Bearer {key}"})
    return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", told.text, re.M)}


@pytest.mark.usefixtures("together")
def test_two_runs_with_two_models_take_turns(two_models: Settings, tmp_path: Path) -> None:
    """Never are both in memory, and the pool counts its swaps."""
    config = two_models
    documents = {name: first_pages(pdf, tmp_path) for name, pdf in DOCUMENTS.items()}
    with in_a_hurry(config) as watch, ThreadPoolExecutor(2) as threads:
        asked = [  # each in a context of its own, which has the server's address
            threads.submit(copy_context().run, summarize, name, pdf)
            for name, pdf in documents.items()
        ]
        states = [each.result()[0] for each in asked]
        status = pool_status(config)
        assert status is not None
        told = numbers(config, status)
    log = PoolFiles(config.home).log.read_text()

    assert [each.name for each in states] == ["Completed"] * 2, [each.message for each in states]
    assert watch.models_at_once(log) == {frozenset(), frozenset({"demo"}), frozenset({"twin"})}
    swaps = told["lectern_worker_swaps_total"]
    assert swaps >= 2
    assert swaps == len(re.findall(r"swap \d+: ", log)) == told["lectern_worker_loads_total"] - 1
    assert (status.models, status.swaps) == (2, swaps)
    # And no swap for each request.
    calls = pl.read_parquet(config.results / "generations" / "*.parquet")
    assert set(calls["model"]) == set(DOCUMENTS)
    assert calls.height > 2 * swaps
    for pdf in documents.values():
        checked, astray = citations_astray(config.results, pdf)
        assert checked >= 3
        assert astray == []
    for document in pl.read_parquet(config.results / "documents" / "*.parquet").iter_rows(
        named=True
    ):
        assert document["coverage"]["failed"] == 0
