"""EPUB by pandoc, where that is installed: a program of its own, told to touch no files.

Owns how it is called. A book that can't be made is no failure: the other forms are there.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile, ZipInfo

log = logging.getLogger(__name__)

_PATIENCE_S = 300.0
_NO_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # a page with these does not open


def epub_of(
    page: bytes, document_id: str, css: str, *, split_level: int, right_to_left: bool
) -> bytes | None:
    """Return a page of HTML as an EPUB 3; None without pandoc.

    Args:
        document_id: becomes the book's identifier, which would else be another each time.
        css: comes after pandoc's own; without < and &.
        split_level: of the headings that begin a file, with those above; they are in no element.
        right_to_left: the way of the book's pages.
    """
    pandoc = shutil.which("pandoc")
    if pandoc is None:
        return None
    # Not --css: pandoc 3 in its sandbox can't read the file.
    options = ["--metadata", f"identifier=urn:lectern:{document_id}"]
    options += ["--variable", f"header-includes=<style>{css}</style>"]
    if right_to_left:
        options += ["--metadata", "page-progression-direction=rtl"]
    try:
        return _made(pandoc, [*options, *_options(pandoc, split_level)], page)
    except subprocess.CalledProcessError as error:
        log.warning("pandoc made no EPUB: %s", error.stderr.decode(errors="replace")[-300:])
    except (OSError, BadZipFile, subprocess.TimeoutExpired) as error:
        log.warning("pandoc made no EPUB: %s", error)
    return None


def _made(pandoc: str, options: list[str], page: bytes) -> bytes:
    with TemporaryDirectory(prefix="lectern-") as folder:
        book = Path(folder) / "book.epub"
        subprocess.run(
            [pandoc, "--from", "html", "--to", "epub3", "--output", str(book), *options],
            input=_NO_XML.sub("", page.decode()).encode(),
            env={**os.environ, "SOURCE_DATE_EPOCH": "0"},
            capture_output=True,
            check=True,
            timeout=_PATIENCE_S,
        )
        return _undated(book.read_bytes())


def _undated(book: bytes) -> bytes:
    """Return the same archive whenever it is made: pandoc 2 puts the time at each entry."""
    found = BytesIO()
    with ZipFile(BytesIO(book)) as old, ZipFile(found, "w") as new:
        for entry in old.infolist():  # in its order: "mimetype" comes first, uncompressed
            undated = ZipInfo(entry.filename)
            undated.compress_type, undated.external_attr = entry.compress_type, 0o644 << 16
            new.writestr(undated, old.read(entry))
    return found.getvalue()


@cache
def _options(pandoc: str, split_level: int) -> tuple[str, ...]:
    """Return how chapters are parted, files kept out of reach and memory bounded, by pandoc's
    version: 2 calls the first otherwise, and in a sandbox does not find its own files. Our pages
    name none."""
    bounds = ("+RTS", "-M2g", "-RTS")
    if re.match(r"pandoc\S* [12]\.", _says(pandoc, "--version")):
        options: tuple[str, ...] = ("--epub-chapter-level", str(split_level))
    else:
        options = ("--sandbox", "--split-level", str(split_level))
    return (*bounds, *options) if _says(pandoc, *bounds, "--version") else options


def _says(*command: str) -> str:
    """Return what a command says; "" where it fails."""
    done = subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE_S)
    return "" if done.returncode else done.stdout.decode(errors="replace")
