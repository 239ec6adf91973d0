"""Finished documents: their files, and a row of the table `documents`.

Owns the files' places. What is in them is made in `tasks.land.view`, `tasks.land.translations` and
by the templates. Nothing in the files depends on the time, so a document made again gives the same
bytes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tasks.errors import StorageError
from tasks.land.files import write_atomically
from tasks.land.rendering import render
from tasks.land.tables import collect, to_frame, write_table
from tasks.land.view import summary_view
from tasks.records import Document, Segment, Source

TABLE = "documents"
_SLUG_CHARACTERS, _SLUG_BYTES = 60, 120


def land_summary(
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
    view = summary_view(source, document, segments, note)
    names = ("summary.md", "summary.html")
    files = {name: render(f"{name}.jinja", "summary.css", view=view) for name in names}
    return land_files(results, document, files)


def land_files(
    results: Path,
    document: Document,
    files: Mapping[str, bytes],
    elsewhere: Mapping[Path, bytes] | None = None,
) -> Document:
    """Write a document's files, by their names, and then its row.

    Args:
        elsewhere: further files, by absolute path; see check_free.

    Raises:
        StorageError: they can't be written.
    """
    folder = results / TABLE / f"{slug(document.title)}-{document.document_id[:8]}"
    wanted = {(folder / name).absolute(): data for name, data in files.items()}
    wanted |= elsewhere or {}
    for path, data in wanted.items():
        write_atomically(path, data)
    landed = replace(document, paths=tuple(map(str, wanted)))
    row = results / TABLE / f"{document.document_id}.parquet"
    write_table(row, TABLE, to_frame(TABLE, [landed]))
    return landed


def check_free(results: Path, paths: Iterable[Path], uri: str) -> None:
    """Look whether files may be written outside of the results: nothing is replaced but what was
    written there for the same source.

    Raises:
        StorageError: another file is there, or the table can't be read.
    """
    ours = landed_paths(results)
    for path in paths:
        if path.exists() and ours.get(str(path)) != uri:
            remedy = "Move it away, or let the translation stay in the results"
            raise StorageError(str(path), "there is another file of that name", remedy)


def landed_paths(results: Path) -> dict[str, str]:
    """Return the paths of all files that were written for documents, with their sources' uris.

    Raises:
        StorageError: a table can't be read.
    """
    sources = collect(results, "sources", lambda rows: rows.select("source_id", "uri"))
    rows = collect(results, TABLE, lambda rows: rows.select("source_id", "paths"))
    found = rows.join(sources, on="source_id", how="left").select("paths", "uri")
    return {path: uri or "" for paths, uri in found.iter_rows() for path in paths or ()}


def slug(title: str) -> str:
    """Return a title as a file name for any system: letters and digits of all scripts, and -."""
    normal = unicodedata.normalize("NFC", title)
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in normal)
    name = "-".join(kept.split())[:_SLUG_CHARACTERS]
    return name.encode()[:_SLUG_BYTES].decode(errors="ignore").strip("-") or "document"
