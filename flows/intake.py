"""Where a run's sources are from, and what is noted of each when it has ended.

Two kinds: what the user names, and what is new in an inbox. Knows nothing of Prefect.
"""

from __future__ import annotations

import hashlib
import json
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
from tasks.generate.budget import model_identity
from tasks.generate.prompts import PromptLibrary
from tasks.land.inbox import NewFile, land_entry, new_files
from tasks.naming import uri_of
from tasks.pool.spec import ModelSpec
from tasks.records import InboxEntry
from tasks.settings import PROJECT_ROOT, Settings

log = logging.getLogger(__name__)


class Intake(Protocol):
    """One of the two."""

    def uris(self, settings: Settings, spec: ModelSpec, prompts: PromptLibrary) -> list[str]: ...
    def ended(self, outcome: Outcome) -> None: ...
    def go_on(self) -> bool: ...


@dataclass(frozen=True)
class Named:
    """What the user names; nothing is noted beyond the tables."""

    sources: Sequence[str]

    def uris(self, settings: Settings, spec: ModelSpec, prompts: PromptLibrary) -> list[str]:
        uris = find_sources(self.sources, PROJECT_ROOT, settings.results)
        if not uris:
            what = ", ".join(self.sources) or "sources"
            raise SourceError(what, "no document is there", "Name documents")
        return uris

    def ended(self, outcome: Outcome) -> None:
        """Note nothing."""

    def go_on(self) -> bool:
        return True


@dataclass
class Inbox:
    """What is new in a folder, by content, until a stated hour.

    Args:
        options: what else a translation is determined by, as text.
        until: when the last piece of work is begun; None: never.
        again: take in also what failed before.
    """

    folder: Path
    options: str
    until: datetime | None = None
    again: bool = False
    now: Callable[[], datetime] = lambda: datetime.now().astimezone()
    _files: dict[str, NewFile] = field(default_factory=dict, init=False)
    _made_by: str = field(default="", init=False)
    _results: Path = field(default=Path(), init=False)

    def uris(self, settings: Settings, spec: ModelSpec, prompts: PromptLibrary) -> list[str]:
        if not self.folder.is_dir():
            raise SourceError(str(self.folder), "there is no such folder", "Make it, or name another")
        prompt_hashes = [prompts.hash(name) for name in ("translate", "glossary")]
        made_by = [model_identity(spec, settings), *prompt_hashes, self.options]
        self._made_by = hashlib.sha256(json.dumps(made_by).encode()).hexdigest()
        self._results = settings.results
        paths = list(documents_below(self.folder, settings.results))
        new, unsettled = new_files(settings.results, paths, self._made_by, again=self.again)
        for path in unsettled:
            log.info("%s: still being written; it is left for the next time", path)
        self._files = {uri_of(each.path.absolute()): each for each in new}
        return list(self._files)

    def ended(self, outcome: Outcome) -> None:
        file = self._files.get(outcome.uri)
        if file is None:
            return
        status = "failed" if outcome.failed else "partial" if outcome.warnings else "ok"
        land_entry(
            self._results,
            InboxEntry(
                content=file.content,
                made_by=self._made_by,
                uri=outcome.uri,
                status=status,
                error=outcome.error,
                ended_at=datetime.now(UTC),
            ),
        )

    def go_on(self) -> bool:
        return self.until is None or self.now() < self.until


def next_time(clock: str, now: datetime) -> datetime:
    """Return when a clock shows a time next: "06:30".

    Raises:
        SourceError: it is no time.
    """
    try:
        at = datetime.strptime(clock, "%H:%M")  # noqa: DTZ007 - a time of day
    except ValueError as error:
        raise SourceError(clock, "it is no time of day", "Write it as 06:30") from error
    found = now.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return found if found > now else found + timedelta(days=1)
