"""The child process that parses one document: `python -m tasks.extract.child REQUEST`.

The only place where bytes from strangers meet a parser. It limits its own memory and time,
reads the document and writes the result by inherited file descriptors, and ends when its
parent does. Whatever it dies of, the parent reports.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.extract.pieces import Parsed
    from tasks.records import SourceKind

MAX_PAGES = 20_000  # that limits grow with; a count in a hostile file may be anything
MB_PER_PAGE = 4
SECONDS_PER_PAGE = 0.5
MORE_MEMORY = "Raise LECTERN_PDF_MEMORY_MB if the file is to be trusted"
REPORT = "Please report it, with the document if you can"


@dataclass(frozen=True)
class ChildRequest:
    """What the parent asks for: descriptors of the document, the progress and the result.

    Attributes:
        name, media_type: what is known of the document besides its content.
        recognised: what OCR found: PDFs of text, each with the pages that its pages are.
    """

    document: int
    pages: int
    result: int
    password: str | None
    memory_mb: int
    seconds: float
    name: str = ""
    media_type: str = ""
    recognised: list[list[Any]] = field(default_factory=list)


def limit(request: ChildRequest, n_pages: int, n_bytes: int) -> None:
    """Let this process have the memory and processor time that so many pages may need."""
    pages = min(n_pages, MAX_PAGES)
    memory = (request.memory_mb + MB_PER_PAGE * pages) * 2**20 + 3 * n_bytes
    hold_to(memory, int(request.seconds + SECONDS_PER_PAGE * pages) + 1)


def hold_to(n_bytes: int, seconds: int) -> None:
    """Let this process, and each that it starts, have so much memory and processor time."""
    for what, amount in ((resource.RLIMIT_AS, n_bytes), (resource.RLIMIT_CPU, seconds)):
        _, hard = resource.getrlimit(what)
        if hard != resource.RLIM_INFINITY:
            amount = min(amount, hard)
        resource.setrlimit(what, (amount, hard))


def main() -> None:
    request = ChildRequest(**json.loads(sys.stdin.readline()))
    threading.Thread(target=end_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    n_bytes = os.fstat(request.document).st_size
    limit(request, 0, n_bytes)
    answer = _answer(request, n_bytes)
    code = 0
    try:
        with os.fdopen(request.result, "w", encoding="utf-8") as out:
            # Not json.dump, which does without the encoder in C.
            out.write(json.dumps(answer, ensure_ascii=False, separators=(",", ":")))
    except OSError as error:
        code = error.errno or 1  # the parent tells a full disk from other deaths by it
    os._exit(code)  # PDFium's objects need no tidying, and the watching thread would not end


def _answer(request: ChildRequest, n_bytes: int) -> dict[str, Any]:
    from tasks.errors import SourceError
    from tasks.extract.formats import Hint, recognise

    hint = Hint(request.name, request.media_type)
    try:
        with os.fdopen(request.document, "rb") as file:
            data = file.read()
        kind = recognise(data, hint)
        parsed = _read_pdf(request, data) if kind == "pdf" else _read_other(request, data, kind)
    except SourceError as error:
        return {"problem": error.problem, "remedy": error.remedy}
    except MemoryError:
        return {"problem": "needs more memory than allowed", "remedy": MORE_MEMORY}
    except Exception as error:  # what no one foresaw ends this document, and tells itself
        return {"problem": _unforeseen(error), "remedy": REPORT}
    return {**vars(parsed), "pieces": [vars(piece) for piece in parsed.pieces], "format": kind}


def _unforeseen(error: Exception) -> str:
    import traceback

    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return f"stops its reader by an unforeseen error ({type(error).__name__} in {where})"


def _read_pdf(request: ChildRequest, data: bytes) -> Parsed:
    from tasks.extract.parse import open_document, parse

    document = open_document(data, request.password)
    _allow(request, document.n_pages, len(data))
    return parse(document, request.recognised)


def _read_other(request: ChildRequest, data: bytes, kind: SourceKind) -> Parsed:
    from tasks.extract.formats import Hint
    from tasks.extract.reading import read_flowing, size_in_pages

    _allow(request, size_in_pages(data), len(data))
    return read_flowing(data, kind, Hint(request.name, request.media_type))


def _allow(request: ChildRequest, n_pages: int, n_bytes: int) -> None:
    os.pwrite(request.pages, str(n_pages).encode(), 0)
    limit(request, n_pages, n_bytes)


def end_with_parent(end: Callable[[], None] = lambda: os._exit(1)) -> None:
    """Block until the parent closes its end of the pipe or dies, and end."""
    os.read(sys.stdin.fileno(), 1)
    end()


if __name__ == "__main__":
    main()
