"""pypdf, for what PDFium does not manage: repair, a second reading, bookmarks it overlooks.

Owns every call of pypdf, and is imported only when it is needed: loading pypdf and walking
the page tree with it takes longer than PDFium's reading of a book. On odd files pypdf raises
plain TypeError, AttributeError, AssertionError, ValueError and others beside its own errors,
and can run for very long; so each feature is tried on its own, for a few seconds, and a
failure costs that feature only.
"""

from __future__ import annotations

import io
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import pypdf
from pypdf.generic import Destination

from tasks.extract.characters import clean
from tasks.extract.pages import Bookmark

_SECONDS = 10.0
_MAX_BOOKMARKS = 20_000
T = TypeVar("T")

logging.getLogger("pypdf").setLevel(logging.CRITICAL)


class Reader:
    """A document as pypdf sees it; one that pypdf can't open gives empty answers."""

    def __init__(self, data: bytes, password: str) -> None:
        self._reader = _attempt(lambda: _open(data, password), None)

    def bookmarks(self) -> list[Bookmark]:
        reader = self._reader
        return _attempt(lambda: list(_bookmarks(reader)), []) if reader is not None else []

    def page_text(self, index: int) -> str:
        """Read page `index` (from 1); empty where that fails."""
        reader = self._reader
        if reader is None:
            return ""
        return _attempt(lambda: reader.pages[index - 1].extract_text(), "")

    def repaired(self) -> bytes:
        """Write the document anew; empty where it can't be read."""
        reader = self._reader
        return _attempt(lambda: _rewrite(reader), b"") if reader is not None else b""


def _open(data: bytes, password: str) -> pypdf.PdfReader:
    reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
    if reader.is_encrypted and not (reader.decrypt(password) or reader.decrypt("")):
        raise ValueError("wrong password")
    return reader


def _rewrite(reader: pypdf.PdfReader) -> bytes:
    writer, out = pypdf.PdfWriter(), io.BytesIO()
    for page in reader.pages:
        writer.add_page(page)
    writer.write(out)
    return out.getvalue() if len(writer.pages) else b""


def _bookmarks(reader: pypdf.PdfReader) -> Iterator[Bookmark]:
    count = 0
    stack: list[tuple[int, Iterator[Any]]] = [(1, iter(reader.outline))]
    while stack and count < _MAX_BOOKMARKS:
        level, items = stack[-1]
        item = next(items, None)
        if item is None:
            stack.pop()
        elif isinstance(item, list):
            stack.append((level + 1, iter(item)))
        elif bookmark := _attempt(partial(_bookmark, reader, item, level), None):
            count += 1
            yield bookmark


def _bookmark(reader: pypdf.PdfReader, item: Destination, level: int) -> Bookmark | None:
    index = reader.get_destination_page_number(item)
    title = clean(str(item.title or ""))
    if index is None or index < 0 or not title:
        return None
    return Bookmark(title, level, index + 1, None if item.top is None else float(item.top))


def _attempt(function: Callable[[], T], default: T) -> T:
    """Call a feature of pypdf; any failure of it, or a long wait, gives the default."""
    try:
        with _time_limit(_SECONDS):
            return function()
    except Exception:  # the boundary to pypdf: see the module's docstring
        return default


class _TooSlowError(Exception):
    pass


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise _TooSlowError in the block after so many seconds; an outer limit goes on afterwards."""

    def stop(signum: int, frame: object) -> None:
        raise _TooSlowError

    handler = signal.signal(signal.SIGALRM, stop)
    outer, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, outer)
        signal.signal(signal.SIGALRM, handler)
