"""What is made of a source: a summary, a translation or a transcript, and what tells them apart.

Owns how each is planned and landed, and how a run speaks of it. Knows nothing of Prefect, threads
or the ledger.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

from flows.rounds import Plan
from flows.words import WORDS, Words
from tasks.errors import SourceError
from tasks.extract import Extracted
from tasks.generate.budget import model_identity
from tasks.generate.flaws import Flaw, places
from tasks.generate.foresight import Foreseen
from tasks.generate.glossary import made_by
from tasks.generate.lectures import LecturePlan
from tasks.generate.prompts import PromptLibrary
from tasks.generate.summarize import SummaryOptions, SummaryPlan
from tasks.generate.translate import TranslationOptions, TranslationPlan
from tasks.land import land_summary, land_transcript, land_translation
from tasks.land.translations import FORMATS, Format, Output, settled_terms
from tasks.models.spec import ModelSpec
from tasks.records import Coverage, Document, Generation, Request, Segment, Source, Term
from tasks.settings import Settings


class Making(Protocol):
    """One of the three.

    Attributes:
        prompts: the names of those that it is made with.
        needs_model: whether the language model is asked.
        language: of the documents, as a code, or "auto".
        hotwords: what speech recognition is told to expect.
    """

    words: ClassVar[Words]
    prompts: ClassVar[tuple[str, ...]]
    needs_model: ClassVar[bool]

    @property
    def language(self) -> str: ...
    @property
    def hotwords(self) -> str: ...

    def plan(
        self,
        extracted: Extracted,
        spec: ModelSpec | None,
        prompts: PromptLibrary,
        settings: Settings,
    ) -> Plan: ...

    def land(
        self,
        results: Path,
        extracted: Extracted,
        document: Document,
        plan: Plan,
        done: Mapping[str, Generation],
        note: str,
    ) -> Document:
        """Write a finished document beside the tables."""
        ...


@dataclass(frozen=True)
class Summaries:
    """Cited summaries."""

    words: ClassVar[Words] = WORDS["summary"]
    prompts: ClassVar[tuple[str, ...]] = ("summarize", "merge", "chapters")
    needs_model: ClassVar[bool] = True
    hotwords: ClassVar[str] = ""
    options: SummaryOptions

    @property
    def language(self) -> str:
        return self.options.language

    def plan(
        self,
        extracted: Extracted,
        spec: ModelSpec | None,
        prompts: PromptLibrary,
        settings: Settings,
    ) -> SummaryPlan | LecturePlan:
        assert spec is not None
        source, segments = extracted.source, extracted.segments
        kind = LecturePlan if source.transcription else SummaryPlan
        return kind(source, segments, spec, prompts, self.options, settings)

    def land(
        self,
        results: Path,
        extracted: Extracted,
        document: Document,
        plan: Plan,
        done: Mapping[str, Generation],
        note: str,
    ) -> Document:
        return land_summary(results, extracted.source, document, extracted.segments, note=note)


@dataclass(frozen=True)
class Translations:
    """Translations, line by line.

    Attributes:
        output: what the files show: both languages side by side, or the translation alone.
        formats: of the files.
        beside: put the files beside their source as well.
        again: find a glossary anew, whatever an earlier translation has settled.
    """

    words: ClassVar[Words] = WORDS["translation"]
    prompts: ClassVar[tuple[str, ...]] = ("translate", "glossary")
    needs_model: ClassVar[bool] = True
    options: TranslationOptions
    output: Output = "bilingual"
    beside: bool = False
    again: bool = False
    formats: tuple[Format, ...] = FORMATS

    @property
    def language(self) -> str:
        return self.options.to

    @property
    def hotwords(self) -> str:
        return ", ".join(term.source for term in self.options.glossary)

    def plan(
        self,
        extracted: Extracted,
        spec: ModelSpec | None,
        prompts: PromptLibrary,
        settings: Settings,
    ) -> TranslationPlan:
        assert spec is not None
        given = self.options.given
        source = replace(extracted.source, language=given or extracted.source.language)
        segments, results = extracted.segments, settings.results
        by = made_by(model_identity(spec, settings), prompts)

        def settled(document_id: str) -> list[Term]:
            if self.again:
                return []
            return settled_terms(results, source, segments, self.options.to, by, document_id)

        return TranslationPlan(source, segments, spec, prompts, self.options, settings, settled)

    def land(
        self,
        results: Path,
        extracted: Extracted,
        document: Document,
        plan: Plan,
        done: Mapping[str, Generation],
        note: str,
    ) -> Document:
        assert isinstance(plan, TranslationPlan)
        source = extracted.source
        return land_translation(
            results,
            replace(source, language=self.options.given or source.language),
            document,
            extracted.segments,
            plan.lines(done),
            plan.glossary(done),
            self.output,
            cues=extracted.cues,
            words=extracted.words,
            formats=self.formats,
            beside=self.beside,
            note=note,
        )


@dataclass(frozen=True)
class Transcripts:
    """What was said, as it was said: the model is not asked."""

    words: ClassVar[Words] = WORDS["transcript"]
    prompts: ClassVar[tuple[str, ...]] = ()
    needs_model: ClassVar[bool] = False
    language: ClassVar[str] = "auto"
    hotwords: ClassVar[str] = ""

    def plan(
        self,
        extracted: Extracted,
        spec: ModelSpec | None,
        prompts: PromptLibrary,
        settings: Settings,
    ) -> TranscriptPlan:
        return TranscriptPlan(extracted.source, extracted.segments)

    def land(
        self,
        results: Path,
        extracted: Extracted,
        document: Document,
        plan: Plan,
        done: Mapping[str, Generation],
        note: str,
    ) -> Document:
        return land_transcript(
            results, extracted.source, document, extracted.segments, extracted.cues
        )


class TranscriptPlan:
    """Nothing to ask.

    Raises:
        SourceError: it is a document: nobody speaks in it.
    """

    def __init__(self, source: Source, segments: Sequence[Segment]) -> None:
        if not source.transcription:
            remedy = "Give it to lectern summarize or translate"
            raise SourceError(source.uri, "is a document: nobody speaks in it", remedy)
        self._source, self._segments = source, segments
        identity = [source.source_id, "transcript"]
        self.document_id = hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def requests(self, done: Mapping[str, Generation]) -> list[Request]:
        return []

    def foreseen(self, done: Mapping[str, Generation]) -> Foreseen:
        return Foreseen()

    def flaws(self, done: Mapping[str, Generation]) -> list[Flaw]:
        return []

    def document(self, done: Mapping[str, Generation]) -> Document:
        source = self._source
        doubtful = [each for each in self._segments if each.marks]
        return Document(
            document_id=self.document_id,
            source_id=source.source_id,
            kind="transcript",
            language=source.language,
            length="",
            model=source.speech_model,
            title=source.title,
            sections=(),
            coverage=Coverage(ok=len(self._segments)),
            failed_pages=places(doubtful),
        )
