"""Scans for tests: pages of a PDF as pictures in another."""

from __future__ import annotations

import io
from collections.abc import Collection

import pypdfium2 as pdfium


def scanned(data: bytes, pages: Collection[int] | None = None, *, rotated: int = 0) -> bytes:
    """Return a PDF in which pages (from 1; None: all) are grey pictures of 150 dpi.

    Args:
        rotated: degrees by which the paper lay wrongly on the scanner.
    """
    source, made, out = pdfium.PdfDocument(data), pdfium.PdfDocument.new(), io.BytesIO()
    for index in range(len(source)):
        if pages is not None and index + 1 not in pages:
            made.import_pages(source, [index])
            continue
        bitmap = source[index].render(scale=150 / 72, grayscale=True, rotation=rotated)
        width, height = bitmap.width * 72 / 150, bitmap.height * 72 / 150
        picture = pdfium.PdfImage.new(made)
        picture.set_bitmap(bitmap)
        picture.set_matrix(pdfium.PdfMatrix().scale(width, height))
        page = made.new_page(width, height)
        page.insert_obj(picture)
        page.gen_content()
    made.save(out)
    return out.getvalue()
