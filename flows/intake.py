"""Where a run's sources are from, and what is noted of each when it has ended.

Two kinds: what the user names, and what is new in an inbox. Knows nothing of Prefect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Protocol

from flows.rounds import Outcome
from tasks.errors import SourceError
from tasks.extract import find_sources
from tasks.extract.lectures import Urls, is_lecture, leads_to_document
from tasks.extract.process import end_children
from tasks.extract.sources import documents_below
from tasks.land.documents import landed_paths
from tasks.land.inbox import NewFile, land_entry, new_files
from tasks.media.fetch import entries
from tasks.naming import as_uri, is_url, path_of, uri_of
from tasks.records import InboxEntry, SourceStatus
from tasks.settings import PROJECT_ROOT, Settings

_PLAYLISTS = 2  # looked at at once
INBOX = PROJECT_ROOT / "data" / "inbox"  # it is made where it is not

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Taken:
    """What a run takes in.

    Attributes:
        n_copied: files that are still being copied, and left for the next time.
        ended: hears of each source as it ends.
    """

    uris: Sequence[str]
    n_copied: int = 0
    ended: Callable[[Outcome], None] = lambda outcome: None

    @property
    def nothing(self) -> str:
        """What to say of it where there are no sources."""
        if not self.n_copied:
            return "Nothing new."
        files = "1 file is" if self.n_copied == 1 else f"{self.n_copied} files are"
        return f"Nothing new; {files} still being copied: left for the next time."


class Intake(Protocol):
    """One of the two.

    `take` is told what determines the documents (see tasks.records.InboxEntry) and their language.
    """

    def is_empty(self, settings: Settings) -> bool: ...  # before any model is looked for
    def take(self, settings: Settings, made_by: str, language: str) -> Taken: ...
    @property
    def go_on(self) -> Callable[[], bool] | None: ...  # None: there is no end


@dataclass(frozen=True)
class Named:
    """What the user names; nothing is noted beyond the tables.

    Args:
        urls: what URLs lead to; a playlist is each of its videos.
        is_for_playing: of a folder only what is played is taken.
    """

    sources: Sequence[str]
    urls: Urls = "documents"
    is_for_playing: bool = False

    def is_empty(self, settings: Settings) -> bool:
        return False

    def take(self, settings: Settings, made_by: str, language: str) -> Taken:
        written = landed_paths(settings.results)
        uris = find_sources(self.sources, PROJECT_ROOT, settings.results, written)
        if self.is_for_playing:
            named = {as_uri(item, PROJECT_ROOT) for item in self.sources}
            uris = [uri for uri in uris if uri in named or is_lecture(path_of(uri))]
        if not uris:
            what = ", ".join(self.sources) or "sources"
            wanted = "Name videos or recordings" if self.is_for_playing else "Name documents"
            raise SourceError(what, "there is nothing to read", wanted)
        return Taken(uris if self.urls == "documents" else _expanded(uris, settings))

    @property
    def go_on(self) -> None:
        return None


@dataclass(frozen=True)
class Inbox:
    """What is new in a folder, by content, until a stated hour.

    Args:
        until: when the last piece of work is begun; None: never.
        again: take in also what failed before, or has warnings.
    """

    folder: Path
    until: datetime | None = None
    again: bool = False
    now: Callable[[], datetime] = lambda: datetime.now().astimezone()

    def is_empty(self, settings: Settings) -> bool:
        folder = str(self.folder)
        try:
            if self.folder == INBOX:
                INBOX.mkdir(parents=True, exist_ok=True)
            next(self.folder.iterdir(), None)
        except FileNotFoundError as error:
            remedy = "Make it, or name another"
            raise SourceError(folder, "there is no such folder", remedy) from error
        except OSError as error:
            remedy = "Check its permissions, or name another folder"
            raise SourceError(folder, f"can't be read ({error.strerror})", remedy) from error
        return next(documents_below(self.folder, settings.results), None) is None

    def take(self, settings: Settings, made_by: str, language: str) -> Taken:
        results = settings.results
        written = landed_paths(results)
        below = documents_below(self.folder, results)
        paths = [path for path in below if str(path.absolute()) not in written]
        new, unsettled = new_files(results, paths, made_by, language, again=self.again)
        for path in unsettled:
            log.warning("%s: still being written; it is left for the next time", path)
        files = {uri_of(each.path.absolute()): each for each in new}
        ended = partial(_note, results, files, made_by, language)
        return Taken(list(files), len(unsettled), ended)

    @property
    def go_on(self) -> Callable[[], bool] | None:
        until = self.until
        return (lambda: self.now() < until) if until else None


def _expanded(uris: Sequence[str], settings: Settings) -> list[str]:
    """Return the videos of playlists in their place, each once."""
    with ThreadPoolExecutor(_PLAYLISTS) as pool:
        try:
            found = pool.map(lambda uri: _entries(uri, settings), uris)
            return list(dict.fromkeys(chain.from_iterable(found)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_children()  # or the block would wait for them
            raise


def _entries(uri: str, settings: Settings) -> list[str]:
    is_page = is_url(uri) and not leads_to_document(uri)
    return entries(uri, settings) if is_page else [uri]


def _note(
    results: Path, files: Mapping[str, NewFile], made_by: str, language: str, outcome: Outcome
) -> None:
    """Write what became of a file, unless it is another one by now: that one is new."""
    file = files[outcome.uri]
    if file.has_changed:
        return
    status: SourceStatus = "partial" if outcome.warnings else "ok"
    land_entry(
        results,
        InboxEntry(
            content=file.content,
            made_by=made_by,
            language=language,
            uri=outcome.uri,
            status="failed" if outcome.failed else status,
            error=outcome.error,
            # A folder that can't be read is told each time: nobody knows what is in it by now.
            final=not outcome.transient and not file.path.is_dir(),
            document_id=outcome.document.document_id if outcome.document else "",
            ended_at=datetime.now(UTC),
        ),
    )


def begun_last(planned: datetime, now: datetime) -> datetime:
    """Return when a daily run begins that was planned for some day: on the latest day so far."""
    here = now.astimezone().replace(tzinfo=None)
    clock = planned.astimezone().time()
    today = datetime.combine(here.date(), clock)
    latest = today if today <= here else today - timedelta(days=1)
    return max(planned, latest.astimezone())


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
