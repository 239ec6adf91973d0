"""Which documents a list of files, folders and URLs means."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from tasks.extract.formats import SUFFIXES
from tasks.media.containers import is_media
from tasks.media.sidecars import CAPTION_SUFFIXES, is_sidecar
from tasks.naming import as_uri, is_url, path_of, uri_of

_NOT_DOCUMENTS = (".", "~$")  # hidden ones, and Word's locks
_SUFFIXES = frozenset({*SUFFIXES, *CAPTION_SUFFIXES})


def find_sources(
    items: Sequence[str], base: Path, results: Path | None = None, written: Container[str] = ()
) -> list[str]:
    """Return the uris of all documents, videos and recordings, each once, in order.

    A folder means those in it and below it, sorted; hidden ones, what Lectern has written, and
    captions that belong to a video beside them are left out. A path that does not exist, a folder
    without documents, or one that can't be read stays in the list, so that its failure is recorded.

    Args:
        base: the folder from which relative paths count.
        results: Lectern's own, whose documents are no sources.
        written: absolute paths of what Lectern has written elsewhere: sources only where named.
    """
    found: dict[str, None] = {}
    for item in items:
        if item.strip():
            uri = as_uri(item, base)
            below = [] if is_url(uri) else documents_below(path_of(uri), results)
            others = [path for path in below if str(path) not in written]
            found.update(dict.fromkeys([*map(uri_of, others)] or [uri]))
    return list(found)


def documents_below(folder: Path, results: Path | None = None) -> Iterator[Path]:
    """Yield the documents in and below a folder, in order, and then folders that can't be read."""
    errors: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=errors.append):
        here = Path(parent)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and not (here.name == "data" and name == "results")
            and not (results and (here / name).absolute() == results)
        )
        for name in sorted(files):
            if _is_source(here / name) and not is_sidecar(here / name, files):
                yield here / name
    yield from (Path(each.filename) for each in errors if _is_unreadable(each))


def _is_source(path: Path) -> bool:
    known = path.suffix.lower() in _SUFFIXES or is_media(path)
    return known and not path.name.startswith(_NOT_DOCUMENTS)


def _is_unreadable(error: OSError) -> bool:
    return not isinstance(error, FileNotFoundError | NotADirectoryError)
