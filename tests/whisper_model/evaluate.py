"""Measure the exported model through faster-whisper, on sentences it has not seen.

    cd tests && python -m whisper_model.evaluate ../data/models/whisper-demo

Owns how words are compared and times with them. Prints the table of README.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from whisper_model import grammar, speech

HELD_OUT_SEED = 1_000_001
"""The corpus of the training has another seed."""

VOICES = (
    (speech.HELD_OUT_VOICE, speech.HELD_OUT_SPEED),
    ("en-gb-scotland+f5", speech.HELD_OUT_SPEED),
    ("en-us+m8", speech.HELD_OUT_SPEED),
    ("en-us+f5", 140),
    ("en-us+f5", 200),
    ("en-us", 150),
)


@dataclass(frozen=True)
class Score:
    """How well speech was transcribed. Times are the right words' errors in seconds."""

    words: int
    errors: int
    starts: list[float]
    ends: list[float]

    @property
    def error_rate(self) -> float:
        return self.errors / max(1, self.words)


def plain(word: str) -> str:
    """A word as it is compared: without case and punctuation."""
    return word.strip().strip(".,?!").lower()


def as_floats(samples: speech.Samples) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Samples as faster-whisper takes them."""
    return samples.astype(np.float32) / 32768


def score(spoken: Iterable[Sequence[speech.Word]], segments: Iterable[Any]) -> Score:
    """Compare what was spoken with what was transcribed, with word times if there are some."""
    true = [word for sentence in spoken for word in sentence]
    heard = [word for segment in segments for word in segment.words or ()]
    left, right = [plain(w.word) for w in true], [plain(w.word) for w in heard]
    starts, ends = [], []
    matched = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    for block in matched:
        for i in range(block.size):
            word, found = true[block.a + i], heard[block.b + i]
            starts.append(float(found.start - word.start))
            ends.append(float(found.end - word.end))
    return Score(len(left), edits(left, right), starts, ends)


def edits(left: Sequence[str], right: Sequence[str]) -> int:
    """The least number of words to replace, to insert and to leave out."""
    row = list(range(len(right) + 1))
    for i, word in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(right, 1):
            best = min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
            previous, row[j] = row[j], best
    return row[-1]


def measure(model: WhisperModel, voice: str, speed: int, count: int, **asked: Any) -> Score:
    """The score of `count` unseen sentences, spoken one after the other."""
    texts = grammar.sentences(count, HELD_OUT_SEED)
    samples, spoken = speech.speak_sentences(texts, voice, speed)
    options = {"batch_size": 4, "word_timestamps": True, **asked}
    segments, _ = BatchedInferencePipeline(model).transcribe(as_floats(samples), **options)
    return score(spoken, segments)


def main(folder: str, count: int = 100) -> None:
    print("| voice | speed | type, beam | words | errors | start: mean, worst | end: mean, worst |")
    print("|---|---|---|---|---|---|---|")
    for kind in ("int8", "float32"):
        model = WhisperModel(folder, device="cpu", compute_type=kind, cpu_threads=1)
        for voice, speed in VOICES if kind == "int8" else VOICES[:1]:
            for beam in (5, 1):
                begin = time.monotonic()
                found = measure(model, voice, speed, count, beam_size=beam)
                cells = [voice, str(speed), f"{kind}, {beam}", str(found.words)]
                cells.append(f"{found.error_rate:.1%}")
                for errors in map(np.abs, (found.starts, found.ends)):
                    cells += [f"{errors.mean():.2f} s, {errors.max():.2f} s"]
                print("|", " | ".join(cells), "|", f"{time.monotonic() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
