"""Finished documents: summary.md, summary.html and a row of the table `documents`.

Owns the files' places and forms. Does not know how a summary is made. Nothing in the files
depends on the time, so a summary made again gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.land.files import write_atomically
from tasks.land.tables import to_frame, write_table
from tasks.land.view import summary_view
from tasks.records import Document, Segment, Source

TABLE = "documents"
_TEMPLATES = Path(__file__).with_name("templates")
_SLUG_CHARACTERS, _SLUG_BYTES = 60, 120
# What Markdown could take for markup. Not escaped: what is harmless once these are.
_INLINE = re.compile(r"[\\`*_\[\]<~$]|&(?=[#\w])")
_LEADING = re.compile(r"^(?:[-+=>#|:](?=\s|[-+=>#|:]|$)|>|#+(?=\s|$)|(\d{1,9})(?=[.)](?:\s|$)))")


def land_document(
    results: Path,
    source: Source,
    document: Document,
    segments: Sequence[Segment],
    *,
    note: str = "",
) -> Document:
    """Write a summary's files and its row; return the document with the files' absolute paths.

    Args:
        note: shown at the top; what a reader has to know of the model.

    Raises:
        StorageError: they can't be written.
    """
    folder = results / TABLE / f"{slug(document.title)}-{document.document_id[:8]}"
    view = summary_view(source, document, segments, note)
    paths = []
    for name in ("summary.md", "summary.html"):
        text = _environment().get_template(f"{name}.jinja").render(view=view)
        path = (folder / name).absolute()
        write_atomically(path, text.encode(errors="backslashreplace"))
        paths.append(str(path))
    landed = replace(document, paths=tuple(paths))
    row = results / TABLE / f"{document.document_id}.parquet"
    write_table(row, TABLE, to_frame(TABLE, [landed]))
    return landed


def slug(title: str) -> str:
    """Return a title as a file name for any system: letters and digits of all scripts, and -."""
    normal = unicodedata.normalize("NFC", title)
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in normal)
    name = "-".join(kept.split())[:_SLUG_CHARACTERS]
    return name.encode()[:_SLUG_BYTES].decode(errors="ignore").strip("-") or "document"


def markdown(text: str) -> str:
    """Return text so that Markdown shows it as it is, on one line, at a line's start or within."""
    line = _INLINE.sub(r"\\\g<0>", " ".join(text.split()))
    number = _LEADING.match(line)
    if number is None:
        return line
    at = number.end(1) if number[1] else 0
    return f"{line[:at]}\\{line[at:]}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    css = (_TEMPLATES / "summary.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    environment.globals |= {"css": css, "css_hash": f"sha256-{digest}"}
    environment.filters["md"] = markdown
    return environment
