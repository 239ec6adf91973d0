"""Every benchmark runs; what it measures is nobody's business here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SHORT = {
    "bench_extract.py": ["", "1"],
    "bench_fit.py": ["--short"],
    "bench_overhead.py": ["", "demo"],
    "bench_pool.py": ["--trial", "--rounds", "1"],
    "bench_speech.py": ["1", "--minutes", "1"],
    "bench_translate.py": ["1"],
}
SAMPLE = HERE.parent.parent / "data" / "samples" / "chinese-zh.pdf"


@pytest.mark.slow
@pytest.mark.timeout(300)  # a run of its own, with Prefect's server, on a busy machine
@pytest.mark.parametrize("bench", sorted(HERE.glob("bench_*.py")), ids=lambda path: path.stem)
def test_a_benchmark_prints_its_table(bench: Path, tmp_path: Path) -> None:
    """In its short form: one round, few requests, a short document."""
    arguments = [each or str(SAMPLE) for each in SHORT[bench.name]]
    if bench.name in ("bench_fit.py", "bench_pool.py"):
        arguments += ["--cache", str(tmp_path)]

    done = subprocess.run(
        [sys.executable, str(bench), *arguments], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert re.search(r"median s|wall time after start-up|told before", done.stdout)
