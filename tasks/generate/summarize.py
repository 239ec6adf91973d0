"""The plan of a document's summary: which calls it takes, and what their answers make.

Owns the order of things: notes on every chunk, then merges until one note is left, of the whole
or of each section. A pure function of what is done, so resuming is no special path. Does not know
where answers are kept, nor who gives them, nor what a chapter is: parts are given to it.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, groupby

from tasks.chunk import chunk_segments
from tasks.chunk.text import line_text
from tasks.generate.budget import Budget, model_identity
from tasks.generate.citations import Note, citations, note
from tasks.generate.flaws import Flaw, flaws, places
from tasks.generate.foresight import Foreseen
from tasks.generate.lines import read_answer
from tasks.generate.merging import Merge, Merger, Notes
from tasks.generate.prompts import PromptLibrary
from tasks.generate.requests import RequestMaker
from tasks.generate.summary_requests import SummaryRequests
from tasks.generate.support import unsupported
from tasks.models.spec import ModelSpec
from tasks.naming import title_of
from tasks.records import (
    Bullet,
    Chunk,
    Coverage,
    Document,
    Generation,
    Request,
    Segment,
    Source,
    SummaryLength,
    SummarySection,
)
from tasks.settings import Settings

Done = Mapping[str, Generation]

_BULLETS: Mapping[SummaryLength, int] = {"short": 5, "medium": 10, "long": 20, "outline": 5}
_LINES_A_BULLET = 2  # of a part, at least
_BULLETS_A_PART: Mapping[SummaryLength, int] = {"short": 2, "medium": 4, "long": 8, "outline": 2}


@dataclass(frozen=True)
class SummaryOptions:
    """What the user wants: a language code, or "auto" for the document's own; and a length."""

    language: str = "auto"
    length: SummaryLength = "medium"

    def language_for(self, source: Source) -> str:
        """Return the code of a summary's language."""
        return source.language if self.language == "auto" else self.language


@dataclass(frozen=True)
class Part:
    """A part that becomes one section of the summary; it lasts until the next one begins.

    Attributes:
        heading: of the section; the model is told those alone that the segments stand under.
        first_n: its first segment.
        start_s: of what is played.
    """

    heading: str
    first_n: int
    start_s: float | None = None


@dataclass(frozen=True)
class _Section:
    """The part of the document that becomes one section of the summary."""

    part: Part
    requests: tuple[Request, ...]
    merger: Merger
    levels: dict[int, tuple[list[Notes], list[Merge]]] = field(default_factory=dict)

    def merges(self, level: int, notes: list[Notes]) -> list[Merge]:
        """Return the merges of a level; planned once, as long as its notes stay the same."""
        known = self.levels.get(level)
        if known is None or known[0] != notes:
            known = self.levels[level] = (notes, self.merger.plan(level, notes))
        return known[1]


class SummaryPlan:
    """The calls that a summary takes, as far as the answers so far let it be known.

    Args:
        parts: its sections, the first of which begins with the first segment; none: it is one, or
            for an outline as many as the document's headings make.

    Attributes:
        chunks: what the notes are taken on, in order.
        language: the summary's; "und" where the document's own is unknown.

    Raises:
        PromptError: the budget is too small for this document's prompts.
    """

    def __init__(
        self,
        source: Source,
        segments: Sequence[Segment],
        spec: ModelSpec,
        prompts: PromptLibrary,
        options: SummaryOptions,
        settings: Settings,
        parts: Sequence[Part] = (),
    ) -> None:
        self._source, self._options, self._model = source, options, spec.name
        self._segments = {segment.n: segment for segment in segments}
        self.language = options.language_for(source)
        self._title = title_of(source.title, source.uri)
        self.document_id = summary_id(source, spec, prompts, options, settings)
        self._given, self._last = parts, (_BULLETS_A_PART if parts else _BULLETS)[options.length]
        budget = Budget.of(spec, settings)
        maker = SummaryRequests(request_maker(source, spec, prompts, options, settings))
        packed = [self._packed(each, maker, budget) for each in self._split(_summarised(segments))]
        numbered = enumerate(chain.from_iterable(packed))
        self.chunks = [replace(chunk, index=index) for index, chunk in numbered]
        self._sections = [
            self._section(part, chunks, maker, budget) for part, chunks in self._parts()
        ]
        self._answers: dict[tuple[str, int], tuple[str, Notes]] = {}

    def requests(self, done: Done) -> list[Request]:
        """Return what can be asked now and is not done; nothing: the summary is complete.

        Args:
            done: the row that counts for each key that needs no further call.
        """
        missing = (self._missing(section, done) for section in self._sections)
        # Passages that repeat word for word make the same request: it is asked once.
        return list({each.key: each for each in chain.from_iterable(missing)}.values())

    def foreseen(self, done: Done) -> Foreseen:
        """Return about what follows the requests that can be made now: merges of their answers."""
        return sum((self._foreseen(each, done) for each in self._sections), Foreseen())

    def flaws(self, done: Done) -> list[Flaw]:
        """Return what the finished summary suffers from."""
        levels = chain.from_iterable(self._levels(each, done) for each in self._sections)
        return flaws(chain.from_iterable(levels), done, self._segments)

    def document(self, done: Done) -> Document:
        """Return the finished summary; call it when requests(done) returns nothing."""
        failed = [n for n, state in self._states(done).items() if state == "failed"]
        return Document(
            document_id=self.document_id,
            source_id=self._source.source_id,
            kind="summary",
            language=self.language,
            length=self._options.length,
            model=self._model,
            title=self._title,
            sections=tuple(self._written(section, done) for section in self._sections),
            coverage=self._coverage(done),
            failed_pages=places([self._segments[n] for n in sorted(failed)]),
        )

    def _split(self, segments: Sequence[Segment]) -> list[list[Segment]]:
        """Return the segments of each part that is given; else all of them."""
        firsts = [part.first_n for part in self._given[1:]]
        groups = groupby(segments, key=lambda each: bisect_right(firsts, each.n))
        return [list(group) for _, group in groups]

    def _packed(
        self, segments: Sequence[Segment], maker: SummaryRequests, budget: Budget
    ) -> list[Chunk]:
        return chunk_segments(
            replace(self._source, title=self._title),
            segments,
            maker.chunk_tokens,
            max_prompt_tokens=budget.max_prompt_tokens,
            max_lines=budget.max_lines,
            line_tokens=maker.tokens,
            max_line_tokens=budget.max_line_tokens,
        )

    def _parts(self) -> list[tuple[Part, list[Chunk]]]:
        """Return the chunks of each section of the summary.

        For an outline without given parts these are the document's sections, of the shallowest
        level that has two or more of them.
        """
        if self._given:
            firsts = [part.first_n for part in self._given[1:]]
            groups = groupby(self.chunks, key=lambda each: bisect_right(firsts, each.first_n))
            return [(self._given[i], list(group)) for i, group in groups]
        paths = [self._segments[chunk.first_n].heading_path for chunk in self.chunks]
        depth = max(map(len, paths), default=0) if self._options.length == "outline" else 0
        for level in range(1, depth + 1):
            tops = groupby(zip(paths, self.chunks, strict=True), key=lambda each: each[0][:level])
            parts = [(top[-1] if top else "", [c for _, c in group]) for top, group in tops]
            if len(parts) >= 2:
                return [(Part(heading, chunks[0].first_n), chunks) for heading, chunks in parts]
        return [(Part("", 1), self.chunks)]

    def _section(
        self, part: Part, chunks: list[Chunk], maker: SummaryRequests, budget: Budget
    ) -> _Section:
        last = self._last
        if self._given:  # a part may be a sentence or two
            n_lines = sum(len(chunk.lines) for chunk in chunks)
            last = min(last, -(-n_lines // _LINES_A_BULLET))
        requests = [maker.notes(chunk) for chunk in chunks]
        if len(chunks) == 1:  # the notes are the summary
            whole = maker.notes(chunks[0], last)
            if whole.prompt_tokens <= budget.max_prompt_tokens:
                requests = [whole]
        return _Section(part, tuple(requests), Merger(maker, budget, self._topic(part), last))

    def _topic(self, part: Part) -> str:
        """Return what merges are told that a section is about. Not a heading that is nowhere in
        the source: what is found in the ledger depends on no other answer."""
        if not self._given:
            return part.heading
        path = self._segments[part.first_n].heading_path
        return path[-1] if path else ""

    def _missing(self, section: _Section, done: Done) -> Iterator[Request]:
        """Yield what is missing at the first level of a section that is not complete."""
        for requests in self._levels(section, done):
            missing = [request for request in requests if request.key not in done]
            yield from missing
            if missing:
                return

    def _foreseen(self, section: _Section, done: Done) -> Foreseen:
        """Look beyond the first level that is not complete."""
        notes = self._notes_on_chunks(section, done)
        if any(request.key not in done for request in section.requests):
            return section.merger.foreseen(len(section.requests), notes, section.requests)
        for merges, before in self._merged(section, done):
            if any(merge.request.key not in done for merge in merges):
                n_left = len(merges) + len(before) - sum(merge.n_notes for merge in merges)
                return section.merger.foreseen(n_left, before, section.requests)
        return Foreseen()

    def _levels(self, section: _Section, done: Done) -> Iterator[Sequence[Request]]:
        """Yield the requests of each level; each level but the first needs the one before."""
        yield section.requests
        for merges, _ in self._merged(section, done):
            yield [merge.request for merge in merges]

    def _merged(self, section: _Section, done: Done) -> Iterator[tuple[list[Merge], list[Notes]]]:
        """Yield the merges of each level with the notes that they merge."""
        notes = self._notes_on_chunks(section, done)
        level = 0
        while len(notes) > 1:
            level += 1
            merges = section.merges(level, notes)
            yield merges, notes
            notes = self._after(merges, notes, done)

    def _notes_on_chunks(self, section: _Section, done: Done) -> list[Notes]:
        answered = (self._notes(request, done) for request in section.requests)
        return [notes for notes in answered if notes is not None]

    def _after(self, merges: list[Merge], notes: list[Notes], done: Done) -> list[Notes]:
        """Return the notes that a level leaves. Where a merge failed, those it was to merge
        go on together, so that nothing is lost."""
        left: list[Notes] = []
        start = 0
        for merge in merges:
            end = start + merge.n_notes
            merged = self._notes(merge.request, done)
            left.append(merged or tuple(chain.from_iterable(notes[start:end])))
            start = end
        return left + notes[start:]

    def _notes(self, request: Request, done: Done) -> Notes | None:
        """Return what an answer says; None where there is none to go by."""
        row = done.get(request.key)
        if row is None or row.status != "ok":
            return None
        place = (request.key, request.first_n)  # the same words may stand in two places
        known = self._answers.get(place)
        if known is None or known[0] != row.text:
            truncated = row.finish_reason == "length"
            answer = read_answer(row.text, request.lines, truncated=truncated)
            notes = tuple(note(statement, request.lines) for statement in answer.statements)
            known = self._answers[place] = (row.text, notes)
        return known[1] or None

    def _written(self, section: _Section, done: Done) -> SummarySection:
        notes = self._notes_on_chunks(section, done)
        for merges, before in self._merged(section, done):
            notes = self._after(merges, before, done)
        bullets = (self._bullet(each) for each in chain.from_iterable(notes))
        part = section.part
        return SummarySection(heading=part.heading, bullets=tuple(bullets), start_s=part.start_s)

    def _bullet(self, said: Note) -> Bullet:
        cited = citations(said.lines, self._segments)
        passages = "\n".join(self._segments[citation.n].text for citation in cited)
        missing = unsupported(said.text, passages, self.language) if cited else ()
        return Bullet(text=said.text, citations=cited, unsupported=missing)

    def _coverage(self, done: Done) -> Coverage:
        states = list(self._states(done).values())
        return Coverage(
            ok=states.count("ok"),
            repaired=states.count("repaired"),
            kept=len(self._segments) - len(states),
            failed=states.count("failed"),
        )

    def _states(self, done: Done) -> dict[int, str]:
        """Return what became of each segment that was shown; of its parts the worst counts."""
        order = ("ok", "repaired", "failed")
        states: dict[int, str] = {}
        for request in chain.from_iterable(section.requests for section in self._sections):
            row = done.get(request.key)
            state = "failed"
            if row is not None and row.status == "ok":
                state = "ok" if row.attempt == 1 else "repaired"
            for line in request.lines:
                states[line.n] = max(states.get(line.n, "ok"), state, key=order.index)
        return states


def request_maker(
    source: Source,
    spec: ModelSpec,
    prompts: PromptLibrary,
    options: SummaryOptions,
    settings: Settings,
) -> RequestMaker:
    """Return what makes the requests of a summary."""
    budget, identity = Budget.of(spec, settings), model_identity(spec, settings)
    language, title = options.language_for(source), title_of(source.title, source.uri)
    return RequestMaker(source, spec, prompts, budget, language, title, identity)


def summary_id(
    source: Source,
    spec: ModelSpec,
    prompts: PromptLibrary,
    options: SummaryOptions,
    settings: Settings,
    *more: object,
) -> str:
    """Return the hash of what is asked for and of all that makes it.

    Args:
        more: further things that make it, as JSON has them.
    """
    asked = [source.source_id, "summary", options.language_for(source), options.length]
    hashes = [prompts.hash("summarize"), prompts.hash("merge")]
    budget = asdict(Budget.of(spec, settings))
    identity = [*asked, model_identity(spec, settings), *hashes, budget, *more]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _summarised(segments: Sequence[Segment]) -> list[Segment]:
    """Return the sentences and listings; where there are none, the headings; else what there is."""
    for kinds in (("sentence", "code"), ("heading",), ("contents", "reference")):
        if found := [each for each in segments if each.kind in kinds and line_text(each.text)]:
            return found
    return []
