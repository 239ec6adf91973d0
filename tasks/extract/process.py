"""The parent's side of parsing: starts the child, holds it to its limits, reads its answer.

Knows nothing of formats. However the child ends, the caller gets an answer or a SourceError.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from types import MappingProxyType, TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from tasks.errors import SourceError
from tasks.extract.child import MAX_PAGES, MORE_MEMORY, REPORT, SECONDS_PER_PAGE, ChildRequest
from tasks.extract.copying import FULL, disk_is_full

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from tasks.extract.formats import Hint
    from tasks.extract.ocr import Part
    from tasks.settings import Settings

_MAX_RESULT = 1 << 30  # bytes of JSON; a book of a thousand pages makes five million
_MORE_TIME = "Raise LECTERN_PDF_SECONDS if the file is to be trusted"
_children: set[subprocess.Popen[bytes]] = set()  # those that live; see end_children


def parse_in_child(
    document: IO[bytes],
    uri: str,
    settings: Settings,
    password: str | None,
    hint: Hint,
    recognised: Sequence[Part] = (),
) -> dict[str, Any]:
    """Parse an open file, read from its start, in a child process.

    Args:
        recognised: text that OCR found on pages of it.

    Returns:
        The fields of `tasks.extract.pieces.Parsed`, as JSON holds them, and its `format`.

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
            name=hint.name,
            media_type=hint.media_type,
            recognised=[[part.path, part.pages] for part in recognised],
        )
        code = _run(request, pages)
        if code in FULL:
            raise disk_is_full()
        answer = None if code else _read(result)
    if answer is None:
        raise SourceError(uri, *end_of(code))
    if "problem" in answer:
        raise SourceError(uri, answer["problem"], answer["remedy"])
    return answer


def end_of(code: int | None) -> tuple[str, str]:
    """Say what ended a child that gave no answer, and what one can do."""
    if code is None or code == -signal.SIGXCPU:
        return "took too long to read and was given up", _MORE_TIME
    if code == -signal.SIGKILL:  # not by us
        problem = "its reader was killed, as the system does when memory runs out"
        return problem, "Close other programs, and run again"
    if code >= 0:
        return f"its reader ended without an answer (status {code})", REPORT
    name = signal.strsignal(-code)
    if code == -signal.SIGABRT:  # PDFium's way of saying so; it has hardly another use for it
        return f"makes the parser give up ({name}), most likely for want of memory", MORE_MEMORY
    return f"crashes the parser ({name}): it is damaged, or made to", "Get a fresh copy"


def _run(request: ChildRequest, pages: IO[bytes]) -> int | None:
    """Run the child to its end, and return its exit status; None when its time was up."""
    descriptors = (request.document, request.pages, request.result)
    with Child("tasks.extract.child", request, descriptors) as child:
        started = time.monotonic()
        code = child.wait(request.seconds)
        if code is None:
            allowed = request.seconds + SECONDS_PER_PAGE * _counted(pages)
            code = child.wait(max(0.0, started + allowed - time.monotonic()))
        return code


class Child:
    """A child in a session of its own, for as long as the block lasts: then all of it ends.

    Args:
        request: a dataclass, written to its stdin as JSON; descriptors: those it inherits.
        environment: added to this process's own.
    """

    def __init__(
        self,
        module: str,
        request: DataclassInstance,
        descriptors: Sequence[int],
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=descriptors,
            env={**_environment(), **environment},
            start_new_session=True,  # Ctrl-C is for us; the child ends with its pipe
        )
        _children.add(self._process)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
            self._process.stdin.flush()

    def wait(self, seconds: float) -> int | None:
        """Return its exit status, None if it is not over by then."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _children.discard(self._process)
        _end(self._process)
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()


def end_children() -> None:
    """Kill the children that parse now; whoever waits for one gets a SourceError."""
    for process in _children.copy():
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a child and what it has started: they are one group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


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
    size = min(os.fstat(result.fileno()).st_size, _MAX_RESULT)
    data = os.pread(result.fileno(), size, 0)
    try:
        answer = json.loads(data)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
