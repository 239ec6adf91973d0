"""The child process that recognises text: `python -m tasks.extract.ocr_child`, a request on stdin.

It draws the pages as pictures, lets ocrmypdf recognise them, and keeps the text without the
pictures. No byte of the document itself reaches ocrmypdf. What is done is kept in parts, so
that a run that was killed goes on; everything else is in a folder that goes when this ends, or
its parent does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from tasks.extract.child import end_with_parent, hold_to
from tasks.extract.ocr import OcrRequest, failure_path, part_path

_DPI, _POINTS = 300, 72
_MAX_PIXELS = 40_000_000  # of a page's picture: a poster is drawn coarser
# ocrmypdf's: a missing program, no access to files (also for want of room), and Ctrl-C.
_NOT_THE_PAGES = (3, 5, 130)
_PAGE_SECONDS = 120  # that tesseract may take for one


def main() -> None:
    request = OcrRequest(**json.loads(sys.stdin.readline()))
    work = Path(request.work)
    threading.Thread(target=end_with_parent, args=(lambda: _abandon(work),), daemon=True).start()
    hold_to(request.memory_mb << 20, request.seconds)
    try:
        failed = _recognise(request, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(bool(failed))


def _abandon(work: Path) -> None:
    """End ocrmypdf and what it started, which are of this process's group, and this one."""
    shutil.rmtree(work, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _recognise(request: OcrRequest, work: Path) -> int:
    """Keep the text of pages; return how many of them failed."""
    from tasks.extract.parse import open_document

    with os.fdopen(request.document, "rb") as file:
        document = open_document(file.read(), request.password).pdfium
    n_before, failed = request.n_all - len(request.pages), 0
    for start in range(0, len(request.pages), request.part_pages):
        pages = request.pages[start : start + request.part_pages]
        failed += _make_parts(request, document, pages, work)
        os.pwrite(request.progress, str(n_before + start + len(pages)).encode(), 0)
    return failed


def _make_parts(
    request: OcrRequest, document: pdfium.PdfDocument, pages: Sequence[int], work: Path
) -> int:
    """Recognise pages together; if that fails, in halves: one page must not cost the others.

    Returns:
        How many could not even be tried alone: a later run tries them again. Of one that failed
        it is kept that it did.
    """
    folder = Path(request.folder)
    pictures, read, made = (work / f"{name}.pdf" for name in ("pictures", "read", "made"))
    _draw(document, pages, pictures)
    status = _run(request, pictures, read)
    if status == 0:
        _keep_text(read, made)
        made.replace(part_path(folder, pages))
        return 0
    if len(pages) == 1:
        if status > 0:  # it has ended by itself: neither was it killed nor is the disk full
            failure_path(folder, request.program, pages[0]).touch()
        return status < 0
    halves = pages[: len(pages) // 2], pages[len(pages) // 2 :]
    return sum(_make_parts(request, document, half, work) for half in halves)


def _draw(document: pdfium.PdfDocument, pages: Sequence[int], path: Path) -> None:
    """Write a PDF of pictures."""
    with pdfium.PdfDocument.new() as drawn:
        for index in pages:
            page = document[index - 1]
            width, height = page.get_size()
            scale = min(_DPI / _POINTS, (_MAX_PIXELS / max(width * height, 1)) ** 0.5)
            picture = pdfium.PdfImage.new(drawn)
            picture.set_bitmap(page.render(scale=scale, grayscale=True))
            picture.set_matrix(pdfium.PdfMatrix().scale(width, height))
            sheet = drawn.new_page(width, height)
            sheet.insert_obj(picture)
            sheet.gen_content()
            page.close()
        drawn.save(path)


def _run(request: OcrRequest, pictures: Path, read: Path) -> int:
    """Return ocrmypdf's exit status; negative where it says nothing of the pages."""
    command = [
        request.program, "--language", request.languages, "--jobs", str(request.jobs),
        "--output-type", "pdf", "--optimize", "0", "--tesseract-timeout", str(_PAGE_SECONDS),
        *(["--rotate-pages"] if request.rotate else []), str(pictures), str(read),
    ]  # fmt: skip
    read.unlink(missing_ok=True)
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=pictures.parent
    )
    if ended.returncode == 0:
        return 0 if read.exists() else -1
    return -1 if ended.returncode in _NOT_THE_PAGES else ended.returncode


def _keep_text(read: Path, made: Path) -> None:
    """Leave the pictures out: they take a hundred times the room of the text."""
    with pdfium.PdfDocument(read) as document:
        for page in document:
            for each in list(page.get_objects(max_depth=1)):
                if each.type == pdfium_c.FPDF_PAGEOBJ_IMAGE:
                    page.remove_obj(each)
            page.gen_content()
        document.save(made)


if __name__ == "__main__":
    main()
