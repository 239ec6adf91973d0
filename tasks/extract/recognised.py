"""Pages whose text was recognised, put in the place of those that had none.

Reads what `tasks.extract.ocr` has kept; knows nothing of how it came about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pypdfium2 as pdfium

from tasks.extract import pdfium_text, quality
from tasks.extract.characters import is_cjk
from tasks.extract.pages import Page

_SPACE = re.compile(r"(?<=\S) +(?=\S)")
_LEAST_LETTERS = 0.5  # of what is visible; what is made out in a photograph has fewer


def with_recognised(
    pages: Sequence[Page], broken: Sequence[int], parts: Sequence[Sequence[Any]]
) -> tuple[list[Page], list[int]]:
    """Return the pages, and those that can't be read, after what was recognised.

    Args:
        parts: paths of PDFs, each with the indices of the pages that its pages are.
    """
    after, left = list(pages), set(broken)
    for path, indices in parts:
        with pdfium.PdfDocument(path) as text:
            for position, index in enumerate(indices, start=1):
                page = _read(text, position, after[index - 1])
                if page.lines and not after[index - 1].blank:
                    after[index - 1] = page
                    left.discard(index)
    return after, sorted(left)


def _read(text: pdfium.PdfDocument, position: int, page: Page) -> Page:
    """Read a page as it was recognised; without lines if that is no text."""
    read = pdfium_text.read_page(text, position, page.label)
    lines = tuple(
        replace(line, page=page.index, text=_without_gaps(line.text)) for line in read.lines
    )
    found = replace(read, index=page.index, lines=lines, blank=False, scanned=False, unmapped=0.0)
    return found if _is_text(found.text) else replace(found, lines=())


def _is_text(text: str) -> bool:
    visible = [c for c in text if not c.isspace()]
    letters = sum(map(str.isalnum, visible))
    return letters > 0 and letters >= _LEAST_LETTERS * len(visible) and quality.is_plausible(text)


def _without_gaps(line: str) -> str:
    """Close up Chinese and Japanese, whose characters tesseract parts by spaces."""

    def gap(found: re.Match[str]) -> str:
        before, after = line[found.start() - 1], line[found.end()]
        return "" if is_cjk(before) and is_cjk(after) else " "

    return _SPACE.sub(gap, line)
