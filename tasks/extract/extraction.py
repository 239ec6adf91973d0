"""One source from its uri to its rows: fetched, hashed, parsed, numbered.

What is played is read by `tasks.extract.lectures`. Failures become a failed row; only a failure of
this machine (a full disk, no speech model) is raised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tasks.errors import SourceError
from tasks.extract.copying import Copy, copy_file
from tasks.extract.download import download
from tasks.extract.formats import Hint
from tasks.extract.lectures import (
    LectureOptions,
    Progress,
    is_lecture,
    leads_to_document,
    read_lecture_file,
    read_lecture_url,
)
from tasks.extract.ocr import Recognition, recognise
from tasks.extract.process import parse_in_child
from tasks.media.fetch import NoMedia
from tasks.naming import file_name, is_url, path_of, ranges
from tasks.records import Cue, OcrMode, Segment, Source, SourceKind, Word

if TYPE_CHECKING:
    from tasks.settings import Settings

EXTRACTOR_VERSION = "4"
"""Part of every source_id: raise it when the same file gives other segments than before."""

_REMEDIES: dict[OcrMode, str] = {
    "never": "Give --ocr auto to have their text recognised",
    "auto": "Look at them: nothing could be made out there, so they may be pictures",
    "always": "Look at them: nothing could be made out there, so they may be pictures",
}


@dataclass(frozen=True)
class Extracted:
    """A source and its segments; none where it failed. Of what is played also cues and words."""

    source: Source
    segments: tuple[Segment, ...]
    cues: tuple[Cue, ...] = ()
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class _How:
    """How a document is to be read: the arguments of `extract`."""

    settings: Settings
    password: str | None
    ocr: OcrMode
    again: bool
    progress: Callable[[str, int, int], None] | None


def extract(
    uri: str,
    settings: Settings,
    *,
    password: str | None = None,
    ocr: OcrMode | None = None,
    again: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    lecture: LectureOptions | None = None,
) -> Extracted:
    """Read a document, or what is played.

    Args:
        uri: a path, or an http(s) URL, which is downloaded first.
        lecture: how what is played is read; whether URLs lead to such.
        password: tried if the document is encrypted; one that needs none opens all the same.
        ocr: which pages of a PDF are recognised; the setting, unless given.
        again: try to recognise also pages at which the same programs have failed before.
        progress: hears what is done, the bytes done, and those in all (0: nobody knows).

    Raises:
        StorageError: there is no room for a copy of the document.
        ModelError: the model that recognises speech can't be had.
    """
    how = _How(settings, password, ocr or settings.ocr, again, progress)
    source_id = _id(hashlib.sha256(uri.encode("utf-8", "surrogateescape")))
    try:
        if played := _played(uri, settings, lecture or LectureOptions(), progress):
            return played
        with Copy() as copy:
            _fetch(uri, copy, how)
            source_id = _id(copy.digest)
            answer, recognition = _read(uri, copy, source_id, how)
        source_id = _id_as_read(source_id, answer["format"], recognition)
        return _extracted(uri, source_id, answer, recognition, how.ocr)
    except SourceError as error:
        row = Source(
            source_id=source_id,
            uri=uri,
            kind=Hint(file_name(uri)).kind,
            title=_stem(uri),
            status="failed",
            error=str(error),
            remedy=error.remedy,
        )
        return Extracted(row, ())


def _played(
    uri: str, settings: Settings, options: LectureOptions, progress: Progress | None
) -> Extracted | None:
    """Read what is played; None: it is a document."""
    try:
        if is_url(uri):
            if options.urls == "documents" or leads_to_document(uri):
                return None
            read = read_lecture_url(uri, settings, options, progress)
        elif is_lecture(path_of(uri)):
            read = read_lecture_file(uri, settings, options, progress)
        else:
            return None
    except NoMedia:
        if options.urls == "any":
            return None
        raise
    return Extracted(read.source, read.segments, read.cues, read.words)


def _fetch(uri: str, copy: Copy, how: _How) -> None:
    if is_url(uri):
        download(uri, how.settings, copy, how.progress)
    else:
        copy_file(path_of(uri), copy, uri)


def _read(uri: str, copy: Copy, source_id: str, how: _How) -> tuple[dict[str, Any], Recognition]:
    """Parse a document, and once more with the text of the pages that had to be recognised."""
    name = file_name(uri)
    if how.progress:
        how.progress(f"reading {name}", 0, 0)
    parse = partial(
        parse_in_child, copy.file, uri, how.settings, how.password, Hint(name, copy.media_type)
    )
    answer = parse()
    pages = _to_recognise(answer, how.ocr)
    if not pages:
        return answer, Recognition()
    recognition = recognise(
        copy.file,
        source_id,
        pages,
        answer["language"],
        how.settings,
        how.password,
        how.progress,
        again=how.again,
    )
    return (parse(recognition.parts) if recognition.parts else answer), recognition


def _to_recognise(answer: dict[str, Any], mode: OcrMode) -> list[int]:
    if mode == "always":
        return list(range(1, len(answer["labels"]) + 1))
    return list(answer["lost_pages"]) if mode == "auto" else []


def _id(content: hashlib._Hash) -> str:
    content.update(EXTRACTOR_VERSION.encode())
    return content.hexdigest()


def _id_as_read(source_id: str, kind: SourceKind, recognition: Recognition) -> str:
    """Tell apart what the same bytes give when they are read in another way."""
    way = recognition.identity if kind == "pdf" else kind
    return hashlib.sha256(f"{source_id} {way}".encode()).hexdigest() if way else source_id


def _extracted(
    uri: str, source_id: str, answer: dict[str, Any], recognition: Recognition, mode: OcrMode
) -> Extracted:
    labels: Sequence[str] = answer["labels"]
    segments = tuple(
        Segment(
            source_id=source_id,
            n=n,
            text=piece["text"],
            kind=piece["kind"],
            page=piece["page"],
            page_label=labels[piece["page"] - 1] if piece["page"] else "",
            paragraph=piece["paragraph"],
            heading_path=tuple(piece["path"]),
        )
        for n, piece in enumerate(answer["pieces"], start=1)
    )
    error = _loss(uri, answer, recognition, mode)
    source = Source(
        source_id=source_id,
        uri=uri,
        kind=answer["format"],
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


def _loss(
    uri: str, answer: dict[str, Any], recognition: Recognition, mode: OcrMode
) -> SourceError | None:
    """What of the document could not be read, as an error; None if nothing was lost."""
    n_pages, lost = len(answer["labels"]), answer["lost_pages"]
    lacks = recognition.lacks(answer["language"])
    obstacle = f" ({recognition.obstacle})" if recognition.obstacle else ""
    remedy = recognition.remedy or _REMEDIES[mode]
    if parts := answer["lost_parts"]:
        named = ", ".join(parts[:3]) + (" and others" if len(parts) > 3 else "")
        problem = f"{len(parts)} of its parts are missing in the file: {named}"
        return SourceError(uri, problem, "Get a fresh copy")
    if not answer["pieces"]:
        if not n_pages:
            return SourceError(uri, "holds no text", "Open it to see whether it is whole")
        if answer["all_blank"]:
            problem = "is blank, or its content is damaged: no page shows anything"
            return SourceError(uri, problem, "Get a fresh copy")
        problem = f"holds no text, only images or drawings{obstacle}"
        return SourceError(uri, problem, remedy)
    if lost:
        pages = "page" if len(lost) == 1 else "pages"
        problem = f"no text could be read on {pages} {', '.join(ranges(lost))} of {n_pages}"
        return SourceError(uri, f"{problem}{obstacle}", remedy)
    if lacks or (obstacle and not recognition.lacking and mode == "always"):
        return SourceError(uri, f"not all text could be recognised well{obstacle}", remedy)
    return None


def _stem(uri: str) -> str:
    return PurePath(file_name(uri)).stem
