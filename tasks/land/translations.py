"""Finished translations: Markdown, a page, a book where pandoc is there, subtitles of what is
played, and the table `lines`.

Owns which files there are. What the pages show is made in `tasks.land.translation_view`, subtitles
in `tasks.land.subtitles`. Does not know how a translation is made.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from tasks.land.beside import put_beside
from tasks.land.books import epub_of
from tasks.land.documents import land_files
from tasks.land.rendering import css_of, render
from tasks.land.tables import collect, read_files, to_frame, to_records, write_table
from tasks.land.translation_view import CHAPTER, Block, Output, TranslationView, translation_view
from tasks.records import Cue, Document, GlossaryEntry, Segment, Source, Term, TranslatedLine, Word

__all__ = ["FORMATS", "Format", "Output", "land_translation", "settled_terms"]

Format = Literal["md", "html", "epub", "srt", "vtt"]
FORMATS: tuple[Format, ...] = get_args(Format)

_SUBTITLES = frozenset({"srt", "vtt"})
_MOST_SEGMENTS = 0.5
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def land_translation(
    results: Path,
    source: Source,
    document: Document,
    segments: Sequence[Segment],
    lines: Sequence[TranslatedLine],
    glossary: Sequence[GlossaryEntry],
    output: Output,
    *,
    cues: Sequence[Cue] = (),
    words: Sequence[Word] = (),
    formats: Collection[Format] = FORMATS,
    beside: bool = False,
    note: str = "",
) -> Document:
    """Write a translation's files and its rows; return the document with the files' paths.

    Args:
        lines: one a segment, in their order.
        cues, words: of what is played: what its subtitles show, and the words in them.
        formats: of the files; where a source can have none of them, it has all that it can.
        beside: write what is to be read beside the source as well, as name.language.html; unless
            nothing of it is translated.
        note: shown at the top; what a reader has to know of the model.

    Raises:
        StorageError: they can't be written.
    """
    view = translation_view(source, document, segments, lines, output, note)
    wanted = _wanted(formats, has_cues=bool(cues))
    to_read = _to_read(view, document.document_id, wanted)
    if wanted & _SUBTITLES:
        texts = {line.n: line.text for line in lines}
        to_read |= _subtitles(cues, words, texts, document.language, output, wanted)
    terms = {"glossary.csv": _csv(glossary)} if any(each.rendering for each in glossary) else {}
    glossary = [replace(entry, settled_at=document.created_at) for entry in glossary]
    # These first: a document in the table has its lines and its glossary in theirs.
    for table, rows in (("lines", lines), ("glossary", glossary)):
        write_table(
            results / table / f"{document.document_id}.parquet", table, to_frame(table, rows)
        )
    landed = land_files(results, document, to_read | terms)
    is_translated = bool(document.coverage.ok or document.coverage.repaired)
    return put_beside(results, source, landed, to_read) if beside and is_translated else landed


def _wanted(formats: Collection[Format], *, has_cues: bool) -> set[Format]:
    possible = {each for each in FORMATS if has_cues or each not in _SUBTITLES}
    return possible.intersection(formats) or possible


def _to_read(view: TranslationView, document_id: str, wanted: Collection[str]) -> dict[str, bytes]:
    """Return the files for readers, by their names."""
    styles = ("summary.css", "translation.css")
    names = [f"translation.{each}" for each in ("md", "html") if each in wanted]
    files = {name: render(f"{name}.jinja", *styles, view=view) for name in names}
    book = "epub" in wanted and epub_of(
        render("translation.epub.html.jinja", view=view),
        document_id,
        css_of("translation.epub.css"),
        split_level=_split_level(view.blocks),
        right_to_left=view.direction == "rtl",
    )
    return files | ({"translation.epub": book} if book else {})


def _subtitles(
    cues: Sequence[Cue],
    words: Sequence[Word],
    texts: Mapping[int, str],
    language: str,
    output: Output,
    wanted: Collection[str],
) -> dict[str, bytes]:
    """Return subtitles, by their names: in the target language, and perhaps in both as well."""
    from tasks.land.subtitles import bilingual, translated_cues, write_srt, write_vtt

    target = translated_cues(cues, words, texts, language)
    shown = {"translation": target}
    if output == "bilingual":
        shown["bilingual"] = bilingual(cues, target)
    writers = {"srt": write_srt, "vtt": write_vtt}
    return {
        f"{name}.{form}": write(own)
        for name, own in shown.items()
        for form, write in writers.items()
        if form in wanted
    }


def _split_level(blocks: Sequence[Block]) -> int:
    """Return the level of chapters: the highest that there are several headings of."""
    levels = Counter(block.level for block in blocks if block.level)
    levels[CHAPTER] += sum(bool(block.chapter) for block in blocks)
    return min((level for level, n in levels.items() if n > 1), default=2)


def settled_terms(
    results: Path,
    source: Source,
    segments: Sequence[Segment],
    to: str,
    made_by: str,
    document_id: str,
) -> list[Term]:
    """Return the glossary that a translation takes over: of the last other one of an earlier state
    of the source, which stood at the same place and has most of its segments. One that is made
    again has the same as before; what it had asked for itself, it finds in the ledger.

    Args:
        source: with the language that it is translated from.
        made_by: as of a GlossaryEntry; what another model proposed is not taken over.

    Raises:
        StorageError: the table can't be read.
    """

    def query(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.filter(
            pl.col("origin") != "user",
            uri=source.uri, language=source.language, to=to, made_by=made_by,
        )  # fmt: skip

    entries = to_records(collect(results, "glossary", query), GlossaryEntry)
    if own := [each for each in entries if each.document_id == document_id]:
        taken = [each for each in own if each.origin == "settled"]
    else:
        newest = max(entries, key=lambda each: each.settled_at or _LONG_AGO, default=None)
        taken = [each for each in entries if newest and each.document_id == newest.document_id]
        if newest and not _is_earlier_state(results, newest.source_id, segments):
            return []
    return [Term(each.term, each.rendering) for each in taken]


def _is_earlier_state(results: Path, source_id: str, segments: Sequence[Segment]) -> bool:
    """Tell whether a source has most of these segments; not if what was read of it is gone."""
    path = results / "segments" / f"{source_id}.parquet"
    if not path.exists():
        return False
    now = {segment.text for segment in segments}
    shared = now.intersection(read_files([path], "segments")["text"])
    return len(shared) >= _MOST_SEGMENTS * len(now)


def _csv(glossary: Sequence[GlossaryEntry]) -> bytes:
    """Return a glossary in the form that --glossary takes, for the next document of a series."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("source", "target", "note"))
    settled = (each for each in glossary if each.rendering)
    writer.writerows((each.term, each.rendering, each.note) for each in settled)
    return text.getvalue().encode("utf-8-sig")  # else Excel takes it for GBK
