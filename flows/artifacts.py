"""What a run shows on its page in Prefect's UI: its state's name, progress, summaries, tables.

Owns the artifacts' keys, and when they are written. What is shown is computed in `tasks.land`,
`flows.progress` and `flows.run_tables`.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.exceptions import ObjectNotFound

from flows.progress import (
    Phase,
    Snapshot,
    Watcher,
    fetched_in_words,
    in_words,
    phase_of,
    phase_of_bytes,
)
from flows.rounds import Outcome
from flows.run_state import StateName
from flows.run_tables import (
    Row,
    accounted_for,
    as_markdown,
    coverage_table,
    failure_table,
    latency_table,
    of_translations,
    token_table,
    warning_lines,
)
from tasks.land import Statistics
from tasks.land.rendering import markdown
from tasks.records import Document

log = logging.getLogger(__name__)

_EVERY_S = 2.0
_MOST_SHOWN = 50_000  # letters of a document; a book would make the page crawl
_PATIENCE = 4  # pauses to what an update takes
_COVERAGE = (
    "What became of each source's segments (left out: by rule, such as tables of contents), and of "
    "its calls of the model (known: answered before, so not asked)."
)
_TRANSLATED = (
    "What became of each source's segments (ok: at once; repaired: asked again; kept: not to be "
    "translated, or the source's words since no answer could be shown; failed: shown, marked as "
    "doubtful), and of its calls of the model (known: answered before, so not asked)."
)
_TOKENS = "Calls of the model, their tokens (cached: of the prompt's), and tokens a second."
_FILE_LINK = re.compile(r"\[((?:[^\[\]\\]|\\.)*)\]\(file:[^)]*\)")


class CancelledRun(Exception):  # noqa: N818 - not an error: the user has asked for it
    """The run was cancelled in the UI."""


class RunPage(Watcher):
    """The run's page, and whoever watches the run besides (a terminal): both hear the same.

    Its block holds the connection to the server.
    """

    def __init__(self, flow_run_id: str, watcher: Watcher) -> None:
        self.flow_run_id = flow_run_id
        self._watcher = watcher
        self._client = get_client(sync_client=True)
        self._state = StateName(self._client)
        self._bar: UUID | None = _if_possible(
            lambda: create_progress_artifact(0.0, key="progress", description="starting")
        )
        self._moved_at = float("-inf")

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.__exit__(kind, error, trace)

    def note(self, text: str) -> None:
        """Tell what the user should know of the model."""
        if text:
            log.warning("%s", text)
            self._watcher.note(text)

    def fetched(self, label: str, done_bytes: int, total_bytes: int) -> None:
        """Show how far a model's file is."""
        self._watcher.fetched(label, done_bytes, total_bytes)
        if not total_bytes:
            self._moved_at = float("-inf")  # it is told once
        words = fetched_in_words(label, done_bytes, total_bytes)
        self._move(0.0, phase_of_bytes(label, done_bytes, total_bytes), words)

    def show(self, snapshot: Snapshot) -> None:
        """Show how far the run is, unless that was a moment ago."""
        self._watcher.show(snapshot)
        self._move(100 * snapshot.fraction, phase_of(snapshot), in_words(snapshot))

    def ended(self, outcome: Outcome) -> None:
        """Show a source's document as soon as it is there, or what became of it."""
        self._watcher.ended(outcome)
        if outcome.document:
            publish_document(outcome.uri, outcome.document)
        for line in warning_lines(outcome):
            log.warning("%s", line)

    def end(self, outcomes: Sequence[Outcome], statistics: Statistics) -> None:
        """Fill the bar and add the tables."""
        self._fill(100.0, f"done: {len(outcomes)} sources")
        publish_tables(statistics, outcomes)

    def _move(self, percent: float, phase: Phase, words: str) -> None:
        now = time.monotonic()
        if now - self._moved_at < _EVERY_S:
            return
        self._fill(percent, words)
        _if_possible(lambda: self._name(phase, words))
        # A server that is slow, or gone, may take a fifth of the run's time, and no more.
        after = time.monotonic()
        self._moved_at = after + _PATIENCE * (after - now)

    def _name(self, phase: Phase, words: str) -> None:
        """Name the state; but a run outside a worker hears in no other way that it is cancelled.

        Raises:
            CancelledRun: it is.
        """
        run = self._client.read_flow_run(UUID(self.flow_run_id))
        if run.state and (run.state.is_cancelling() or run.state.is_cancelled()):
            raise CancelledRun
        self._state.show(run, phase, words)

    def _fill(self, percent: float, words: str) -> None:
        if self._bar is None:
            return
        bar, update = self._bar, ArtifactUpdate(data=round(percent, 1), description=words)
        _if_possible(lambda: self._client.update_artifact(bar, update))


def publish_document(uri: str, document: Document) -> None:
    """Show a landed document much as it stands in its Markdown file: a long one's beginning.

    One without such a file is shown by where its files are.
    """
    file = next((Path(path) for path in document.paths if path.endswith(".md")), None)
    whole = file.read_text(encoding="utf-8") if file else f"# {markdown(document.title)}\n"
    shown = whole if len(whole) <= _MOST_SHOWN else _beginning(whole)
    text = for_a_web_page(shown, [uri, *document.paths])
    key = f"{document.kind}-{key_of(document.title)}-{document.document_id[:8]}"
    about = str(file or document.title)
    _if_possible(lambda: create_markdown_artifact(text, key=key, description=about))


def _beginning(text: str) -> str:
    """Return the first paragraphs of a text that a page holds."""
    end = text.rfind("\n\n", 0, _MOST_SHOWN)
    return f"{text[: end if end > 0 else _MOST_SHOWN]}\n\n… The whole is in the files below.\n"


def for_a_web_page(summary: str, places: Sequence[str]) -> str:
    """Return a summary without links to files, which a browser does not follow from a web page.

    The files' paths stand at its end instead, to be copied.
    """
    plain = _FILE_LINK.sub(r"\1", summary)
    return "\n".join([plain, "## Files", "", *(f"- {markdown(place)}" for place in places), ""])


def publish_tables(statistics: Statistics, outcomes: Sequence[Outcome]) -> None:
    """Show how each source ended, what failed, and what the run cost."""
    is_translated = of_translations(outcomes)
    about = f"{_TRANSLATED} {accounted_for(outcomes)}." if is_translated else _COVERAGE
    _table("coverage", about, coverage_table(outcomes))
    _table("failures", "What failed or was left out, and what to do.", failure_table(outcomes))
    if statistics.calls:
        _table("tokens", _TOKENS, token_table(statistics))
        _table("latencies", "Seconds of a call, as the pool measured.", latency_table(statistics))


def _table(key: str, description: str, rows: list[Row]) -> None:
    table = as_markdown(rows)
    _if_possible(lambda: create_table_artifact(table, key=key, description=description))


def key_of(title: str) -> str:
    """Return a title in an artifact's alphabet: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "document"


def _if_possible(publish: Callable[[], Any]) -> Any:
    """Publish; a page that can't be written is no reason to lose a night's run."""
    try:
        return publish()
    except (httpx.HTTPError, ObjectNotFound) as error:
        log.warning("the run's page could not be updated: %s", error)
        return None
