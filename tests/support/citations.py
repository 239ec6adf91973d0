"""Follow a summary's citations back into the PDF, without any of Lectern's own reading."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import polars as pl
import pypdfium2 as pdfium

_COMPARED = 24  # characters: a sentence begins on its page, and may end on the next


def citations_astray(results: Path, pdf: Path) -> tuple[int, list[str]]:
    """Return how many citations the summaries of a PDF have, and those whose page lacks their text.

    The page is looked up in the PDF as PDFium gives its text, letters and digits only.
    """
    sources = pl.read_parquet(results / "sources" / "*.parquet")
    ids = sources.filter(pl.col("uri").str.ends_with(f"/{pdf.name}"))["source_id"]
    documents = pl.read_parquet(results / "documents" / "*.parquet")
    documents = documents.filter(pl.col("source_id").is_in(ids.implode()))
    segments = pl.read_parquet(results / "segments" / "*.parquet")
    texts = {(s["source_id"], s["n"]): s["text"] for s in segments.iter_rows(named=True)}
    pages = [_letters(page.get_textpage().get_text_range()) for page in pdfium.PdfDocument(pdf)]
    checked, astray = 0, []
    for document in documents.iter_rows(named=True):
        bullets = [bullet for section in document["sections"] for bullet in section["bullets"]]
        for citation in (citation for bullet in bullets for citation in bullet["citations"]):
            checked += 1
            text = texts[document["source_id"], citation["n"]]
            if _letters(text)[:_COMPARED] not in pages[citation["page"] - 1]:
                astray.append(f"p. {citation['page']}: [{citation['n']}] {text}")
    return checked, astray


def _letters(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if c.isalnum())
