"""Zip files from strangers: opened once, and never unpacked beyond a limit.

Owns the limit and what a damaged archive says. A zip file names the size of what it holds, and
nothing beyond that is read.
"""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.errors import SourceError

MAX_UNPACKED = 256 << 20  # bytes of text in all; the longest novels take 20 MB
_TEXT = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx")
_MAX_ENTRIES = 50_000
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, ValueError, RuntimeError),  # it wants a password, or another program
)


class Archive:
    """The text files of an open zip file."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.names = frozenset(archive.namelist())
        self._in_any_case = {name.casefold().replace("\\", "/"): name for name in self.names}
        texts = [entry for entry in archive.infolist() if entry.filename.lower().endswith(_TEXT)]
        unpacked = sum(entry.file_size for entry in texts)
        if unpacked > MAX_UNPACKED or len(self.names) > _MAX_ENTRIES:
            problem = f"unpacks to {unpacked >> 20:,} MB of text in {len(self.names):,} files"
            raise SourceError("", problem, "That is no book: get it from another place")
        if any(entry.flag_bits & 1 for entry in texts):
            raise SourceError("", "is encrypted", "Save it without a password")

    def spelled(self, name: str) -> str:
        """Return a file's name as the archive has it: in another case, maybe; "" if not at all."""
        return name if name in self.names else self._in_any_case.get(name.casefold(), "")

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            KeyError: there is none of that name.
        """
        return self._archive.read(name)


@contextmanager
def open_archive(data: bytes) -> Iterator[Archive]:
    """Open a zip file.

    Raises:
        SourceError: it, or what is read of it within the block, is damaged or too much.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield Archive(archive)
    except DAMAGED as error:
        problem = f"is damaged: what it holds can't be unpacked ({error})"
        raise SourceError("", problem, "Get a fresh copy") from error
