"""Finished documents: their files, and a row of the table `documents`.

Owns the files' places. What is in them is made in `tasks.land.view`, `tasks.land.translations` and
by the templates. Nothing in the files depends on the time, so a document made again gives the same
bytes.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from tasks.land.files import storage_errors, write_atomically
from tasks.land.rendering import render
from tasks.land.tables import collect, read_files, to_frame, write_table
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


def land_files(results: Path, document: Document, files: Mapping[str, bytes]) -> Document:
    """Write a document's files, by their names, and then its row; remove those of an earlier
    landing that are not among them.

    What an earlier landing has put elsewhere stays among the paths for as long as it is there.

    Raises:
        StorageError: they can't be written.
    """
    folder = (results / TABLE / f"{slug(document.title)}-{document.document_id[:8]}").absolute()
    earlier = _earlier_paths(results, document.document_id)
    wanted = {str(folder / name): data for name, data in files.items()}
    for path, data in wanted.items():
        write_atomically(Path(path), data)
    for path in earlier:
        if Path(path).parent == folder and path not in wanted:
            _remove(Path(path))
    elsewhere = [
        path
        for path in earlier
        if not _is_in_results(path, document.document_id) and os.path.lexists(path)
    ]
    landed = replace(document, paths=(*wanted, *elsewhere))
    write_row(results, landed)
    return landed


def write_row(results: Path, document: Document) -> None:
    """Write a document's row, in place of an earlier one.

    Raises:
        StorageError: it can't be written.
    """
    write_table(_row(results, document.document_id), TABLE, to_frame(TABLE, [document]))


def landed_paths(results: Path) -> set[str]:
    """Return the paths of all files that were written for documents.

    Raises:
        StorageError: the table can't be read.
    """
    rows = collect(results, TABLE, lambda rows: rows.select("paths"))
    return {path for paths in rows["paths"] if paths is not None for path in paths}


def _row(results: Path, document_id: str) -> Path:
    return results / TABLE / f"{document_id}.parquet"


def _earlier_paths(results: Path, document_id: str) -> list[str]:
    try:
        rows = read_files([_row(results, document_id)], TABLE, lambda rows: rows.select("paths"))
    except FileNotFoundError:
        return []
    return [path for paths in rows["paths"] if paths is not None for path in paths]


def _is_in_results(path: str, document_id: str) -> bool:
    """Tell whether a file is among the results, wherever they were when it was written."""
    folders = PurePath(path).parts[-3:-1]
    return folders[:1] == (TABLE,) and folders[-1].endswith(document_id[:8])


def _remove(path: Path) -> None:
    with storage_errors(path):
        path.unlink(missing_ok=True)


def slug(title: str) -> str:
    """Return a title as a file name for any system: letters and digits of all scripts, and -."""
    normal = unicodedata.normalize("NFC", title)
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in normal)
    name = "-".join(kept.split())[:_SLUG_CHARACTERS]
    return name.encode()[:_SLUG_BYTES].decode(errors="ignore").strip("-") or "document"
