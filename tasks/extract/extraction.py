"""One source from its uri to its rows: fetched, hashed, parsed, numbered.

Failures become a failed row; only a failure of this machine (a full disk) is raised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tasks.errors import SourceError
from tasks.extract.copying import Copy, copy_file
from tasks.extract.download import download
from tasks.extract.process import parse_in_child
from tasks.naming import file_name, is_url, path_of, ranges
from tasks.records import Segment, Source

if TYPE_CHECKING:
    from tasks.settings import Settings

EXTRACTOR_VERSION = "1"
"""Part of every source_id: raise it when the same file gives other segments than before."""

_OCR = "Run `ocrmypdf in.pdf out.pdf` to recognise the text, and use out.pdf"


@dataclass(frozen=True)
class Extracted:
    """A source and its segments; none where it failed."""

    source: Source
    segments: tuple[Segment, ...]


def extract(
    uri: str,
    settings: Settings,
    *,
    password: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Extracted:
    """Read a document.

    Args:
        uri: a path, or an http(s) URL, which is downloaded first.
        password: tried if the document is encrypted; one that needs none opens all the same.
        progress: hears what is done, the bytes done, and those in all (0: nobody knows).

    Raises:
        StorageError: there is no room for a copy of the document.
    """
    source_id = _id(hashlib.sha256(uri.encode("utf-8", "surrogateescape")))
    try:
        with Copy() as copy:
            if is_url(uri):
                download(uri, settings, copy, progress)
            else:
                copy_file(path_of(uri), copy, uri)
            source_id = _id(copy.digest)
            if progress:
                progress(f"reading {file_name(uri)}", 0, 0)
            answer = parse_in_child(copy.file, uri, settings, password)
        return _extracted(uri, source_id, answer)
    except SourceError as error:
        row = Source(
            source_id=source_id,
            uri=uri,
            title=_stem(uri),
            status="failed",
            error=str(error),
            remedy=error.remedy,
        )
        return Extracted(row, ())


def _id(content: hashlib._Hash) -> str:
    content.update(EXTRACTOR_VERSION.encode())
    return content.hexdigest()


def _extracted(uri: str, source_id: str, answer: dict[str, Any]) -> Extracted:
    labels: Sequence[str] = answer["labels"]
    segments = tuple(
        Segment(
            source_id=source_id,
            n=n,
            text=piece["text"],
            kind=piece["kind"],
            page=piece["page"],
            page_label=labels[piece["page"] - 1],
            paragraph=piece["paragraph"],
            heading_path=tuple(piece["path"]),
        )
        for n, piece in enumerate(answer["pieces"], start=1)
    )
    error = _loss(uri, answer, has_text=bool(segments))
    source = Source(
        source_id=source_id,
        uri=uri,
        title=answer["title"] or _stem(uri),
        language=answer["language"],
        n_pages=len(labels),
        n_segments=len(segments),
        status="failed" if not segments else "partial" if error else "ok",
        error=str(error) if error else "",
        remedy=error.remedy if error else "",
        pages_without_text=tuple(answer["lost_pages"]),
    )
    return Extracted(source, segments)


def _loss(uri: str, answer: dict[str, Any], *, has_text: bool) -> SourceError | None:
    """What of the document could not be read, as an error; None if nothing was lost."""
    n_pages, lost = len(answer["labels"]), answer["lost_pages"]
    if not has_text:
        if answer["all_blank"]:
            return SourceError(
                uri,
                "is blank, or its content is damaged: no page shows anything",
                "Get a fresh copy",
            )
        return SourceError(uri, "holds no text, only images or drawings", _OCR)
    if lost:
        pages = "page" if len(lost) == 1 else "pages"
        problem = f"no text could be read on {pages} {', '.join(ranges(lost))} of {n_pages}"
        return SourceError(uri, problem, _OCR)
    return None


def _stem(uri: str) -> str:
    return PurePath(file_name(uri)).stem
