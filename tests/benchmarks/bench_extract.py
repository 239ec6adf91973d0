"""How long extraction takes beside pypdf's text extraction alone, run in turns.

    python tests/benchmarks/bench_extract.py [BOOK.pdf [ROUNDS]]

Ours is everything from a path to numbered segments, its child process included; pages that
are pictures are not recognised, which pypdf does not do either. Beside the wall time stands
that of the processor, which a busy machine disturbs less. The goal is a quarter of pypdf's
time on a book of 261 pages.
"""

from __future__ import annotations

import logging
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pypdf import PdfReader
from rich.console import Console
from rich.table import Table

from tasks.extract import extract
from tasks.settings import PROJECT_ROOT, settings

GOAL = 0.25  # of pypdf's time
THEIRS = "pypdf, text only"
SAMPLE = PROJECT_ROOT / "data" / "samples" / "handbook-en.pdf"


def _by_us(path: Path) -> int:
    config = settings().model_copy(update={"ocr": "never"})
    return sum(len(segment.text) for segment in extract(str(path), config).segments)


def _by_pypdf(path: Path) -> int:
    return sum(len(page.extract_text()) for page in PdfReader(path).pages)


@dataclass(frozen=True)
class Reading:
    wall: float
    cpu: float
    n_chars: int


def _cpu() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _timed(read: Callable[[Path], int], path: Path) -> Reading:
    cpu, start = _cpu(), time.perf_counter()
    n_chars = read(path)
    return Reading(time.perf_counter() - start, _cpu() - cpu, n_chars)


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    logging.disable()
    readers = {"lectern": _by_us, THEIRS: _by_pypdf}
    found: dict[str, list[Reading]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            found[name].append(_timed(read, path))
    table = Table("reader", "time", "median s", "spread", "of pypdf's", "goal", title=path.name)
    for kind in ("wall", "cpu"):
        theirs = statistics.median(getattr(each, kind) for each in found[THEIRS])
        for name, readings in found.items():
            seconds = [getattr(each, kind) for each in readings]
            share = statistics.median(seconds) / theirs
            verdict = "" if name == THEIRS else "pass" if share <= GOAL else "fail"
            table.add_row(
                name,
                kind,
                f"{statistics.median(seconds):.2f}",
                f"{min(seconds):.2f} to {max(seconds):.2f}",
                f"{share:.2f}",
                verdict and f"{GOAL} {verdict}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
