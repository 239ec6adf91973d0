"""results/index.html: all documents of all runs, newest first, and the sources without one.

Made anew from the tables each time, so it is never more than they are and can be deleted. Owns
what a row says and where its links lead. Does not know what a run is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Literal
from urllib.parse import quote

from filelock import Timeout

from tasks.errors import StorageError
from tasks.files import make_folders
from tasks.land.files import storage_errors, write_atomically
from tasks.land.labels import labels
from tasks.land.rendering import render
from tasks.land.tables import collect
from tasks.locks import acquire
from tasks.naming import file_name, link, model_name

NAME = "index.html"
_PATIENCE_S = 60.0  # making it takes a second for thousands of documents
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SOURCE = ("source_id", "uri", "title", "status", "error", "read_at")
_DOCUMENT = ("document_id", "source_id", "kind", "title", "language", "length", "model",
             "failed_pages", "coverage", "paths", "created_at", "calls", "prompt_tokens",
             "completion_tokens", "busy_s")  # fmt: skip

State = Literal["ok", "warnings", "failed", "unfinished"]


@dataclass(frozen=True)
class Link:
    text: str
    href: str


@dataclass(frozen=True)
class Entry:
    """A row of the index. What is empty or None is not known, or is not there.

    Attributes:
        note: what is wrong and what to do.
        files: the document, in its forms, by links that hold wherever the folder is.
        at: when it was landed, or read.
        failed_pages: labels of those that the model failed on.
        kind: summary or translation.
    """

    title: str
    state: State
    source: Link
    at: datetime
    note: str = ""
    failed_pages: tuple[str, ...] = ()
    files: tuple[Link, ...] = ()
    kind: str = ""
    language: str = ""
    length: str = ""
    model: str = ""
    calls: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    busy_s: float | None = None


def write_index(results: Path) -> Path:
    """Make the index anew; return its path.

    Of two that end at once, the later one sees what both have landed: they wait for each other.

    Raises:
        StorageError: a table can't be read, or the index can't be written.
    """
    path = results / NAME
    with storage_errors(path):
        make_folders(results)
        with _alone(results):
            page = render(
                "index.html.jinja",
                "summary.css",
                "index.css",
                entries=entries(results),
                default=_reader(),
                now=datetime.now().astimezone(),
                language_name=language_name,
            )
            write_atomically(path, page)
    return path


def _alone(results: Path) -> AbstractContextManager[object]:
    """Wait until no other run makes the index."""
    try:
        return acquire(results / ".index.lock", "another run, which makes the index", _PATIENCE_S)
    except Timeout as error:
        problem = f"another run has been making it for {_PATIENCE_S:.0f} s"
        raise StorageError(str(results / NAME), problem, "The next run makes it anew") from error


def entries(results: Path) -> list[Entry]:
    """Return all rows, newest first.

    Raises:
        StorageError: a table can't be read.
    """
    sources = {row["source_id"]: row for row in _rows(results, "sources", _SOURCE)}
    documents = _rows(results, "documents", _DOCUMENT)
    found = [_of_document(row, sources.get(row["source_id"], {})) for row in documents]
    found += _of_sources(sources, {row["source_id"] for row in documents})
    return sorted(found, key=lambda entry: (-entry.at.timestamp(), entry.title))


def language_name(code: str, reader: str) -> str:
    """Return the name of a language for a reader of English or Chinese; its code if unknown."""
    return labels(reader).languages.get(code, code)


def _reader() -> str:
    """Return "zh" or "en", as the user's locale says."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next(filter(None, names), "").startswith("zh") else "en"


def _rows(results: Path, table: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    return collect(results, table, lambda rows: rows.select(columns)).to_dicts()


def _of_document(row: Mapping[str, Any], source: Mapping[str, Any]) -> Entry:
    uri = source.get("uri", "")
    return Entry(
        title=row["title"],
        state=_state(row, source.get("status", "ok")),
        source=Link(file_name(uri), link(uri)) if uri else Link("", ""),
        at=row["created_at"] or source.get("read_at") or _EPOCH,
        note=_note(source) if source and source["status"] != "ok" else "",
        failed_pages=tuple(row["failed_pages"]),
        files=tuple(map(_link_here, _paths_here(row))),
        kind=row["kind"],
        language=row["language"],
        length=row["length"],
        model=model_name(row["model"]),
        calls=row["calls"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        busy_s=row["busy_s"],
    )


def _state(document: Mapping[str, Any], source_status: str) -> State:
    coverage = document["coverage"]
    lacks = bool(coverage["failed"] or document["failed_pages"])
    if lacks and not coverage["ok"] + coverage["repaired"]:
        return "failed"
    return "warnings" if lacks or source_status == "partial" else "ok"


def _of_sources(sources: Mapping[str, Mapping[str, Any]], finished: set[str]) -> Iterator[Entry]:
    """Yield the sources without a document; of each place, only what was read there last."""
    newest: dict[str, Mapping[str, Any]] = {}
    for row in sorted(sources.values(), key=lambda row: row["read_at"] or _EPOCH):
        newest[row["uri"]] = row
    for row in newest.values():
        if row["source_id"] not in finished:
            yield Entry(
                title=row["title"],
                state="failed" if row["status"] == "failed" or row["error"] else "unfinished",
                source=Link(file_name(row["uri"]), link(row["uri"])),
                at=row["read_at"] or _EPOCH,
                note=_note(row),
            )


def _note(source: Mapping[str, Any]) -> str:
    """Return what is wrong with a source, whose name stands beside it."""
    error: str = source["error"]
    return error.removeprefix(f"{source['uri']}: ")


def _paths_here(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of a document's files that are among the results, not beside its source."""
    for path in document["paths"]:
        folders = PurePath(path).parts[-3:-1]
        own = document["document_id"][:8]
        if folders[:1] == ("documents",) and folders[-1].endswith(own):
            yield path


def _link_here(path: str) -> Link:
    """Return a link from the results' folder to a file of documents/, wherever both are by now."""
    parts = PurePath(path).parts[-3:]
    return Link(parts[-1], quote("/".join(parts)))
