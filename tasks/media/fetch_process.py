"""The parent's side of fetching: starts the process, hears how far it is, and ends it.

Knows nothing of sites. However the process ends, the caller gets an answer or an error.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from tasks.errors import SourceError, StorageError
from tasks.extract.process import Child
from tasks.media.fetch_request import Answer, Failure, FetchRequest, Told
from tasks.naming import file_name

_MODULE = "tasks.media.fetch_child"
_POLL_S = 0.25
_END_S = 10.0  # between the last word of a child and its end
_PATIENCE_S = 300.0  # for each further megabyte: slower than the sparest recording is played
_MEGABYTE = 1 << 20
_AGAIN = "Run again to go on from there"

Progress = Callable[[str, int, int], None]


class NoMedia(SourceError):  # noqa: N818 - what is there, rather than what went wrong
    """The page is there, but there is nothing to play on it."""


def run(
    request: FetchRequest, home: Path, progress: Progress | None, lock: int | None = None
) -> Answer:
    """Do in a process of its own what is asked for.

    Args:
        lock: a descriptor that the process inherits, to hold what it holds until it has ended.
        progress: called several times a second with what was heard last; it may raise.

    Raises:
        NoMedia: the page is there, but there is nothing to play on it.
        SourceError: it can't be fetched, must not be, or takes too long.
        StorageError: the disk is full.
    """
    readable, writable = os.pipe()
    try:
        try:
            inherited = [each for each in (writable, lock) if each is not None]
            child = Child(_MODULE, replace(request, answers=writable), inherited)
        finally:
            os.close(writable)
        with child:
            told = _listen(readable, request, progress)
            code = None if told else child.wait(_END_S)
    finally:
        os.close(readable)
    if told is None:
        raise SourceError(request.url, *_end_of(code))
    if told.failure:
        raise _error(request.url, told.failure, home)
    assert told.answer is not None
    return told.answer


def _listen(readable: int, request: FetchRequest, progress: Progress | None) -> Told | None:
    """Return how it ended, None if it ended without a word."""
    patience, told = _Patience(request), Told()
    for line in _lines(readable):
        if line:
            told = TypeAdapter(Told).validate_json(line)
            if told.answer or told.failure:
                return told
            patience.hear(told)
        patience.check()
        if progress:
            doing = "fetching" if request.task == "fetch" else "looking into"
            progress(f"{doing} {told.name or file_name(request.url)}", told.done, told.total)
    return None


def _lines(readable: int) -> Iterator[bytes]:
    """Yield lines as they come; an empty one now and then while none does."""
    rest = b""
    while True:
        if not select.select([readable], [], [], _POLL_S)[0]:
            yield b""
            continue
        data = os.read(readable, 1 << 16)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


@dataclass
class _Patience:
    """How long is waited: for a sign of life, for each megabyte, and in all."""

    request: FetchRequest
    name: str = ""
    done: int = 0

    def __post_init__(self) -> None:
        self.began = self.heard = time.monotonic()

    def hear(self, told: Told) -> None:
        if told.name != self.name or not 0 <= told.done - self.done < _MEGABYTE:
            self.name, self.done, self.heard = told.name, told.done, time.monotonic()

    def check(self) -> None:
        now = time.monotonic()
        if now - self.heard > _PATIENCE_S:
            problem = f"the server sends next to nothing, for {_PATIENCE_S / 60:.0f} minutes"
            raise SourceError(self.request.url, problem, _AGAIN)
        if now - self.began > 3600 * self.request.max_hours:
            problem = f"is not fetched after {self.request.max_hours:g} hours"
            raise SourceError(self.request.url, problem, _AGAIN)


def _error(url: str, failure: Failure, home: Path) -> SourceError | StorageError:
    if failure.kind == "storage":
        return StorageError(str(home), failure.problem, failure.remedy)
    kind = NoMedia if failure.kind == "no_media" else SourceError
    return kind(url, failure.problem, failure.remedy)


def _end_of(code: int | None) -> tuple[str, str]:
    """Say what ended a process without a last word, and what one can do."""
    if code is not None and code < 0:
        name = signal.strsignal(-code)
        return f"the process that fetches it was ended ({name})", _AGAIN
    return f"the process that fetches it ended without an answer (status {code})", "Run again"
