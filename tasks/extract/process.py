"""The parent's side of parsing: starts the child, holds it to its limits, reads its answer.

Knows nothing of PDF. However the child ends, the caller gets an answer or a SourceError.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from tasks.errors import SourceError
from tasks.extract.child import MAX_PAGES, SECONDS_PER_PAGE, ChildRequest
from tasks.extract.copying import FULL, disk_is_full

if TYPE_CHECKING:
    from tasks.settings import Settings

_MAX_RESULT = 1 << 30  # bytes of JSON; a book of a thousand pages makes five million
_MORE_TIME = "Raise LECTERN_PDF_SECONDS if the file is to be trusted"
_children: set[subprocess.Popen[bytes]] = set()  # those that live; see end_children
_MORE_MEMORY = "Raise LECTERN_PDF_MEMORY_MB if the file is to be trusted"


def parse_in_child(
    document: IO[bytes], uri: str, settings: Settings, password: str | None
) -> dict[str, Any]:
    """Parse an open file, read from its start, in a child process.

    Returns:
        The fields of `tasks.extract.parse.Parsed`, as JSON holds them.

    Raises:
        SourceError: the file can't be read, or the child died or took too much.
        StorageError: the disk is full.
    """
    document.seek(0)
    with tempfile.TemporaryFile() as pages, tempfile.TemporaryFile() as result:
        request = ChildRequest(
            document=document.fileno(),
            pages=pages.fileno(),
            result=result.fileno(),
            password=password,
            memory_mb=settings.pdf_memory_mb,
            seconds=settings.pdf_seconds,
        )
        code = _run(request, pages)
        if code == -signal.SIGXCPU or code == -signal.SIGKILL:
            raise SourceError(uri, "took too long to read and was given up", _MORE_TIME)
        if code in FULL:
            raise disk_is_full()
        answer = _read(result)
    if answer is None or answer.get("memory"):
        problem = "needs more memory than allowed, or crashes the PDF parser"
        raise SourceError(uri, problem, _MORE_MEMORY)
    if "problem" in answer:
        raise SourceError(uri, answer["problem"], answer["remedy"])
    return answer


def _run(request: ChildRequest, pages: IO[bytes]) -> int:
    """Run the child until it ends or its time is up, and return its exit status."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "tasks.extract.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(request.document, request.pages, request.result),
        env=_environment(),
        start_new_session=True,  # Ctrl-C is for us; the child ends with its pipe
    )
    _children.add(child)
    started = time.monotonic()
    try:
        assert child.stdin is not None
        with suppress(BrokenPipeError):
            child.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
            child.stdin.flush()
        with suppress(subprocess.TimeoutExpired):
            return child.wait(request.seconds)
        allowed = request.seconds + SECONDS_PER_PAGE * _counted(pages)
        with suppress(subprocess.TimeoutExpired):
            return child.wait(max(0.0, started + allowed - time.monotonic()))
        return -signal.SIGKILL
    finally:
        _children.discard(child)
        child.kill()
        child.wait()
        if child.stdin is not None:
            with suppress(BrokenPipeError):
                child.stdin.close()


def end_children() -> None:
    """Kill the children that parse now; whoever waits for one gets a SourceError."""
    for child in _children.copy():
        child.kill()


def _environment() -> dict[str, str]:
    """One thread each for numpy's libraries: their stacks count as the child's memory."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONUTF8": "1"}


def _counted(pages: IO[bytes]) -> int:
    """How many pages the child has found in the document, 0 while it does not know."""
    text = os.pread(pages.fileno(), 20, 0)
    return min(int(text), MAX_PAGES) if text.isdigit() else 0


def _read(result: IO[bytes]) -> dict[str, Any] | None:
    """Return the child's answer, None if it died before it had one."""
    data = os.pread(result.fileno(), _MAX_RESULT, 0)
    try:
        answer = json.loads(data)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
