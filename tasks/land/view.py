"""What a summary's page shows: a document, its source and its segments, put into words.

Owns the links to pages and times, the passages behind each bullet, and the warnings. Does not know
Markdown or HTML: the templates do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from tasks.errors import one_line
from tasks.land.labels import Labels, labels
from tasks.naming import clock, file_name, is_span, is_url, link, link_at, model_name, ranges
from tasks.records import Bullet, Citation, Document, Segment, Source, SummarySection


@dataclass(frozen=True)
class PageLink:
    """A link to a page or a time, or, where a document has none, to the whole of it.

    Attributes:
        hint: where that is, in the document's own words; "" for a page or a time.
    """

    text: str
    href: str
    hint: str = ""


@dataclass(frozen=True)
class Passage:
    """A cited segment, word for word."""

    page: PageLink
    text: str


@dataclass(frozen=True)
class BulletView:
    text: str
    pages: tuple[PageLink, ...]
    passages: tuple[Passage, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class SectionView:
    """A section of a summary; of what is played its time leads to it."""

    anchor: str
    heading: str
    place: PageLink | None
    bullets: tuple[BulletView, ...]

    @property
    def is_by_time(self) -> bool:
        return is_span(self.heading)


@dataclass(frozen=True)
class SummaryView:
    """Everything that the templates show, in the order in which they show it."""

    title: str
    language: str
    source_language: str
    labels: Labels
    note: str
    source: PageLink
    warnings: tuple[str, ...]
    sections: tuple[SectionView, ...]
    facts: tuple[tuple[str, str], ...]


def summary_view(
    source: Source, document: Document, segments: Sequence[Segment], note: str
) -> SummaryView:
    words = labels(document.language)
    cited = {segment.n: segment for segment in segments}
    return SummaryView(
        title=document.title,
        language=document.language,
        source_language=source.language,
        labels=words,
        note=note,
        source=source_link(source),
        warnings=tuple(_warnings(source, document, words)),
        sections=tuple(
            _section(f"section-{i}", section, source.uri, cited, words)
            for i, section in enumerate(document.sections, 1)
        ),
        facts=(
            *source_facts(source, words),
            (words.language, words.languages.get(document.language, document.language)),
            (words.length, words.lengths.get(document.length, "")),
            (words.model, model_name(document.model)),
            (words.coverage, words.coverage_text(document.coverage, source.n_segments)),
        ),
    )


def source_link(source: Source) -> PageLink:
    """Return the link to a source: by its file's name, or, as every video of a site may be called
    "watch", by its address."""
    name = file_name(source.uri)
    if source.transcription and is_url(source.uri) and not PurePath(name).suffix:
        name = one_line(link(source.uri).partition("://")[2])
    return PageLink(name, link(source.uri))


def source_facts(source: Source, words: Labels) -> Iterator[tuple[str, str]]:
    """Yield how long a source is, and where the words of what is played are from."""
    if source.n_pages:
        yield words.pages, str(source.n_pages)
    if source.duration_s is not None:
        yield words.duration, clock(source.duration_s)
    if source.transcription == "speech":
        yield words.transcription, words.speech.format(model_name(source.speech_model))
    elif source.transcription:
        yield words.transcription, words.captions


def time_link(uri: str, start_s: float) -> PageLink:
    """Return the link that lets a source play from a time on."""
    return PageLink(clock(start_s), link_at(uri, start_s))


def _section(
    anchor: str, section: SummarySection, uri: str, cited: Mapping[int, Segment], words: Labels
) -> SectionView:
    return SectionView(
        anchor=anchor,
        heading=section.heading,
        place=None if section.start_s is None else time_link(uri, section.start_s),
        bullets=tuple(_bullet(bullet, uri, cited, words) for bullet in section.bullets),
    )


def _bullet(bullet: Bullet, uri: str, segments: Mapping[int, Segment], words: Labels) -> BulletView:
    warnings = []
    if bullet.unsupported:
        warnings.append(words.unsupported.format(words.join(bullet.unsupported)))
    if not bullet.citations:
        warnings.append(words.no_citation)
    cited = [segments[each.n] for each in bullet.citations if each.n in segments]
    if doubt := words.heard(mark for segment in cited for mark in segment.marks):
        warnings.append(doubt)
    places = {
        citation.n: _place(citation, uri, segments.get(citation.n), words)
        for citation in bullet.citations
    }
    return BulletView(
        text=bullet.text,
        pages=tuple(dict.fromkeys(places.values())),
        passages=tuple(Passage(places[segment.n], segment.text) for segment in cited),
        warnings=tuple(warnings),
    )


def _place(citation: Citation, uri: str, segment: Segment | None, words: Labels) -> PageLink:
    """Return where a citation leads: to its page or time, else to its paragraph's document."""
    if citation.start_s is not None:
        return time_link(uri, citation.start_s)
    address = link(uri)
    if citation.page is not None:
        return PageLink(words.page.format(citation.page_label), f"{address}#page={citation.page}")
    if segment is None:
        return PageLink(words.segment.format(citation.n), address)
    path = words.path.join(segment.heading_path)
    return PageLink(words.paragraph.format(segment.paragraph), address, path)


def incomplete_warnings(source: Source, words: Labels) -> list[str]:
    """Return what is to be said of a source that was read in part only."""
    if source.pages_without_text:
        return [words.no_text.format(words.join(ranges(source.pages_without_text)))]
    if source.status != "ok" and source.error:
        return [words.incomplete.format(source.error.removeprefix(f"{source.uri}: "))]
    return []


def _warnings(source: Source, document: Document, words: Labels) -> list[str]:
    found = incomplete_warnings(source, words)
    if document.failed_pages:
        failed = words.failed_pages if source.n_pages else words.failed_paragraphs
        failed = words.failed_times if source.transcription else failed
        found.append(failed.format(words.join(document.failed_pages)))
    if any(is_span(section.heading) for section in document.sections):
        found.append(words.by_time)
    if not any(section.bullets for section in document.sections):
        found.append(words.empty)
    return found
