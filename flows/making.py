"""What is made of a document: a summary or a translation. What tells the two apart in a run.

Owns how each is planned and landed, and how a run speaks of it. Knows nothing of Prefect, threads
or the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

from flows.rounds import Plan
from flows.words import WORDS, Words
from tasks.extract import Extracted
from tasks.generate.budget import model_identity
from tasks.generate.glossary import made_by
from tasks.generate.prompts import PromptLibrary
from tasks.generate.summarize import SummaryOptions, SummaryPlan
from tasks.generate.translate import TranslationOptions, TranslationPlan
from tasks.land import land_summary, land_translation
from tasks.land.translations import Output, settled_terms
from tasks.pool.spec import ModelSpec
from tasks.records import Document, Generation, Segment, Source, Term
from tasks.settings import Settings


class Making(Protocol):
    """One of the two.

    Attributes:
        prompts: the names of those that it is made with.
        language: of the documents, as a code, or "auto".
    """

    words: ClassVar[Words]
    prompts: ClassVar[tuple[str, ...]]

    @property
    def language(self) -> str: ...

    def plan(
        self, extracted: Extracted, spec: ModelSpec, prompts: PromptLibrary, settings: Settings
    ) -> Plan: ...

    def land(
        self,
        results: Path,
        source: Source,
        document: Document,
        segments: Sequence[Segment],
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
    prompts: ClassVar[tuple[str, ...]] = ("summarize", "merge")
    options: SummaryOptions

    @property
    def language(self) -> str:
        return self.options.language

    def plan(
        self, extracted: Extracted, spec: ModelSpec, prompts: PromptLibrary, settings: Settings
    ) -> SummaryPlan:
        source, segments = extracted.source, extracted.segments
        return SummaryPlan(source, segments, spec, prompts, self.options, settings)

    def land(
        self,
        results: Path,
        source: Source,
        document: Document,
        segments: Sequence[Segment],
        plan: Plan,
        done: Mapping[str, Generation],
        note: str,
    ) -> Document:
        return land_summary(results, source, document, segments, note=note)


@dataclass(frozen=True)
class Translations:
    """Translations, line by line.

    Attributes:
        output: what the files show: both languages side by side, or the translation alone.
        beside: put the files beside their source as well.
        again: find a glossary anew, whatever an earlier translation has settled.
    """

    words: ClassVar[Words] = WORDS["translation"]
    prompts: ClassVar[tuple[str, ...]] = ("translate", "glossary")
    options: TranslationOptions
    output: Output = "bilingual"
    beside: bool = False
    again: bool = False

    @property
    def language(self) -> str:
        return self.options.to

    def plan(
        self, extracted: Extracted, spec: ModelSpec, prompts: PromptLibrary, settings: Settings
    ) -> TranslationPlan:
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
        source: Source,
        document: Document,
        segments: Sequence[Segment],
        plan: Plan,
        done: Mapping[str, Generation],
        note: str,
    ) -> Document:
        assert isinstance(plan, TranslationPlan)
        return land_translation(
            results,
            replace(source, language=self.options.given or source.language),
            document,
            segments,
            plan.lines(done),
            plan.glossary(done),
            self.output,
            beside=self.beside,
            note=note,
        )
