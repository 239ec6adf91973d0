"""A run's work, as the jobs that it hands out: read a source, ask a batch, land a document.

Plain functions over `tasks`; whoever runs them (Prefect's task runner, a test's threads) adds
nothing. Knows which part of `tasks` comes after which, and nothing of how any of them works.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from flows.asking import Asker
from flows.claims import Claims
from flows.making import Making
from flows.memory import make_room
from flows.progress import Progress, fetched_in_words
from flows.rounds import Plan, Reading
from flows.turns import Turns
from tasks.errors import PipelineError, StorageError
from tasks.extract import extract, ocr
from tasks.extract.lectures import LectureOptions
from tasks.extract.process import end_children
from tasks.generate.ask import RunContext
from tasks.generate.attempts import counting, left
from tasks.generate.prompts import PromptLibrary
from tasks.land import Ledger, cost_of, land_source, write_index
from tasks.land.documents import landed_paths
from tasks.land.files import tidy
from tasks.media import cache
from tasks.media.whisper_models import SpeechModel
from tasks.models.spec import ModelSpec
from tasks.records import Document, Generation, OcrMode, Request
from tasks.settings import Settings

log = logging.getLogger(__name__)


class Job:
    """What the jobs of one run share.

    Args:
        spec: the language model; None: nothing is asked.
        making: what is made of each document.
        lecture: how what is played is read.
        again: ask everything anew, whatever the ledger holds of earlier runs.
        go_on: asked before anything that takes long; once it says no, it is not begun, and what is
            being read is left half read.
    """

    def __init__(
        self,
        settings: Settings,
        spec: ModelSpec | None,
        making: Making,
        asker: Asker,
        progress: Progress,
        *,
        again: bool = False,
        password: str | None = None,
        ocr: OcrMode | None = None,
        prompts: PromptLibrary | None = None,
        lecture: LectureOptions | None = None,
        flow_run_id: str = "",
        go_on: Callable[[], bool] | None = None,
    ) -> None:
        self._is_time_left = go_on or (lambda: True)
        self._settings, self._spec, self._making = settings, spec, making
        self._asker, self._progress = asker, progress
        self._again, self._password, self._flow_run_id = again, password, flow_run_id
        self._ocr: OcrMode | None = ocr
        self._prompts = prompts or prompt_library(settings)
        self._ledger = Ledger(settings.results)
        self._over = threading.Event()
        self._claims = Claims(settings.home)
        self._turns = Turns(self._go_on)
        self._lecture = replace(
            lecture or LectureOptions(),
            turn=self._speech,
            written=partial(landed_paths, settings.results),
        )
        self._asked: set[str] = set()  # keys that this run is through with, answered or not

    def read(self, uri: str) -> Reading:
        """Extract a source, land what was found, and plan what is made of it."""
        extracted = extract(
            uri,
            self._settings,
            password=self._password,
            ocr=self._ocr,
            again=self._again,
            progress=self._heard,
            lecture=self._lecture,
        )
        self._progress.reading("")
        self._go_on()
        source = replace(extracted.source, read_at=datetime.now(UTC))
        extracted = replace(extracted, source=source)
        land_source(self._settings.results, extracted)
        if source.status == "failed":
            return Reading(source, None)
        try:
            wanted = self._making.plan(extracted, self._spec, self._prompts, self._settings)
        except PipelineError as error:
            failed = replace(source, error=str(error), remedy=error.remedy)
            land_source(self._settings.results, replace(extracted, source=failed))
            raise
        return Reading(source, wanted, extracted)

    def _speech(self, model: SpeechModel) -> AbstractContextManager[None]:
        """Return the block in which a speech model may work."""
        return self._turns.speech(partial(make_room, self._settings, model, self._go_on))

    def _heard(self, text: str, done: int, total: int) -> None:
        """Tell how far the reading is, where it takes long: fetching, recognising text or speech.

        Args:
            done, total: bytes; of speech seconds.
        """
        self._go_on()
        if not text.startswith("reading "):
            share = done / total if total else 0.0
            self._progress.reading(fetched_in_words(text, done, total), share)

    def _go_on(self) -> None:
        """Let a reading thread go on, unless the run is over: what it has is then half read."""
        if self._over.is_set() or not self._is_time_left():
            raise CancelledError

    def claim(self, plan: Plan) -> bool:
        """Keep other runs from a document, unless one of them is making it; return whether."""
        return self._claims.take(plan.document_id)

    def ask(self, requests: Sequence[Request], task_run_id: str = "") -> None:
        """Put a batch to the model; every answer is in the ledger when this returns, but for what
        there was no time for."""
        keys = {request.key for request in requests}
        earlier = {} if self._again else self._ledger.rows(keys)
        assert self._spec is not None
        with self._turns.asking():
            rows = self._asker.ask(
                [replace(each, earlier=tuple(earlier.get(each.key, ()))) for each in requests],
                self._spec.name,
                self._ledger.record,
                RunContext(
                    flow_run_id=self._flow_run_id,
                    task_run_id=task_run_id,
                    model=self._spec.name,
                    quantization=self._spec.quantization,
                ),
                self._progress.answered,
                self._is_time_left,
            )
        self._asked |= {row.key for row in rows}

    def best(self, keys: Collection[str]) -> dict[str, Generation]:
        """Return, for the keys that need no further call in this run, the rows that count."""
        wanted = self._asked.intersection(keys) if self._again else keys
        rows = self._ledger.rows(wanted)
        done = {
            key for key, each in rows.items() if key in self._asked or not left(each, each[0].task)
        }
        return {key: counting(rows[key]) for key in done}

    def land(self, reading: Reading, done: Mapping[str, Generation]) -> Document:
        """Write a finished document beside the tables.

        Args:
            done: the answers that it is made of, by key.
        """
        plan, extracted = reading.plan, reading.extracted
        assert plan is not None
        assert extracted is not None
        cost = cost_of(chain.from_iterable(self._ledger.rows(done.keys()).values()))
        document = replace(
            plan.document(done),
            created_at=datetime.now(UTC),
            flow_run_id=self._flow_run_id,
            **asdict(cost),
        )
        landed = self._making.land(
            self._settings.results,
            extracted,
            document,
            plan,
            done,
            self._spec.note if self._spec else "",
        )
        self._claims.give_back(landed.document_id)
        return landed

    def drop(self, plan: Plan) -> None:
        """Let others make a document that came to nothing here."""
        self._claims.give_back(plan.document_id)

    def __enter__(self) -> Self:
        tidy(self._settings.results)
        ocr.tidy(self._settings.home)
        cache.tidy(self._settings.home)
        self._claims.tidy()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the run's small ledger files together, or, if it ends early, stop reading; and make
        the index anew."""
        try:
            if error is None:
                self._compact()
            else:
                self._over.set()
                end_children()
        finally:
            self._claims.give_all_back()
            self._index()

    def _compact(self) -> None:
        try:
            self._ledger.compact()
        except StorageError as error:  # each row is safe, and the next run tries again
            log.warning("the ledger stays as many small files: %s", error)

    def _index(self) -> None:
        try:
            write_index(self._settings.results)
        except StorageError as error:  # the documents are safe, and the next run makes it anew
            log.warning("the index is not up to date: %s", error)


def prompt_library(settings: Settings, prompt_dir: Path | None = None) -> PromptLibrary:
    """Return the project's prompts, with those in the user's folder before them."""
    return PromptLibrary([settings.prompts, *([prompt_dir] if prompt_dir else [])])
