"""What a run takes beside the model: reading, planning, waiting, Prefect's task runs, landing.

    python tests/benchmarks/bench_overhead.py [DOCUMENT.pdf [MODEL]]

Runs `lectern summarize` with the model already loaded, so start-up is left out, and reads off
the tables when the model was busy: while at least one call was under way, failed attempts
included. The run's wall time goes from the beginning of extraction to the last file written.

Without MODEL it is one of Qwen2.5-0.5B's shape with random weights in Q4_0, made into a
temporary folder by `make_gguf.py` and `quantize_gguf.py`, which stand in the folder `tools`
beside LECTERN_MATERIAL. Its answers are noise and fail their
checks, so there is nothing to merge or to land but the ledger; the demo model (MODEL `demo`)
shows these. Without DOCUMENT it is the handbook among the samples.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tasks.extract import extract
from tasks.land import Ledger, cost_of, read_table
from tasks.models.spec import load_spec
from tasks.pool.client import PoolClient
from tasks.pool.lifecycle import ensure_pool, stop_pool
from tasks.records import Generation, Message, Sampling
from tasks.settings import PROJECT_ROOT, Settings

SAMPLE = PROJECT_ROOT / "data" / "samples" / "handbook-en.pdf"
MATERIAL = Path(os.environ.get("LECTERN_MATERIAL", PROJECT_ROOT.parent / "shared" / "material"))
GOAL = 0.05  # of the wall time
VOCABULARY = MATERIAL / "gguf" / "ggml-vocab-qwen2.gguf"
TEMPLATE = MATERIAL / "gguf" / "templates" / "Qwen-Qwen2.5-7B-Instruct.jinja"


@dataclass(frozen=True)
class Run:
    """One run's times in seconds, all of them after start-up."""

    reading: float
    planning: float
    waiting: float
    landing: float
    busy: float
    calls: int
    cpu: float

    @property
    def overhead(self) -> float:
        return self.reading + self.planning + self.waiting + self.landing

    @property
    def wall(self) -> float:
        return self.overhead + self.busy


def half_billion(folder: Path) -> Path:
    """Make a model of the shape of Qwen2.5-0.5B in Q4_0, with random weights."""
    tools = MATERIAL.parent / "tools"
    if not (tools / "make_gguf.py").is_file():
        sys.exit(f"{tools} has no make_gguf.py: set LECTERN_MATERIAL, or name a MODEL")
    whole, model = folder / "whole.gguf", folder / "random-0.5B-Q4_0.gguf"
    for script, *arguments in (
        ("make_gguf.py", VOCABULARY, whole, "q05", TEMPLATE),
        ("quantize_gguf.py", whole, model, "Q4_0"),
    ):
        command = [sys.executable, str(tools / script), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True)
    whole.unlink()
    return model


async def _load(settings: Settings, model: str) -> None:
    """Start the pool, and have it load the model."""
    address = ensure_pool(settings)
    async with PoolClient(address.url, address.api_key) as client:
        await client.chat(model, [Message("user", "Say yes.")], Sampling(max_tokens=4))


def run(document: Path, model: str, folder: Path) -> Run:
    """Summarise a document, and take the time apart."""
    os.environ |= {"LECTERN_RESULTS": str(folder / "results"), "LECTERN_HOME": str(folder / "home")}
    config = Settings()
    started = time.perf_counter()
    extract(str(document), config)
    reading = time.perf_counter() - started
    try:
        asyncio.run(_load(config, load_spec(model, config).name))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        lectern = Path(sys.executable).with_name("lectern")
        subprocess.run(
            [str(lectern), "summarize", str(document), "--model", model],
            check=False,  # with random weights no part of it succeeds
            capture_output=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        stop_pool(config)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _taken_apart(config.results, reading, cpu)


def _taken_apart(results: Path, reading: float, cpu: float) -> Run:
    calls = [row for rows in Ledger(results).rows().values() for row in rows]
    if not calls:
        sys.exit("the run made no call: see what `lectern summarize` says")
    first, last = _span(calls)
    read_at = max(read_table(results, "sources").collect()["read_at"].to_list())
    written = max(path.stat().st_mtime for path in results.rglob("*") if path.is_file())
    busy = cost_of(calls).busy_s
    return Run(
        reading=reading,
        planning=max(0.0, first - read_at.timestamp()),
        waiting=last - first - busy,
        landing=max(0.0, written - last),
        busy=busy,
        calls=len(calls),
        cpu=cpu,
    )


def _span(calls: Sequence[Generation]) -> tuple[float, float]:
    times = [(c.started_at.timestamp(), c.e2e_s or 0.0) for c in calls if c.started_at]
    return min(start for start, _ in times), max(start + length for start, length in times)


def _table(document: Path, model: str, measured: Run) -> Table:
    table = Table("part", "s", "share", title=f"{document.name}, {Path(model).name}")
    for name, seconds in (
        ("reading (the child process included)", measured.reading),
        ("from there to the first call", measured.planning),
        ("no call under way, between calls", measured.waiting),
        ("landing, compaction, index", measured.landing),
        (f"the model, {measured.calls} calls", measured.busy),
        ("wall time after start-up", measured.wall),
    ):
        table.add_row(name, f"{seconds:.2f}", f"{seconds / measured.wall:.1%}")
    share = measured.overhead / measured.wall
    verdict = "pass" if share < GOAL else "fail"
    table.add_row(
        f"all but the model; goal: under {GOAL:.0%}",
        f"{measured.overhead:.2f}",
        f"{share:.1%} {verdict}",
    )
    table.add_row("CPU of all but the model, start-up included", f"{measured.cpu:.2f}", "")
    return table


def main() -> None:
    document = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else SAMPLE
    with tempfile.TemporaryDirectory() as folder:
        given = sys.argv[2:3]
        model = given[0] if given else str(half_billion(Path(folder)))
        measured = run(document, model, Path(folder))
        Console().print(_table(document, model, measured))


if __name__ == "__main__":
    main()
