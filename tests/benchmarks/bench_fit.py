"""Whether a model takes the memory that `lectern models fit` says it takes.

    python tests/benchmarks/bench_fit.py [--short] [--cache FOLDER]

Makes models of the shapes of Qwen2.5-0.5B and -1.5B in Q4_0 and Q4_K_M, with random weights, and
keeps them in the cache. Each is loaded by a worker as the pool starts it, with two sizes of
context, which requests then fill to the end, so that every page of the KV cache is touched: all
sequences have the same prompt, which is computed once and copied. What the worker then has resident
is compared with what was told before. The goal: within 10%. With --short a tiny model alone.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Column, Table

sys.path.append(str(Path(__file__).parent))

from pool.models import drop_whole, make_model
from pool.places import Places
from pool.shapes import FIRST_WORD, HALF_B, ONE_AND_HALF_B, TINY, Shape

from tasks.pool.fitting import fit_of
from tasks.pool.protocol import (
    Done,
    EngineRequest,
    Event,
    LoadFailed,
    Ready,
    Refused,
    WorkerConfig,
    decode,
    encode,
)
from tasks.pool.worker_process import WORKER_COMMAND, worker_environment

GOAL = 0.1
QUANTIZATIONS = ("Q4_0", "Q4_K_M")
CONTEXTS = ((2048, 1), (4096, 4))  # n_ctx and n_seq_max
_ANSWER = 16  # tokens
_MIB = 2**20


@dataclass(frozen=True)
class Measured:
    """Bytes: told before loading, and resident in the end."""

    told: int
    resident: int

    @property
    def ratio(self) -> float:
        return self.told / self.resident


def measure(model: Path, shape: Shape, n_ctx: int, n_seq_max: int) -> Measured:
    """Ask what a model takes, then load it and fill its context."""
    config = WorkerConfig(
        model_path=str(model), n_ctx=n_ctx, n_seq_max=n_seq_max, n_gpu_layers=0, n_draft=0
    )
    told = fit_of(config, model.name).total
    dice = random.Random(5)
    prompt = [dice.randrange(FIRST_WORD, shape.vocabulary) for _ in range(n_ctx - _ANSWER)]
    with _worker(config) as worker:
        _wait_for(worker, 1, Ready)
        for number in range(n_seq_max):
            request = EngineRequest(
                id=number, prompt=prompt, max_tokens=_ANSWER, ignore_eos=True, seed=number
            )
            _write(worker, encode(request))
        _wait_for(worker, n_seq_max, Done)
        return Measured(told, psutil.Process(worker.pid).memory_info().rss)


@contextmanager
def _worker(config: WorkerConfig) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        WORKER_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=worker_environment(),
    ) as worker:  # fmt: skip
        try:
            _write(worker, encode(config))
            yield worker
        finally:
            worker.kill()


def _write(worker: subprocess.Popen[bytes], line: bytes) -> None:
    assert worker.stdin is not None
    worker.stdin.write(line)
    worker.stdin.flush()


def _wait_for(worker: subprocess.Popen[bytes], n: int, kind: type[Event]) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        event = decode(line)
        if isinstance(event, LoadFailed | Refused):
            sys.exit(f"failed: {event.problem}")
        n -= isinstance(event, kind)
        if not n:
            return
    sys.exit("failed: the worker ended")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--cache", type=Path, default=Places().cache)
    asked = parser.parse_args()
    shapes = [TINY] if asked.short else [HALF_B, ONE_AND_HALF_B]
    console, folder = Console(), Places(asked.cache).models
    table = Table(
        Column("model", no_wrap=True), "n_ctx", "n_seq", "told, MiB", "resident, MiB", "ratio"
    )
    failed = False
    for shape in shapes:
        models = [make_model(folder, shape, each, console.print) for each in QUANTIZATIONS]
        drop_whole(folder, shape)
        for model in models:
            for n_ctx, n_seq_max in CONTEXTS:
                with console.status(f"{model.stem}: {n_seq_max} x {n_ctx} tokens"):
                    found = measure(model, shape, n_ctx, n_seq_max)
                failed |= abs(found.ratio - 1) > GOAL
                cells = (f"{found.told / _MIB:,.0f}", f"{found.resident / _MIB:,.0f}")
                table.add_row(
                    model.stem, f"{n_ctx:,}", str(n_seq_max), *cells, f"{found.ratio:.3f}"
                )
    console.print(table)
    console.print(
        f"goal: what was told before is within {GOAL:.0%}: {'fail' if failed else 'pass'}"
    )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
