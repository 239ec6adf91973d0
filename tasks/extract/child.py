"""The child process that parses one PDF: `python -m tasks.extract.child REQUEST`.

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
from dataclasses import dataclass
from typing import Any

MAX_PAGES = 20_000  # that limits grow with; a count in a hostile file may be anything
MB_PER_PAGE = 4
SECONDS_PER_PAGE = 0.5


@dataclass(frozen=True)
class ChildRequest:
    """What the parent asks for: descriptors of the document, the progress and the result."""

    document: int
    pages: int
    result: int
    password: str | None
    memory_mb: int
    seconds: float


def limit(request: ChildRequest, n_pages: int, n_bytes: int) -> None:
    """Let this process have the memory and processor time that so many pages may need."""
    pages = min(n_pages, MAX_PAGES)
    memory = (request.memory_mb + MB_PER_PAGE * pages) * 2**20 + 3 * n_bytes
    seconds = int(request.seconds + SECONDS_PER_PAGE * pages) + 1
    for what, amount in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds)):
        _, hard = resource.getrlimit(what)
        if hard != resource.RLIM_INFINITY:
            amount = min(amount, hard)
        resource.setrlimit(what, (amount, hard))


def main() -> None:
    request = ChildRequest(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    n_bytes = os.fstat(request.document).st_size
    limit(request, 0, n_bytes)
    answer = _answer(request, n_bytes)
    code = 0
    try:
        with os.fdopen(request.result, "w", encoding="utf-8") as out:
            json.dump(answer, out, ensure_ascii=False, separators=(",", ":"))
    except OSError as error:
        code = error.errno or 1  # the parent tells a full disk from other deaths by it
    os._exit(code)  # PDFium's objects need no tidying, and the watching thread would not end


def _answer(request: ChildRequest, n_bytes: int) -> dict[str, Any]:
    from tasks.errors import SourceError
    from tasks.extract.parse import open_document, parse

    try:
        with os.fdopen(request.document, "rb") as file:
            data = file.read()
        document = open_document(data, request.password)
        os.pwrite(request.pages, str(document.n_pages).encode(), 0)
        limit(request, document.n_pages, n_bytes)
        parsed = parse(document)
    except SourceError as error:
        return {"problem": error.problem, "remedy": error.remedy}
    except MemoryError:
        return {"memory": True}
    return {**vars(parsed), "pieces": [vars(piece) for piece in parsed.pieces]}


def _end_with_parent() -> None:
    """Block until the parent closes its end of the pipe or dies."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    main()
