"""Finished translations: Markdown, a page, a book where pandoc is there, and the table `lines`.

Owns how source and translation stand beside each other, and what is said of each doubt. Does not
know how a translation is made.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Literal

import polars as pl

from tasks.generate.languages import is_right_to_left, is_spaceless
from tasks.land.beside import put_beside
from tasks.land.books import epub_of
from tasks.land.documents import land_files
from tasks.land.labels import Labels, labels
from tasks.land.rendering import css_of, render
from tasks.land.tables import collect, read_files, to_frame, to_records, write_table
from tasks.land.view import PageLink, incomplete_warnings
from tasks.naming import file_name, link, model_name
from tasks.records import Document, GlossaryEntry, Segment, Source, Term, TranslatedLine

Output = Literal["bilingual", "target"]
_MOST_SEGMENTS = 0.5
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_DEEPEST = 6  # heading in HTML and Markdown


@dataclass(frozen=True)
class Piece:
    """A segment and its translation.

    Attributes:
        doubt: what is to be said of it; "" where nothing is.
    """

    source: str
    target: str
    doubt: str


@dataclass(frozen=True)
class Block:
    """A heading, a paragraph or a listing.

    Attributes:
        level: of a heading, from 2; 0: a paragraph.
        code: of a listing, whose lines stay as they are; else "".
        page: where a page of the source begins, the link to it.
        anchor: its name; "" where none begins.
    """

    level: int
    code: str
    pieces: tuple[Piece, ...]
    page: PageLink | None
    anchor: str


@dataclass(frozen=True)
class TranslationView:
    """Everything that the templates show, in the order in which they show it."""

    title: str
    language: str
    source_language: str
    direction: str
    source_direction: str
    between: str
    source_between: str
    bilingual: bool
    labels: Labels
    note: str
    source: PageLink
    warnings: tuple[str, ...]
    blocks: tuple[Block, ...]
    coverage: str
    facts: tuple[tuple[str, str], ...]


def land_translation(
    results: Path,
    source: Source,
    document: Document,
    segments: Sequence[Segment],
    lines: Sequence[TranslatedLine],
    glossary: Sequence[GlossaryEntry],
    output: Output,
    *,
    beside: bool = False,
    note: str = "",
) -> Document:
    """Write a translation's files and its rows; return the document with the files' paths.

    Args:
        lines: one a segment, in their order.
        beside: write what is to be read beside the source as well, as name.language.html.
        note: shown at the top; what a reader has to know of the model.

    Raises:
        StorageError: they can't be written.
    """
    view = translation_view(source, document, segments, lines, output, note)
    to_read = _to_read(view, document.document_id)
    terms = {"glossary.csv": _csv(glossary)} if any(each.rendering for each in glossary) else {}
    glossary = [replace(entry, settled_at=document.created_at) for entry in glossary]
    # These first: a document in the table has its lines and its glossary in theirs.
    for table, rows in (("lines", lines), ("glossary", glossary)):
        write_table(
            results / table / f"{document.document_id}.parquet", table, to_frame(table, rows)
        )
    landed = land_files(results, document, to_read | terms)
    return put_beside(results, source, landed, to_read) if beside else landed


def _to_read(view: TranslationView, document_id: str) -> dict[str, bytes]:
    """Return the files for readers, by their names."""
    styles = ("summary.css", "translation.css")
    names = ("translation.md", "translation.html")
    files = {name: render(f"{name}.jinja", *styles, view=view) for name in names}
    book = epub_of(
        render("translation.epub.html.jinja", view=view),
        document_id,
        css_of("translation.epub.css"),
        split_level=_split_level(view.blocks),
        right_to_left=view.direction == "rtl",
    )
    return files | ({"translation.epub": book} if book else {})


def _split_level(blocks: Sequence[Block]) -> int:
    """Return the level of chapters: the highest that there are several headings of."""
    levels = Counter(block.level for block in blocks if block.level)
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


def translation_view(
    source: Source,
    document: Document,
    segments: Sequence[Segment],
    lines: Sequence[TranslatedLine],
    output: Output,
    note: str,
) -> TranslationView:
    words = labels(document.language)
    address = link(source.uri)
    coverage = words.accounted(document.coverage, source.n_segments)
    return TranslationView(
        title=document.title,
        language=document.language,
        source_language=source.language,
        direction=_direction(document.language),
        source_direction=_direction(source.language),
        between=_between(document.language),
        source_between=_between(source.language),
        bilingual=output == "bilingual",
        labels=words,
        note=note,
        source=PageLink(file_name(source.uri), address),
        warnings=tuple(_warnings(source, document, words)),
        blocks=tuple(_blocks(segments, {line.n: line for line in lines}, address, words)),
        coverage=coverage,
        facts=(
            *([(words.pages, str(source.n_pages))] if source.n_pages else []),
            (words.language, words.languages.get(document.language, document.language)),
            (words.model, model_name(document.model)),
            (words.coverage, coverage),
        ),
    )


def _warnings(source: Source, document: Document, words: Labels) -> Iterator[str]:
    yield from incomplete_warnings(source, words)
    if document.failed_pages:
        marked = words.marked_pages if source.n_pages else words.marked_paragraphs
        yield marked.format(words.join(document.failed_pages))


def _blocks(
    segments: Sequence[Segment], lines: Mapping[int, TranslatedLine], address: str, words: Labels
) -> Iterator[Block]:
    last_page: int | None = None
    for _, group in groupby(segments, key=lambda each: each.paragraph):
        paragraph = list(group)
        first = paragraph[0]
        is_heading = first.kind == "heading"
        level = min(_DEEPEST, 1 + max(1, len(first.heading_path))) if is_heading else 0
        page, anchor = None, ""
        if first.page is not None and first.page != last_page:
            last_page = first.page
            text = words.page.format(first.page_label)
            page, anchor = PageLink(text, f"{address}#page={first.page}"), f"page-{first.page}"
        pieces = tuple(
            Piece(each.text, lines[each.n].text, _doubt(lines[each.n], words)) for each in paragraph
        )
        code = "\n".join(each.text for each in paragraph) if first.kind == "code" else ""
        yield Block(level, code, pieces, page, anchor)


def _doubt(line: TranslatedLine, words: Labels) -> str:
    """Return what a reader is told of a line: nothing of those kept by rule."""
    if not line.is_doubtful:
        return ""
    form = words.doubtful if line.status == "failed" else words.untranslated
    return form.format(_reasons(line, words))


def _reasons(line: TranslatedLine, words: Labels) -> str:
    return words.join([words.checks.get(name, name) for name in line.reason.split(", ")])


def _direction(language: str) -> str:
    return "rtl" if is_right_to_left(language) else "ltr"


def _between(language: str) -> str:
    """Return what stands between sentences."""
    return "" if is_spaceless(language) else " "
