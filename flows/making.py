"""What is made of a document: a summary or a translation. What tells the two apart in a run.

Owns how each is planned and landed, and its words for people. Knows nothing of Prefect, threads or
the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from tasks.extract import Extracted
from tasks.generate.prompts import PromptLibrary
from tasks.generate.summarize import SummaryOptions, SummaryPlan
from tasks.generate.translate import TranslationOptions, TranslationPlan
from tasks.land import land_summary, land_translation
from tasks.land.translations import Output
from tasks.pool.spec import ModelSpec
from tasks.records import Document, Generation, Segment, Source
from tasks.settings import Settings

from flows.rounds import Plan, Reading


@dataclass(frozen=True)
class Words:
    """How a run speaks of what it makes.

    Attributes:
        one, many: "summary", "summaries".
        done: what a segment is afterwards: "summarised".
    """

    one: str
    many: str
    done: str


class Making(Protocol):
    """One of them."""

    @property
    def words(self) -> Words: ...

    def plan(self, extracted: Extracted) -> Plan: ...

    def land(
        self, results: Path, reading: Reading, done: Mapping[str, Generation], about: dict[str, Any]
    ) -> Document:
        """Write a finished document beside the tables.

        Args:
            about: further fields of the Document: when, by which run, and what it cost.
        """
        ...


SUMMARY = Words("summary", "summaries", "summarised")
TRANSLATION = Words("translation", "translations", "translated")


@dataclass(frozen=True)
class Summaries:
    """Cited summaries."""

    spec: ModelSpec
    prompts: PromptLibrary
    options: SummaryOptions
    settings: Settings
    words = SUMMARY

    def plan(self, extracted: Extracted) -> SummaryPlan:
        source, segments = extracted.source, extracted.segments
        return SummaryPlan(
            source, segments, self.spec, self.prompts, self.options, self.settings
        )
