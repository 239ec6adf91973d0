"""What a translation costs beside the model: processor time a thousand segments, and memory.

    python tests/benchmarks/bench_translate.py [ROUNDS]

Runs `lectern translate` on PDFs of different lengths, with a model that answers at once by rule
(tests/support/scripted_server.py, in this process and not counted). All that the command starts is
counted: reading the PDF, planning, checks, the ledger, landing, Prefect with its server. What a run
takes whatever it translates is the same for all lengths, so the cost of a thousand segments is the
difference between the longest and the shortest, and so is what memory grows by. It fails where the
goal is missed, unless there was but one round: that is too little to tell.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from rich.console import Console
from rich.table import Table

sys.path.append(str(Path(__file__).parent.parent))

from support.pdfs import set_by_typst
from support.scripted_server import ScriptedServer
from support.tiny_model import write_tiny_model

from tasks.land import read_table

LENGTHS = (500, 2500, 4500)  # segments
SHORT = (100, 500)  # of a single round, which measures nothing
SECTION = 25
GOAL_S = 3.0  # of processor time a thousand segments
# Tokens are bytes: with these, a chunk holds about as many sentences as with a real vocabulary.
BUDGET = {"LECTERN_POOL_N_CTX": "18000", "LECTERN_MAX_PROMPT_TOKENS": "6000"}
NOUNS = ("lathe", "spindle", "bench", "drill", "saw", "plane", "chisel", "vice", "file", "hammer")


@dataclass(frozen=True)
class Run:
    """One run's processor time in seconds, and its flow's most memory in MB."""

    segments: int
    calls: int
    cpu: float
    memory: float


def sentences(n: int) -> Iterator[str]:
    """Yield sentences of a manual that are all different, with figures, units and an address."""
    for i in range(n):
        noun, other = NOUNS[i % 10], NOUNS[(i // 10 + 3) % 10]
        yield (
            f"The {noun} in room {i % 97} weighs {i + 3} kg and stands beside the {other} that "
            f"somebody left there in {1900 + i % 120}, as the list of tools says."
        )


def write_book(path: Path, n: int) -> Path:
    """Write a PDF of about so many segments, with a heading every SECTION sentences."""
    rows = []
    for i, sentence in enumerate(sentences(n)):
        if i % SECTION == 0:
            rows.append(f"\n= Chapter {i // SECTION + 1}\n")
        rows.append(sentence + ("\n" if i % 5 == 4 else ""))
    path.write_bytes(set_by_typst("\n".join(rows)))
    return path


def run(book: Path, model: Path, url: str, folder: Path) -> Run:
    """Translate a book in a place of its own."""
    environment = {
        **os.environ, **BUDGET, "LECTERN_RESULTS": str(folder / "results"),
        "LECTERN_HOME": str(folder / "home"), "LECTERN_POOL_URL": url, "LECTERN_OCR": "never",
    }  # fmt: skip
    command = [sys.executable, "-m", "flows.cli", "translate", str(book), "--to", "zh",
               "--model", str(model)]  # fmt: skip
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    most = [0.0]
    watcher = threading.Thread(target=_watch, args=(psutil.Process(process.pid), most))
    watcher.start()
    said = process.communicate()[0]
    watcher.join()
    if process.returncode:
        sys.exit(said)
    lines = read_table(folder / "results", "lines").collect()
    calls = read_table(folder / "results", "generations").collect()
    return Run(lines.height, calls.height, _CPU.spent(), most[0])


def _watch(process: psutil.Process, most: list[float]) -> None:
    with suppress(psutil.Error):  # it has ended
        while process.status() != psutil.STATUS_ZOMBIE:
            most[0] = max(most[0], process.memory_info().rss / 2**20)
            time.sleep(0.05)


class _Cpu:
    """The processor time of children since it was asked last."""

    def __init__(self) -> None:
        self._before = self._now()

    def spent(self) -> float:
        before, self._before = self._before, self._now()
        return self._before - before

    @staticmethod
    def _now() -> float:
        times = os.times()
        return times.children_user + times.children_system


_CPU = _Cpu()


def _table(runs: dict[int, list[Run]]) -> Table:
    table = Table("segments", "calls", "CPU, median s", "from … to", "memory, MB")
    for each in runs.values():
        cpu = [one.cpu for one in each]
        table.add_row(
            f"{each[0].segments:,}", f"{each[0].calls:,}", f"{median(cpu):.2f}",
            f"{min(cpu):.2f} … {max(cpu):.2f}", f"{median(one.memory for one in each):.0f}",
        )  # fmt: skip
    return table


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    lengths = LENGTHS if rounds > 1 else SHORT
    with tempfile.TemporaryDirectory() as name, ScriptedServer() as server:
        folder = Path(name)
        model = write_tiny_model(folder / "tiny.gguf", n_ctx_train=32768)
        books = {n: write_book(folder / f"{n}.pdf", n) for n in lengths}
        runs: dict[int, list[Run]] = {n: [] for n in lengths}
        _CPU.spent()
        for number in range(rounds):
            for n, book in books.items():
                runs[n].append(run(book, model, server.url, folder / f"{number}-{n}"))
    short, long = runs[lengths[0]], runs[lengths[-1]]
    more = (long[0].segments - short[0].segments) / 1000
    costs = [(b.cpu - a.cpu) / more for a, b in zip(short, long, strict=True)]
    grown = median(b.memory - a.memory for a, b in zip(short, long, strict=True)) / more
    console = Console()
    console.print(_table(runs))
    verdict = "pass" if median(costs) < GOAL_S else "fail"
    console.print(
        f"CPU a thousand segments: median s {median(costs):.2f} ({min(costs):.2f} … "
        f"{max(costs):.2f}); goal: under {GOAL_S:.0f} s: {verdict}"
    )
    console.print(f"memory a thousand segments: {grown:.1f} MB")
    return verdict == "fail" and rounds > 1


if __name__ == "__main__":
    sys.exit(main())
