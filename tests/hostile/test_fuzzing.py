"""Thousands of mutated files: whatever is in them, the parent goes on, and each gets its line.

`make soak` runs the campaigns in full, every time with other files; a normal run takes a few, the
same every time. A failure names the seed and the case: LECTERN_FUZZ_SEED=… makes them again, and
LECTERN_FUZZ_CASES=from:to runs a part.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil
import pytest
from support import mutation
from support.gguf_header import Header
from support.pdfs import unpacked
from support.tiny_model import write_tiny_model
from support.vocabularies import TEMPLATES, vocabulary_file

from tasks.errors import PipelineError
from tasks.extract import extract
from tasks.land.tables import to_frame
from tasks.models.vocabulary import load_vocabulary
from tasks.settings import PROJECT_ROOT, Settings

SOAK = bool(os.environ.get("LECTERN_SOAK"))
_MAX_UNPACKED = 200_000  # bytes: larger ones take long to unpack, and to read
GROWTH_MB = 100  # allocators keep what threads once needed; a leak of a file each is more
WORKERS = 2

pytestmark = [pytest.mark.slow, pytest.mark.soak]


@dataclass(frozen=True)
class Campaign:
    """Cases by number; each is made from the seed and its number alone."""

    seed: int
    cases: range

    @classmethod
    def of(cls, full: int, short: int) -> Campaign:
        seed = int(os.environ.get("LECTERN_FUZZ_SEED", time.time_ns() % 10**6 if SOAK else 1))
        first, _, last = os.environ.get("LECTERN_FUZZ_CASES", "").partition(":")
        cases = range(int(first or 0), int(last or (full if SOAK else short)))
        print(f"LECTERN_FUZZ_SEED={seed} LECTERN_FUZZ_CASES={cases.start}:{cases.stop}")
        return cls(seed, cases)

    def run(self, case: Callable[[Random, int], str]) -> dict[str, int]:
        """Run all cases, two at a time; return how often each answer was given."""
        counts: dict[str, int] = {}
        me, began, at_first = psutil.Process(), time.monotonic(), 0.0

        def one(n: int) -> str:
            try:
                return case(Random(f"{self.seed}-{n}"), n)
            except Exception as error:
                raise AssertionError(f"LECTERN_FUZZ_SEED={self.seed}, case {n}") from error

        with ThreadPoolExecutor(WORKERS) as pool:
            for done, answer in enumerate(pool.map(one, self.cases), start=1):
                counts[answer] = counts.get(answer, 0) + 1
                if done == max(10, len(self.cases) // 10):
                    at_first = me.memory_info().rss
                if done % 100 == 0:
                    rate = done / (time.monotonic() - began)
                    print(f"{done} cases, {rate:.1f}/s, {_mb(me):.0f} MB: {counts}", flush=True)
        assert me.memory_info().rss - at_first < GROWTH_MB * 2**20, "the parent grows"
        return counts


def _mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for temporary files, of this process and its children."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def _pdf_seeds(material: Path | None) -> list[bytes]:
    """All documents, and each once more with its streams unpacked, where mutations reach deeper."""
    folders = [PROJECT_ROOT / "data" / "samples", *([material / "pdf"] if material else [])]
    seeds = [path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.pdf"))]
    for seed in [seed for seed in seeds if len(seed) < _MAX_UNPACKED]:
        with suppress(Exception):  # of pypdf, whatever it is: it can't read all of these
            seeds.append(unpacked(seed))
    return seeds


def _outside_material() -> Path | None:
    folder = Path(os.environ.get("LECTERN_MATERIAL", PROJECT_ROOT.parent / "shared" / "material"))
    return folder if folder.is_dir() else None


@pytest.mark.timeout(0 if SOAK else 300)
def test_mutated_pdfs_are_each_a_row(tmp_path: Path, temporary: Path, config: Settings) -> None:
    """A row that can be written, with one line where something is wrong; no child, no file left."""
    seeds = _pdf_seeds(_outside_material() if SOAK else None)
    before = set(psutil.Process().children(recursive=True))

    def case(dice: Random, n: int) -> str:
        path = tmp_path / f"{n}.pdf"
        path.write_bytes(mutation.mutated(seeds, dice, mutation.PDF))
        got = extract(str(path), config)
        path.unlink()
        source = got.source
        assert (source.status == "failed") == (not got.segments)
        assert (source.status == "ok") == (not source.error)
        assert len(source.error.splitlines()) <= 1
        assert not source.error or str(path) in source.error
        assert to_frame("sources", [source]).height == 1
        assert to_frame("segments", got.segments).height == len(got.segments)
        return f"{source.status}{source.error.partition(':')[2][:30]}"

    counts = Campaign.of(5_000, 16).run(case)

    assert sum(counts.values()) > 0
    assert set(psutil.Process().children(recursive=True)) <= before
    assert list(temporary.iterdir()) == []


def _gguf_seeds(folder: Path) -> list[bytes]:
    """The demo model's header, a tiny model, and the outside vocabularies, all cut small."""
    paths = [PROJECT_ROOT / "data" / "models" / "lectern-demo-q8_0.gguf"]
    paths.append(write_tiny_model(folder / "tiny.gguf"))
    material = _outside_material() if SOAK else None
    paths += [vocabulary_file(name, material, folder) for name in TEMPLATES] if material else []
    return [Header.read(path).cut(300).encode() for path in paths]


@pytest.mark.timeout(0 if SOAK else 300)
def test_mutated_model_headers_are_read_or_refused(
    tmp_path: Path, temporary: Path, config: Settings
) -> None:
    """In one line that names the model, if refused; the parent never dies of it."""
    seeds = _gguf_seeds(tmp_path)
    before = set(psutil.Process().children(recursive=True))

    def case(dice: Random, n: int) -> str:
        path = tmp_path / f"{n}.gguf"
        path.write_bytes(mutation.mutated(seeds, dice, mutation.GGUF))
        try:
            vocabulary = load_vocabulary(path, str(n), config.home, "the model")
        except PipelineError as error:
            line = str(error)
            assert line.startswith("the model: ")
            assert len(line.splitlines()) == 1
            assert len(line) < 2000
            return line[11:50]
        finally:
            path.unlink()
        return "read, its template fails" if vocabulary.template_problem else "read"

    counts = Campaign.of(1_000, 16).run(case)

    assert sum(counts.values()) > 0
    assert set(psutil.Process().children(recursive=True)) <= before
    assert list(temporary.iterdir()) == []
    assert not [each for each in (config.home / "vocab").iterdir() if each.suffix != ".json"]
