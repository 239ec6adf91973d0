"""What a summary's page shows: a document, its source and its segments, put into words.

Owns the links to pages, the passages behind each bullet, and the warnings. Does not know
Markdown or HTML: the templates do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.land.labels import Labels, labels
from tasks.naming import file_name, link, model_name, ranges
from tasks.records import Bullet, Citation, Document, Segment, Source


@dataclass(frozen=True)
class PageLink:
    """A link to a page, or, where a document has none, to the whole of it.

    Attributes:
        hint: where that is, in the document's own words; "" for a page.
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
    anchor: str
    heading: str
    bullets: tuple[BulletView, ...]


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
    address = link(source.uri)
    cited = {segment.n: segment for segment in segments}
    return SummaryView(
        title=document.title,
        language=document.language,
        source_language=source.language,
        labels=words,
        note=note,
        source=PageLink(file_name(source.uri), address),
        warnings=tuple(_warnings(source, document, words)),
        sections=tuple(
            SectionView(
                anchor=f"section-{i}",
                heading=section.heading,
                bullets=tuple(_bullet(bullet, address, cited, words) for bullet in section.bullets),
            )
            for i, section in enumerate(document.sections, 1)
        ),
        facts=(
            *([(words.pages, str(source.n_pages))] if source.n_pages else []),
            (words.language, words.languages.get(document.language, document.language)),
            (words.length, words.lengths.get(document.length, "")),
            (words.model, model_name(document.model)),
            (words.coverage, words.coverage_text(document.coverage, source.n_segments)),
        ),
    )


def _bullet(
    bullet: Bullet, address: str, segments: Mapping[int, Segment], words: Labels
) -> BulletView:
    warnings = []
    if bullet.unsupported:
        warnings.append(words.unsupported.format(words.join(bullet.unsupported)))
    if not bullet.citations:
        warnings.append(words.no_citation)
    places = {
        citation.n: _place(citation, address, segments.get(citation.n), words)
        for citation in bullet.citations
    }
    return BulletView(
        text=bullet.text,
        pages=tuple(dict.fromkeys(places.values())),
        passages=tuple(
            Passage(places[citation.n], segments[citation.n].text)
            for citation in bullet.citations
            if citation.n in segments
        ),
        warnings=tuple(warnings),
    )


def _place(citation: Citation, address: str, segment: Segment | None, words: Labels) -> PageLink:
    """Return where a citation leads: to its page, else to its paragraph's document."""
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
        found.append(failed.format(words.join(document.failed_pages)))
    if not any(section.bullets for section in document.sections):
        found.append(words.empty)
    return found
