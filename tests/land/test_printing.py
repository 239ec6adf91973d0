"""A translation on paper: beside its source on every page, without half-empty pages."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import pypdf
import pytest
from support.translated import document, line, segment, source

from tasks.land.translations import land_translation

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(which("chromium") is None, reason="needs chromium: make debian"),
]


def printed(page: Path) -> pypdf.PdfReader:
    paper = page.with_suffix(".pdf")
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
         f"--user-data-dir={page.parent / 'profile'}", f"--print-to-pdf={paper}", page.as_uri()],
        check=True, capture_output=True, timeout=90,
    )  # fmt: skip
    return pypdf.PdfReader(paper)


def places(page: pypdf.PageObject, *words: str) -> list[float]:
    """Return how far from the left words stand, at their first time."""
    found: dict[str, float] = {}

    def visit(text: str, matrix: list[float], at: list[float], *_: Any) -> None:
        for word in words:
            if word in text:
                found.setdefault(word, at[4] * matrix[0] + matrix[4])

    page.extract_text(visitor_text=visit)
    return [found[word] for word in words]


def test_it_stands_beside_its_source_and_breaks_where_a_page_ends(tmp_path: Path) -> None:
    texts = [("Ahead", "Voran"), *((f"Trains {n} stop.", f"Bahn {n} ruht.") for n in range(500))]
    segments = [
        segment(n, text, 1, min(n, 2), kind="sentence") for n, (text, _) in enumerate(texts, 1)
    ]
    lines = [line(n, text) for n, (_, text) in enumerate(texts, 1)]
    made = replace(document(), language="de")
    landed = land_translation(tmp_path, source(), made, segments, lines, [], "bilingual")
    paper = printed(Path(next(path for path in landed.paths if path.endswith(".html"))))

    # The block with a page's number is as all others are.
    original, translation, more, of_it = places(paper.pages[0], "Ahead", "Voran", "Trains", "Bahn")
    assert original == pytest.approx(more, abs=2)
    assert translation == pytest.approx(of_it, abs=2)
    assert translation > original + 100
    assert "ruht" in paper.pages[1].extract_text()
