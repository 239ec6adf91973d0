"""The plan of a lecture's summary: its chapters first, then the summary, chapter by chapter.

Owns the order of the two, and what the chapters make of the summary's sections. What either of
them asks for is not its business (`tasks.generate.chapters`, `tasks.generate.summarize`). A pure
function of what is done, as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from tasks.generate.chapter_cuts import start_of
from tasks.generate.chapters import Chapters, own_chapters
from tasks.generate.flaws import Flaw
from tasks.generate.foresight import Foreseen
from tasks.generate.prompts import PromptLibrary
from tasks.generate.summarize import (
    Part,
    SummaryOptions,
    SummaryPlan,
    request_maker,
    summary_id,
)
from tasks.models.spec import ModelSpec
from tasks.naming import title_of
from tasks.records import Chapter, Chunk, Document, Generation, Request, Segment, Source
from tasks.settings import Settings

Done = Mapping[str, Generation]


class LecturePlan:
    """The calls that a lecture's summary takes, as far as the answers so far let it be known.

    Attributes:
        language: the summary's; "und" where the lecture's own is unknown.

    Raises:
        PromptError: the budget is too small for this lecture's prompts.
    """

    def __init__(
        self,
        source: Source,
        segments: Sequence[Segment],
        spec: ModelSpec,
        prompts: PromptLibrary,
        options: SummaryOptions,
        settings: Settings,
    ) -> None:
        self._source, self._segments, self._spec = source, segments, spec
        self._prompts, self._options, self._settings = prompts, options, settings
        self.language = options.language_for(source)
        self._own = own_chapters(source, segments)
        self._asked: Chapters | None = None
        if not self._own:
            maker = request_maker(source, spec, prompts, options, settings)
            titled = replace(source, title=title_of(source.title, source.uri))
            self._asked = Chapters(maker, titled, segments)
        self._summaries: dict[tuple[Chapter, ...], SummaryPlan] = {}
        self._summary({})  # too small a budget is told at once

    @property
    def chunks(self) -> list[Chunk]:
        """What the notes are taken on, in order; while chapters are missing, by the parts that
        would stand for them."""
        return next(reversed(self._summaries.values())).chunks

    @cached_property
    def document_id(self) -> str:
        """The hash of what is asked for and of all that makes it: known before the chapters are."""
        given = [[chapter.start_s, chapter.title] for chapter in self._own]
        by = given or self._prompts.hash("chapters")
        lecture = (self._source, self._spec, self._prompts, self._options, self._settings)
        return summary_id(*lecture, "by chapter", by)

    def requests(self, done: Done) -> list[Request]:
        """Return what can be asked now and is not done; nothing: the summary is complete."""
        missing = self._asked.missing(done) if self._asked else []
        return missing or self._summary(done).requests(done)

    def foreseen(self, done: Done) -> Foreseen:
        """Return about what follows the requests that can be made now."""
        if self._asked is None or not self._asked.missing(done):
            return self._summary(done).foreseen(done)
        likely = self._summary({})
        notes = likely.requests({})
        tokens = sum(request.prompt_tokens for request in notes)
        return Foreseen(len(notes), tokens) + likely.foreseen({})

    def flaws(self, done: Done) -> list[Flaw]:
        """Return what the finished summary suffers from; parts by time are told by their titles."""
        return self._summary(done).flaws(done)

    def chapters(self, done: Done) -> tuple[Chapter, ...]:
        """Return the chapters, once they are settled; none where the lecture is one piece."""
        return self._asked.chapters(done) if self._asked else self._own

    def document(self, done: Done) -> Document:
        """Return the finished summary; call it when requests(done) returns nothing."""
        return replace(self._summary(done).document(done), document_id=self.document_id)

    def _summary(self, done: Done) -> SummaryPlan:
        """Return the plan of the summary by the chapters that there are so far."""
        chapters = self.chapters(done)
        if chapters not in self._summaries:
            self._summaries[chapters] = SummaryPlan(
                self._source,
                self._segments,
                self._spec,
                self._prompts,
                self._options,
                self._settings,
                self._parts(chapters),
            )
        return self._summaries[chapters]

    def _parts(self, chapters: Sequence[Chapter]) -> list[Part]:
        """Return the sections; what is said before the first chapter has no heading."""
        parts = [Part(each.title, each.n or 1, each.start_s) for each in chapters]
        if parts and parts[0].first_n > self._segments[0].n:
            parts.insert(0, Part("", self._segments[0].n, start_of(self._segments[0])))
        return parts
