"""Finished transcripts: Markdown and a page with a time for each paragraph, and subtitles.

Owns what a transcript shows, and what is said of passages that are doubtful. Does not know how
speech is recognised or subtitles are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tasks.generate.chapter_cuts import start_of
from tasks.generate.chapters import own_chapters
from tasks.land.documents import land_files
from tasks.land.labels import Labels, labels
from tasks.land.rendering import render
from tasks.land.translation_view import between, direction
from tasks.land.view import PageLink, incomplete_warnings, source_facts, source_link, time_link
from tasks.records import Chapter, Cue, Document, Segment, Source


@dataclass(frozen=True)
class Said:
    """A sentence.

    Attributes:
        doubt: why it may not be what was said; "" where nothing is to be said of it.
    """

    text: str
    doubt: str


@dataclass(frozen=True)
class Paragraph:
    """What is said without a pause.

    Attributes:
        speaker: where another one begins.
    """

    anchor: str
    place: PageLink
    speaker: str
    pieces: tuple[Said, ...]


@dataclass(frozen=True)
class ChapterView:
    """A chapter; what is said before the first one has no heading."""

    anchor: str
    heading: str
    place: PageLink
    paragraphs: tuple[Paragraph, ...]


@dataclass(frozen=True)
class TranscriptView:
    """Everything that the templates show, in the order in which they show it."""

    title: str
    language: str
    direction: str
    between: str
    labels: Labels
    note: str
    source: PageLink
    warnings: tuple[str, ...]
    chapters: tuple[ChapterView, ...]
    facts: tuple[tuple[str, str], ...]


def land_transcript(
    results: Path,
    source: Source,
    document: Document,
    segments: Sequence[Segment],
    cues: Sequence[Cue],
    *,
    note: str = "",
) -> Document:
    """Write a transcript's files and its row; return the document with the files' paths.

    Args:
        cues: what its subtitles show; none: there are none.
        note: shown at the top.

    Raises:
        StorageError: they can't be written.
    """
    view = transcript_view(source, document, segments, note)
    styles = ("summary.css", "transcript.css")
    names = ("transcript.md", "transcript.html")
    files = {name: render(f"{name}.jinja", *styles, view=view) for name in names}
    return land_files(results, document, files | _subtitles(cues))


def _subtitles(cues: Sequence[Cue]) -> dict[str, bytes]:
    if not cues:
        return {}
    from tasks.land.subtitles import write_srt, write_vtt

    return {"transcript.srt": write_srt(cues), "transcript.vtt": write_vtt(cues)}


def transcript_view(
    source: Source,
    document: Document,
    segments: Sequence[Segment],
    note: str,
) -> TranscriptView:
    words = labels(document.language)
    known = own_chapters(source, segments)
    return TranscriptView(
        title=document.title,
        language=document.language,
        direction=direction(document.language),
        between=between(document.language),
        labels=words,
        note=note,
        source=source_link(source),
        warnings=tuple(_warnings(source, document, words)),
        chapters=tuple(_chapters(source, segments, known, words)),
        facts=(
            *source_facts(source, words),
            (words.language, words.languages.get(document.language, document.language)),
        ),
    )


def _warnings(source: Source, document: Document, words: Labels) -> Iterator[str]:
    yield from incomplete_warnings(source, words)
    if document.failed_pages:
        yield words.doubtful_times.format(words.join(document.failed_pages))


def _chapters(
    source: Source, segments: Sequence[Segment], chapters: Sequence[Chapter], words: Labels
) -> Iterator[ChapterView]:
    """Yield the chapters with their paragraphs; the last speaker goes on into the next one."""
    begin = {chapter.n: chapter for chapter in chapters}
    parts: list[tuple[str, float, list[Segment]]] = []
    for segment in segments:
        chapter = begin.get(segment.n)
        if chapter:
            parts.append((chapter.title, chapter.start_s, []))
        elif not parts:
            parts.append(("", start_of(segment), []))
        parts[-1][2].append(segment)
    speaker = ""
    for i, (title, start_s, said) in enumerate(parts, start=1):
        shown = tuple(_paragraphs(source, said, speaker, words))
        speaker = said[-1].speaker
        yield ChapterView(f"chapter-{i}", title, time_link(source.uri, start_s), shown)


def _paragraphs(
    source: Source, segments: Sequence[Segment], speaker: str, words: Labels
) -> Iterator[Paragraph]:
    for _, group in groupby(segments, key=lambda each: each.paragraph):
        said = list(group)
        first = said[0]
        is_other = first.speaker != speaker
        speaker = first.speaker
        yield Paragraph(
            anchor=f"segment-{first.n}",
            place=time_link(source.uri, start_of(first)),
            speaker=speaker if is_other else "",
            pieces=tuple(Said(each.text, words.heard(each.marks)) for each in said),
        )
