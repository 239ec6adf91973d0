"""Where a run's sources are from, and what is noted of each when it has ended.

Two kinds: what the user names, and what is new in an inbox. Knows nothing of Prefect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from flows.rounds import Outcome
from tasks.errors import SourceError
from tasks.extract import find_sources
from tasks.extract.sources import documents_below
from tasks.land.documents import landed_paths
from tasks.land.inbox import NewFile, land_entry, new_files
from tasks.naming import uri_of
from tasks.records import InboxEntry, SourceStatus
from tasks.settings import PROJECT_ROOT, Settings

INBOX = PROJECT_ROOT / "data" / "inbox"  # it is made where it is not

log = logging.getLogger(__name__)


class Intake(Protocol):
    """One of the two.

    `uris` is told what determines the documents (see tasks.records.InboxEntry) and their language.
    """

    def is_empty(self, settings: Settings) -> bool: ...  # before any model is looked for
    def uris(self, settings: Settings, made_by: str, language: str) -> list[str]: ...
    def ended(self, outcome: Outcome) -> None: ...
    @property
    def go_on(self) -> Callable[[], bool] | None: ...  # None: there is no end


@dataclass(frozen=True)
class Named:
    """What the user names; nothing is noted beyond the tables."""

    sources: Sequence[str]

    def is_empty(self, settings: Settings) -> bool:
        return False

    def uris(self, settings: Settings, made_by: str, language: str) -> list[str]:
        written = landed_paths(settings.results)
        uris = find_sources(self.sources, PROJECT_ROOT, settings.results, written)
        if not uris:
            what = ", ".join(self.sources) or "sources"
            raise SourceError(what, "no document is there", "Name documents")
        return uris

    def ended(self, outcome: Outcome) -> None:
        """Note nothing."""

    @property
    def go_on(self) -> None:
        return None


@dataclass
class Inbox:
    """What is new in a folder, by content, until a stated hour.

    Args:
        until: when the last piece of work is begun; None: never.
        again: take in also what failed before.
    """

    folder: Path
    until: datetime | None = None
    again: bool = False
    now: Callable[[], datetime] = lambda: datetime.now().astimezone()
    _files: dict[str, NewFile] = field(default_factory=dict, init=False)
    _made_by: str = field(default="", init=False)
    _language: str = field(default="", init=False)
    _results: Path = field(default=Path(), init=False)

    def is_empty(self, settings: Settings) -> bool:
        if self.folder == INBOX:
            INBOX.mkdir(parents=True, exist_ok=True)
        if not self.folder.is_dir():
            remedy = "Make it, or name another"
            raise SourceError(str(self.folder), "there is no such folder", remedy)
        return next(documents_below(self.folder, settings.results), None) is None

    def uris(self, settings: Settings, made_by: str, language: str) -> list[str]:
        self._made_by, self._language, self._results = made_by, language, settings.results
        written = landed_paths(settings.results)
        below = documents_below(self.folder, settings.results)
        paths = [path for path in below if str(path.absolute()) not in written]
        new, unsettled = new_files(settings.results, paths, made_by, language, again=self.again)
        for path in unsettled:
            log.warning("%s: still being written; it is left for the next time", path)
        self._files = {uri_of(each.path.absolute()): each for each in new}
        return list(self._files)

    def ended(self, outcome: Outcome) -> None:
        file = self._files.get(outcome.uri)
        if file is None:
            return
        status: SourceStatus = "partial" if outcome.warnings else "ok"
        land_entry(
            self._results,
            InboxEntry(
                content=file.content,
                made_by=self._made_by,
                language=self._language,
                uri=outcome.uri,
                status="failed" if outcome.failed else status,
                error=outcome.error,
                final=not outcome.transient,
                ended_at=datetime.now(UTC),
            ),
        )

    @property
    def go_on(self) -> Callable[[], bool] | None:
        until = self.until
        return (lambda: self.now() < until) if until else None


def next_time(clock: str, after: datetime) -> datetime:
    """Return when a clock on the wall shows a time next: "06:30".

    Raises:
        SourceError: it is no time.
    """
    try:
        at = datetime.strptime(clock, "%H:%M").time()
    except ValueError as error:
        raise SourceError(clock, "it is no time of day", "Write it as 06:30") from error
    here = after.astimezone().replace(tzinfo=None)  # without it, the hour that summer adds is kept
    found = datetime.combine(here.date(), at)
    return (found if found > here else found + timedelta(days=1)).astimezone()
