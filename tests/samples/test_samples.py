"""The samples in data/samples/ are what their sources make, and hold what they promise."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pypdfium2
import pytest

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent.parent / "data" / "samples"
NAMES = ["chinese-zh", "handbook-en", "two-columns-en"]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_samples", HERE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_truth_is_what_source_and_pdf_say(name: str, maker: ModuleType) -> None:
    """The committed truth belongs to the committed PDF and the committed text."""
    truth = json.loads((HERE / "truth" / f"{name}.json").read_text(encoding="utf-8"))

    assert truth == maker.truth(name, SAMPLES / f"{name}.pdf")


@pytest.mark.parametrize("name", ["handbook-en", "two-columns-en"])
def test_making_a_sample_again_gives_the_same_text(
    name: str, maker: ModuleType, tmp_path: Path
) -> None:
    """A rebuild needs no font but typst's own, and sets every page alike."""
    pytest.importorskip("typst", reason="typst makes the samples")
    maker.make(name, tmp_path / "again.pdf")

    assert _pages(tmp_path / "again.pdf") == _pages(SAMPLES / f"{name}.pdf")


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_small(name: str) -> None:
    """They are part of every clone."""
    assert (SAMPLES / f"{name}.pdf").stat().st_size < 300_000


def _pages(path: Path) -> list[str]:
    with pypdfium2.PdfDocument(path) as document:
        return [page.get_textpage().get_text_range() for page in document]
