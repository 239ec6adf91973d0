"""What `lectern bench` does beside showing it: the machine for itself, and children that measure.

Owns keeping pools away, the children's lives, and what their measurements come to. What is measured
and how is the worker's business (tasks.pool.serving), and tasks.pool.quantization_child's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tasks.errors import InferenceError, ModelError
from tasks.files import make_folder
from tasks.locks import acquire
from tasks.models.spec import ModelSpec
from tasks.pool.lifecycle import PoolFiles, hold_lock, pool_status, stop_pool
from tasks.pool.protocol import (
    Event,
    LoadFailed,
    Measured,
    Ready,
    Tune,
    Tuned,
    WorkerConfig,
    decode,
    encode,
)
from tasks.pool.tuning import Rates, Tuning, default_tuning, free_fields, keep, worker_config
from tasks.pool.worker_process import WORKER_COMMAND, worker_environment
from tasks.settings import Settings

_COMMAND = (sys.executable, "-m", "tasks.pool.quantization_child")
_LEAST = 2  # measurements of a quantization, before it is compared
_GRACE_S = 30.0  # for what had begun when its time was up


@contextmanager
def machine_alone(settings: Settings) -> Iterator[Path]:
    """End an idle pool of this home, and let none start for as long as the block lasts.

    Yields:
        A log for what llama.cpp says.

    Raises:
        InferenceError: the pool is in use.
        StorageError: the home can't be written.
    """
    files = PoolFiles(settings.home)
    files.prepare()
    make_folder(settings.home / "tuning")  # where the answer is to go: rather now than after it
    with acquire(files.starting, "another command, which starts the pool"):
        status = pool_status(settings)
        if status is not None and status.in_use:
            raise InferenceError(
                "lectern bench", "the pool is in use, and would disturb what is measured",
                "Wait until it is free, or end it with `lectern pool stop`",
            )  # fmt: skip
        stop_pool(settings)
        lock = hold_lock(files)
        if lock is None:
            raise InferenceError("lectern bench", "another pool holds this home", "Stop it first")
        try:
            yield settings.home / "bench.log"
        finally:
            lock.release()


@dataclass
class Found:
    """What measuring settings came to.

    Attributes:
        rates: what each tuning was measured to do, each time.
        best: of them; or with fewer sequences, where memory has become short.
        left: fields that there was no time for.
        kept: where the answer is; None: nothing was looked at to the end.
    """

    rates: dict[Tuning, list[Rates]] = field(default_factory=dict)
    best: Tuning = field(default_factory=Tuning)
    left: list[str] = field(default_factory=list)
    kept: Path | None = None

    def hear(self, measured: Measured) -> None:
        self.rates.setdefault(Tuning(**measured.tuning), []).append(Rates(**measured.rates))


def find_tuning(
    settings: Settings, spec: ModelSpec, seconds: float, log: Path, hear: Callable[[Event], None]
) -> Found:
    """Measure how a model runs best here, beginning with defaults, and keep it.

    Raises:
        ModelError: the model can't be loaded.
        InferenceError: the worker ended, or there is no memory to measure in.
        StorageError: the answer can't be kept.
    """
    found = Found()

    def both(event: Event) -> None:
        if isinstance(event, Measured):
            found.hear(event)
        hear(event)

    free = free_fields(settings)
    config = worker_config(settings, spec, default_tuning(settings))
    tuned = tune(config, Tune(budget_s=seconds, free=free), log, both)
    if not found.rates:
        raise InferenceError(
            "lectern bench", "there is no memory to measure in beside the model",
            "Free some, or lower LECTERN_POOL_N_CTX",
        )  # fmt: skip
    found.best, found.left = Tuning(**tuned.tuning), tuned.left
    known = {name: tuned.tuning[name] for name in free if name not in tuned.left}
    found.kept = keep(settings, spec.identity, known) if known else None
    return found


def tune(config: WorkerConfig, order: Tune, log: Path, hear: Callable[[Event], None]) -> Tuned:
    """Load a model in a worker, and let it find its best tuning.

    Args:
        hear: is told what the worker tells.

    Raises:
        ModelError: the model can't be loaded.
        InferenceError: the worker ended.
    """
    with _child(WORKER_COMMAND, log) as child:
        _write(child, encode(config))
        for line in _lines(child):
            event = decode(line)
            hear(event)
            match event:
                case LoadFailed():
                    raise ModelError(Path(config.model_path).name, event.problem, event.remedy)
                case Ready():
                    _write(child, encode(order))
                case Tuned():
                    return event
        raise InferenceError(
            "lectern bench", f"measuring ended with status {child.wait()}", f"See {log}"
        )


@dataclass
class Comparison:
    """How fast other quantizations of a model would be, measured in turn with its own.

    Attributes:
        chunks: an hour, of each measurement, by quantization.
        problem: why it can't be told; "" where it can.
    """

    own: str
    chunks: dict[str, list[float]] = field(default_factory=dict)
    problem: str = ""

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as many chunks, by quantization; the own one has 1."""
        own = self.chunks.get(self.own)
        if not own:
            return {}
        return {name: median(values) / median(own) for name, values in self.chunks.items()}

    @property
    def faster(self) -> dict[str, float]:
        """Those of which each measurement beats each one of the own, the fastest first."""
        own = self.chunks.get(self.own, [])
        ratios = sorted(self.ratios.items(), key=lambda each: -each[1])
        return {
            name: ratio
            for name, ratio in ratios
            if min(len(own), len(self.chunks[name])) >= _LEAST and min(self.chunks[name]) > max(own)
        }


def compare_quantizations(
    config: WorkerConfig,
    own: str,
    tuning: Tuning,
    seconds: float,
    log: Path,
    hear: Callable[[str], None],
) -> Comparison:
    """Measure small models of the same width in several quantizations.

    Args:
        hear: is told which one was measured, each time.
    """
    comparison = Comparison(own)
    order = {"model_path": config.model_path, "own": own, "seconds": seconds}
    order |= {"n_gpu_layers": config.n_gpu_layers, "tuning": asdict(tuning)}
    with (
        TemporaryDirectory(prefix="bench-", dir=make_folder(log.parent / "cache")) as folder,
        _child(_COMMAND, log) as child,
    ):
        killer = threading.Timer(seconds + _GRACE_S, child.kill)
        killer.start()
        try:
            _write(child, json.dumps({**order, "folder": folder}).encode() + b"\n")
            for line in _lines(child):
                said = json.loads(line)
                if "problem" in said:
                    comparison.problem = said["problem"]
                else:
                    chunks = Rates(**said["rates"]).chunks_per_hour
                    comparison.chunks.setdefault(said["name"], []).append(chunks)
                    hear(said["name"])
        finally:
            killer.cancel()
    if not comparison.problem and len(comparison.ratios) < 2:
        comparison.problem = "there was not time enough to measure another"
    return comparison


@contextmanager
def _child(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child for as long as the block lasts."""
    pipe = subprocess.PIPE
    with (
        log.open("ab") as said,
        subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=said,
            env=worker_environment(),
            start_new_session=True,  # Ctrl-C is ours; it ends with its pipe
        ) as child,
    ):
        try:
            yield child
        finally:
            child.kill()  # it holds nothing


def _write(child: subprocess.Popen[bytes], line: bytes) -> None:
    assert child.stdin is not None
    with suppress(BrokenPipeError):  # it has ended; its last words are still to be read
        child.stdin.write(line)
        child.stdin.flush()


def _lines(child: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert child.stdout is not None
    return (line for line in child.stdout if line.endswith(b"\n"))
