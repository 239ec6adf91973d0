"""What a translation's page shows: source and translation side by side, put into words.

Owns how the two stand beside each other, and what is said of each doubt. Does not know Markdown or
HTML: the templates do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from tasks.generate.chapters import own_chapters
from tasks.generate.flaws import places
from tasks.generate.languages import is_right_to_left, is_spaceless
from tasks.land.labels import Labels, labels
from tasks.land.view import PageLink, incomplete_warnings, source_facts, source_link, time_link
from tasks.naming import link, model_name
from tasks.records import Document, Segment, Source, TranslatedLine

Output = Literal["bilingual", "target"]

CHAPTER, _DEEPEST = 2, 6  # headings in HTML and Markdown


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
        page: where a page of the source begins, the link to it; of what is played each paragraph's
            time.
        anchor: its name; "" where none begins.
        chapter: of what is played, the title of the one that begins with it, as its maker wrote it.
        speaker: where another one begins.
    """

    level: int
    code: str
    pieces: tuple[Piece, ...]
    page: PageLink | None
    anchor: str
    chapter: str = ""
    speaker: str = ""


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


def translation_view(
    source: Source,
    document: Document,
    segments: Sequence[Segment],
    lines: Sequence[TranslatedLine],
    output: Output,
    note: str,
) -> TranslationView:
    words = labels(document.language)
    coverage = words.accounted(document.coverage, source.n_segments)
    return TranslationView(
        title=document.title,
        language=document.language,
        source_language=source.language,
        direction=direction(document.language),
        source_direction=direction(source.language),
        between=between(document.language),
        source_between=between(source.language),
        bilingual=output == "bilingual",
        labels=words,
        note=note,
        source=source_link(source),
        warnings=tuple(_warnings(source, document, segments, words)),
        blocks=tuple(_blocks(source, segments, {line.n: line for line in lines}, words)),
        coverage=coverage,
        facts=(
            *source_facts(source, words),
            (words.language, words.languages.get(document.language, document.language)),
            (words.model, model_name(document.model)),
            (words.coverage, coverage),
        ),
    )


def _warnings(
    source: Source, document: Document, segments: Sequence[Segment], words: Labels
) -> Iterator[str]:
    yield from incomplete_warnings(source, words)
    if document.failed_pages:
        marked = words.marked_pages if source.n_pages else words.marked_paragraphs
        marked = words.marked_times if source.transcription else marked
        yield marked.format(words.join(document.failed_pages))
    if unsure := places([segment for segment in segments if segment.marks]):
        yield words.doubtful_times.format(words.join(unsure))


def _blocks(
    source: Source,
    segments: Sequence[Segment],
    lines: Mapping[int, TranslatedLine],
    words: Labels,
) -> Iterator[Block]:
    last_page: int | None = None
    chapters = {each.n: each.title for each in own_chapters(source, segments)}
    speaker = ""
    for _, group in groupby(segments, key=lambda each: each.paragraph):
        paragraph = list(group)
        first = paragraph[0]
        is_heading = first.kind == "heading"
        level = min(_DEEPEST, 1 + max(1, len(first.heading_path))) if is_heading else 0
        page, anchor = None, ""
        if first.page is not None and first.page != last_page:
            last_page = first.page
            text = words.page.format(first.page_label)
            href = f"{link(source.uri)}#page={first.page}"
            page, anchor = PageLink(text, href), f"page-{first.page}"
        if first.start_s is not None:
            page, anchor = time_link(source.uri, first.start_s), f"segment-{first.n}"
        pieces = tuple(
            Piece(each.text, lines[each.n].text, _doubt(lines[each.n], each.marks, words))
            for each in paragraph
        )
        code = "\n".join(each.text for each in paragraph) if first.kind == "code" else ""
        is_other = first.speaker != speaker
        speaker = first.speaker
        shown = speaker if is_other else ""
        yield Block(level, code, pieces, page, anchor, chapters.get(first.n, ""), shown)


def _doubt(line: TranslatedLine, marks: Sequence[str], words: Labels) -> str:
    """Return what a reader is told of a line: nothing of those kept by rule.

    Args:
        marks: the segment's; what is not sure to be said is not sure however it is translated.
    """
    said = [words.heard(marks)] if marks else []
    if line.is_doubtful:
        form = words.doubtful if line.status == "failed" else words.untranslated
        said.insert(0, form.format(_reasons(line, words)))
    return words.semicolon.join(said)


def _reasons(line: TranslatedLine, words: Labels) -> str:
    return words.join([words.checks.get(name, name) for name in line.reason.split(", ")])


def direction(language: str) -> str:
    """Return how HTML names the direction that a language is written in."""
    return "rtl" if is_right_to_left(language) else "ltr"


def between(language: str) -> str:
    """Return what stands between sentences."""
    return "" if is_spaceless(language) else " "
