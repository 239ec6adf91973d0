"""How fast speech is recognised beside faster-whisper's own batched pipeline, and its memory.

    python tests/benchmarks/bench_speech.py [ROUNDS [--long] [--model FOLDER]]

Runs whole processes in turns, on a recording of 20 minutes. The peer is a script that does nothing
but call BatchedInferencePipeline on the file; ours is `tasks.media.speech.transcribe` in a fresh
home, its child process included. Both have the same model, batch and number of threads. The goal is
0.95 of the peer's speed. With --long (or LECTERN_SOAK=1), once a recording of four hours too: the
memory at its peak, of a process and its children, may be a tenth more than for 20 minutes.

The recording is spoken by espeak-ng, with pauses. Without data/models/whisper-demo the model is of
the shape of OpenAI's tiny, with random weights, and hears as many tokens as English has.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

sys.path.append(str(Path(__file__).parent.parent))

from support.media import RATE, Samples, write_media
from support.whisper import Shape, write_whisper
from whisper_model.grammar import sentences
from whisper_model.speech import speak_sentences

from tasks.pool.cpus import physical_cores
from tasks.settings import PROJECT_ROOT

GOAL, GOAL_MEMORY = 0.95, 1.1
MINUTES, TIMES = 20, 12  # of the short recording; the long one is so many of it
BATCH = 8
DEMO = PROJECT_ROOT / "data" / "models" / "whisper-demo"

PEER = """
import sys
from faster_whisper import BatchedInferencePipeline, WhisperModel
model = WhisperModel(sys.argv[2], device="cpu", compute_type="int8", cpu_threads=int(sys.argv[3]))
segments, _ = BatchedInferencePipeline(model).transcribe(
    sys.argv[1], batch_size=int(sys.argv[4]), vad_filter=True, word_timestamps=True
)
print(sum(len(segment.words) for segment in segments))
"""
OURS = """
import hashlib, sys
from pathlib import Path
from tasks.media.speech import SpeechOptions, transcribe
from tasks.settings import Settings
path = Path(sys.argv[1])
config = Settings(home=sys.argv[5], speech_model=sys.argv[2], speech_batch=int(sys.argv[4]))
with path.open("rb") as file:
    content = hashlib.file_digest(file, "sha256").hexdigest()
print(len(transcribe(path, content, str(path), config, SpeechOptions()).words))
"""


@dataclass(frozen=True)
class Run:
    """Seconds, MB at the peak, and words."""

    seconds: float
    memory: float
    words: int


def spoken(minutes: float) -> Samples:
    """Return speech with pauses of half a second to four seconds, in words that the demo's model
    knows, all of it different."""
    rng = random.Random(5)
    said = sentences(round(minutes * 16), seed=5)
    samples, _ = speak_sentences(said, pauses=[rng.choice((0.3, 0.5, 1.0, 4.0)) for _ in said])
    return samples[: round(minutes * 60 * RATE)]


def run(script: str, media: Path, model: Path, home: Path) -> Run:
    command = [sys.executable, "-c", script, str(media), str(model), str(physical_cores()),
               str(BATCH), str(home)]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    began, most = time.perf_counter(), 0.0
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            most = max(most, _memory(process.pid))
            time.sleep(0.1)
        seconds = time.perf_counter() - began
        assert process.stdout is not None
        said = process.stdout.read()
    if process.returncode:
        sys.exit(f"failed: {said}")
    return Run(seconds, most, int(said))


def _memory(pid: int) -> float:
    """Return what a process and its children hold, without counting twice what they share."""
    total = 0.0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += each.memory_full_info().pss / 2**20
    return total


def _table(runs: dict[str, list[Run]]) -> Table:
    table = Table("", "median s", "from … to", "memory, MB", "words")
    for name, each in runs.items():
        seconds = [one.seconds for one in each]
        table.add_row(
            name, f"{median(seconds):.1f}", f"{min(seconds):.1f} … {max(seconds):.1f}",
            f"{median(one.memory for one in each):.0f}", f"{each[0].words:,}",
        )  # fmt: skip
    return table


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("--long", action="store_true", default=bool(os.getenv("LECTERN_SOAK")))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    asked = parser.parse_args()
    console, failed = Console(), False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = asked.model or (
            DEMO if DEMO.is_dir() else write_whisper(folder / "model", Shape.tiny())
        )
        pcm = spoken(asked.minutes)
        short = write_media(folder / "short.m4a", pcm)
        runs: dict[str, list[Run]] = {"faster-whisper": [], "lectern": []}
        for number in range(asked.rounds):
            runs["faster-whisper"].append(run(PEER, short, model, folder / "none"))
            runs["lectern"].append(run(OURS, short, model, folder / f"home-{number}"))
        console.print(_table(runs))
        theirs, ours = (median(one.seconds for one in each) for each in runs.values())
        failed |= theirs / ours < GOAL
        console.print(
            f"{asked.minutes:g} minutes, {model.name}: {theirs / ours:.2f} of the peer's speed; "
            f"goal: {GOAL}: {'fail' if failed else 'pass'}"
        )
        if asked.long:
            long = write_media(folder / "long.m4a", np.tile(pcm, TIMES))
            one = run(OURS, long, model, folder / "home-long")
            grown = one.memory / median(each.memory for each in runs["lectern"])
            failed |= grown > GOAL_MEMORY
            console.print(
                f"{asked.minutes * TIMES / 60:g} hours: {one.seconds:.0f} s, {one.memory:.0f} MB, "
                f"{one.words:,} words: {grown:.2f} of the memory for {asked.minutes:g} minutes; "
                f"goal: {GOAL_MEMORY}: {'fail' if grown > GOAL_MEMORY else 'pass'}"
            )
    return failed and asked.rounds > 1  # one round alone is noise


if __name__ == "__main__":
    sys.exit(main())
