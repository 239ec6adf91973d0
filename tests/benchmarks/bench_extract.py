"""How long extraction takes beside pypdf's text extraction alone, run in turns.

    python tests/benchmarks/bench_extract.py [BOOK.pdf [ROUNDS]]

Ours is everything from a path to numbered segments, its child process included. The target
is a quarter of pypdf's time on a book of 261 pages.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pypdf import PdfReader
from rich.console import Console
from rich.table import Table

from tasks.extract import extract
from tasks.settings import PROJECT_ROOT, settings

SAMPLE = PROJECT_ROOT / "data" / "samples" / "handbook-en.pdf"


def _by_us(path: Path) -> int:
    return sum(len(segment.text) for segment in extract(str(path), settings()).segments)


def _by_pypdf(path: Path) -> int:
    return sum(len(page.extract_text()) for page in PdfReader(path).pages)


def _timed(read: Callable[[Path], int], path: Path) -> tuple[float, int]:
    start = time.perf_counter()
    n_chars = read(path)
    return time.perf_counter() - start, n_chars


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    logging.disable()
    readers = {"lectern": _by_us, "pypdf, text only": _by_pypdf}
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    chars: dict[str, int] = {}
    for _ in range(rounds):
        for name, read in readers.items():
            elapsed, chars[name] = _timed(read, path)
            seconds[name].append(elapsed)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    table = Table("reader", "median s", "share of pypdf's", "characters", title=path.name)
    for name, median in medians.items():
        share = median / medians["pypdf, text only"]
        table.add_row(name, f"{median:.2f}", f"{share:.2f}", f"{chars[name]:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
