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
from pathlib import Path
from tempfile import TemporaryDirectory

log = logging.getLogger(__name__)

_PATIENCE_S = 300.0


def epub_of(page: bytes, document_id: str) -> bytes | None:
    """Return a page of HTML as an EPUB 3; None without pandoc.

    Args:
        document_id: becomes the book's identifier, which would else be another each time.
    """
    pandoc = shutil.which("pandoc")
    if pandoc is None:
        return None
    with TemporaryDirectory(prefix="lectern-") as folder:
        book = Path(folder) / "book.epub"
        command = [
            *(pandoc, "--from", "html", "--to", "epub3", "--output", str(book)),
            *("--metadata", f"identifier=urn:lectern:{document_id}", *_options(pandoc)),
        ]
        # The same bytes whenever it is made.
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
        try:
            subprocess.run(
                command, input=page, env=environment, capture_output=True, check=True,
                timeout=_PATIENCE_S,
            )  # fmt: skip
            return book.read_bytes()
        except subprocess.CalledProcessError as error:
            log.warning("pandoc made no EPUB: %s", error.stderr.decode(errors="replace")[-300:])
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("pandoc made no EPUB: %s", error)
    return None


@cache
def _options(pandoc: str) -> tuple[str, ...]:
    """Return how chapters are parted and files kept out of reach, by pandoc's version: 2 calls the
    one otherwise, and in a sandbox does not find its own files. Our pages name none."""
    said = subprocess.run([pandoc, "--version"], capture_output=True, text=True, check=False).stdout
    if re.match(r"pandoc\S* [12]\.", said):
        return ("--epub-chapter-level", "2")
    return ("--sandbox", "--split-level", "2")
