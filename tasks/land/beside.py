"""Copies of a document's files beside its source, where they replace nobody else's.

Owns their names, and whose a file is: what the table `documents` names for a source is its own,
also before it is there.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tasks.errors import StorageError
from tasks.files import replace_file
from tasks.land.documents import TABLE, write_row
from tasks.land.tables import collect
from tasks.locks import acquire
from tasks.naming import is_url, path_of
from tasks.records import Document, Source

log = logging.getLogger(__name__)

_PATIENCE_S = 60.0  # it is held for some milliseconds


def put_beside(
    results: Path, source: Source, document: Document, files: Mapping[str, bytes]
) -> Document:
    """Put files of a landed document beside its source, as name.language.html; what can't be put
    there costs a line in the log. Return the document with their paths.

    Args:
        files: by their names among the results.

    Raises:
        StorageError: the row can't be written.
    """
    if is_url(source.uri):
        return document
    landed = document
    try:
        with _alone(results):
            places = _free_places(results, source, document.language, files)
            landed = replace(document, paths=_joined(document.paths, places.values()))
            # Before the files: a run that is killed among them leaves none that is taken for
            # somebody else's.
            write_row(results, landed)
        for name, path in places.items():
            _write(path, files[name])
    except StorageError as error:
        log.warning("%s The translation is in the results: %s", error, document.paths[0])
        landed = replace(landed, paths=tuple(filter(os.path.lexists, landed.paths)))
        write_row(results, landed)
    return landed


def _joined(paths: Iterable[str], more: Iterable[Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*paths, *map(str, more)]))


def _write(path: Path, data: bytes) -> None:
    try:
        replace_file(path, data)
    except OSError as error:
        problem = f"can't be written ({error.strerror or error})"
        raise StorageError(str(path), problem, "Make its folder writable and run again") from error


@contextmanager
def _alone(results: Path) -> Iterator[None]:
    """Wait until no other run looks for places."""
    path = results / ".beside.lock"
    try:
        lock = acquire(path, "another run, which puts files beside their sources", _PATIENCE_S)
    except OSError as error:
        raise StorageError(str(path), "can't be locked", "Run again") from error
    with lock:
        yield


def _free_places(
    results: Path, source: Source, language: str, names: Iterable[str]
) -> dict[str, Path]:
    """Return where files go, by their names.

    Raises:
        StorageError: files of others are there, or the table can't be read.
    """
    own, others = _claimed(results, source)
    taken: list[Path] = []
    for places in _candidates(path_of(source.uri), language, list(names)):
        taken = [
            path
            for path in places.values()
            if str(path) in others or (str(path) not in own and os.path.lexists(path))
        ]
        if not taken:
            return places
    remedy = "Move it away and run again"
    raise StorageError(str(taken[0]), "there is another file of that name", remedy)


def _candidates(source: Path, language: str, names: list[str]) -> Iterator[dict[str, Path]]:
    """Yield names for all files: book.zh.html, or, beside a book.pdf and a book.epub,
    book.epub.zh.html; of subtitles in both languages talk.bilingual.zh.srt."""
    for stem in (source.stem, source.name):
        yield {
            name: source.with_name(f"{stem}{_kind(name)}.{language}{Path(name).suffix}")
            for name in names
        }


def _kind(name: str) -> str:
    return ".bilingual" if name.startswith("bilingual.") else ""


def _claimed(results: Path, source: Source) -> tuple[set[str], set[str]]:
    """Return the paths of all files of documents: those of a source, in any of its states and at
    any of its places, and those of others alone."""
    sources = collect(results, "sources", lambda rows: rows.select("source_id", "uri"))
    rows = collect(results, TABLE, lambda rows: rows.select("source_id", "paths"))
    states = {*sources.filter(uri=source.uri)["source_id"], source.source_id}
    own: set[str] = set()
    others: set[str] = set()
    for source_id, paths in rows.iter_rows():
        (own if source_id in states else others).update(paths or ())
    return own, others - own
