"""What is made of a document: a summary or a translation. What tells the two apart in a run.

Owns how each is planned and landed, and how a run speaks of it. Knows nothing of Prefect, threads
or the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from flows.rounds import Plan
from flows.words import WORDS, Words
from tasks.extract import Extracted
from tasks.generate.prompts import PromptLibrary
from tasks.generate.summarize import SummaryOptions, SummaryPlan
from tasks.generate.translate import TranslationOptions, TranslationPlan
from tasks.land import land_summary, land_translation
from tasks.land.translations import Output, settled_terms
from tasks.pool.spec import ModelSpec
from tasks.records import Document, Generation, Segment, Source
from tasks.settings import Settings


class Making(Protocol):
    """One of the two."""

    words: ClassVar[Words]

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
    options: SummaryOptions

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
    """

    words: ClassVar[Words] = WORDS["translation"]
    options: TranslationOptions
    output: Output = "bilingual"

    def plan(
        self, extracted: Extracted, spec: ModelSpec, prompts: PromptLibrary, settings: Settings
    ) -> TranslationPlan:
        source = extracted.source
        settled = settled_terms(settings.results, source, self.options.to)
        return TranslationPlan(
            source, extracted.segments, spec, prompts, self.options, settings, settled
        )

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
            source,
            document,
            segments,
            plan.lines(done),
            plan.glossary(done),
            self.output,
            note=note,
        )
