"""What a run shows on its page in Prefect's UI: progress, summaries, tokens and coverage.

Owns the keys and the wording. What is shown is computed in `tasks.land` and `flows.progress`.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from flows.progress import Snapshot, Watcher, fetched_in_words, in_words
from flows.rounds import Outcome
from tasks.land import Statistics
from tasks.records import Document

log = logging.getLogger(__name__)

_EVERY_S = 2.0


class CancelledRun(Exception):  # noqa: N818 - not an error: the user has asked for it
    """The run was cancelled in the UI."""


class RunPage(Watcher):
    """The run's page, and whoever watches the run besides (a terminal): both hear the same."""

    def __init__(self, flow_run_id: str, watcher: Watcher) -> None:
        self.flow_run_id = flow_run_id
        self._watcher = watcher
        self._client = get_client(sync_client=True)
        self._bar: UUID | None = _if_possible(
            lambda: create_progress_artifact(0.0, key="progress", description="starting")
        )
        self._moved_at = 0.0

    def note(self, text: str) -> None:
        """Tell what the user should know of the model."""
        if text:
            log.warning("%s", text)
            self._watcher.note(text)

    def fetched(self, label: str, done_bytes: int, total_bytes: int) -> None:
        """Show how far a model's file is."""
        self._watcher.fetched(label, done_bytes, total_bytes)
        if not total_bytes:
            self._moved_at = 0.0  # it is told once
        self._move(0.0, fetched_in_words(label, done_bytes, total_bytes))

    def show(self, snapshot: Snapshot) -> None:
        """Move the bar, unless it was moved a moment ago; stop here if the run is cancelled."""
        self._watcher.show(snapshot)
        if self._move(100 * snapshot.fraction, in_words(snapshot)):
            self._stop_if_cancelled()

    def ended(self, outcome: Outcome) -> None:
        """Show a source's summary as soon as it is there, or what became of it."""
        self._watcher.ended(outcome)
        if outcome.document:
            publish_summary(outcome.document)
        if outcome.failed:
            log.warning("%s", outcome.error)

    def end(self, outcomes: Sequence[Outcome], statistics: Statistics) -> None:
        """Fill the bar and add the tables."""
        self._moved_at = 0.0
        self._move(100.0, f"done: {len(outcomes)} sources")
        publish_tables(statistics, outcomes)

    def _move(self, percent: float, description: str) -> bool:
        """Return whether it was time to."""
        now = time.monotonic()
        if self._bar is None or now - self._moved_at < _EVERY_S:
            return False
        self._moved_at = now
        update = ArtifactUpdate(data=round(percent, 1), description=description)
        bar = self._bar
        _if_possible(lambda: self._client.update_artifact(bar, update))
        return True

    def _stop_if_cancelled(self) -> None:
        """Look at the run's state: a run outside a worker hears of it in no other way."""
        run = _if_possible(lambda: self._client.read_flow_run(UUID(self.flow_run_id)))
        if run and run.state and (run.state.is_cancelling() or run.state.is_cancelled()):
            raise CancelledRun


def publish_summary(document: Document) -> None:
    """Show a landed summary as it stands in its Markdown file."""
    file = next(Path(path) for path in document.paths if path.endswith(".md"))
    text = file.read_text(encoding="utf-8")
    key = f"summary-{key_of(document.title)}-{document.document_id[:8]}"
    _if_possible(lambda: create_markdown_artifact(text, key=key, description=str(file)))


def publish_tables(statistics: Statistics, outcomes: Sequence[Outcome]) -> None:
    """Show what the run cost, and how each source ended."""
    names, rows = statistics.call_table()
    if rows:
        _if_possible(
            lambda: create_table_artifact(
                [dict(zip(names, row, strict=True)) for row in rows],
                key="tokens-and-latencies",
                description="Calls of the model; latencies in seconds, p50 / p95, by the pool.",
            )
        )
    _if_possible(
        lambda: create_table_artifact(
            coverage_table(outcomes),
            key="coverage",
            description="Segments of each source and what became of them.",
        )
    )


def coverage_table(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return a row a source."""
    return [_coverage_row(outcome) for outcome in outcomes]


def _coverage_row(outcome: Outcome) -> dict[str, Any]:
    coverage = outcome.document.coverage if outcome.document else None
    return {
        "source": outcome.uri,
        "segments": coverage.total if coverage else 0,
        "ok": coverage.ok if coverage else 0,
        "repaired": coverage.repaired if coverage else 0,
        "left out by rule": coverage.kept if coverage else 0,
        "failed": coverage.failed if coverage else 0,
        "asked": outcome.asked,
        "from the ledger": outcome.from_ledger,
        "note": _note(outcome),
    }


def _note(outcome: Outcome) -> str:
    if outcome.twin:
        return f"same content as {outcome.twin}"
    return outcome.error or (outcome.source.error if outcome.source else "")


def key_of(title: str) -> str:
    """Return a title in an artifact's alphabet: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "document"


def _if_possible(publish: Callable[[], Any]) -> Any:
    """Publish; a page that can't be written is no reason to lose a night's run."""
    try:
        return publish()
    except httpx.HTTPError as error:
        log.warning("the run's page could not be updated: %s", error)
        return None
