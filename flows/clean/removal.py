"""Remove what was listed, while nobody uses it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from flows.clean.history import SHORTEST_S, remove_runs
from flows.clean.items import File, Item, Kind
from flows.clean.kinds import KINDS, User
from flows.in_use import no_run
from tasks.errors import PipelineError, StorageError
from tasks.files import make_folder
from tasks.land.index import write_index
from tasks.pool.lifecycle import PoolFiles
from tasks.settings import Settings

_INDEXED = {Kind.documents, Kind.sources}  # what results/index.html tells of
Found = Mapping[Kind, Sequence[Item]]


@dataclass
class Removed:
    """What came of a removal."""

    n_bytes: int = 0
    n_items: int = 0
    problems: list[str] = field(default_factory=list)


def find(settings: Settings, kinds: Collection[Kind], older_than_s: float) -> Found:
    """Return what there is of each kind, of that age or older, oldest first."""
    now = time.time()
    return {
        kind: sorted(
            (each for each in KINDS[kind].find(settings)
             if now - each.moment >= _least_age(kind, older_than_s)),
            key=lambda each: each.moment,
        )
        for kind in kinds
    }  # fmt: skip


def remove(settings: Settings, found: Found, older_than_s: float) -> Removed:
    """Remove what was found, as far as it is still as it was.

    Raises:
        PipelineError: something that is to go is in use.
        StorageError: Prefect's database could not be cleaned.
    """
    removed = Removed()
    chosen = [kind for kind, items in found.items() if items]
    with _kept_away(settings, {user for kind in chosen for user in KINDS[kind].users}):
        for kind in chosen:
            if kind is Kind.history:
                removed.n_bytes += remove_runs(settings, older_than_s)
                removed.n_items += len(found[kind])
            else:
                for item in found[kind]:
                    _remove_item(item, removed)
        if _INDEXED & set(chosen):
            _index(settings, removed)
    return removed


def _index(settings: Settings, removed: Removed) -> None:
    try:
        write_index(settings.results)
    except StorageError as error:  # what was to go is gone all the same
        removed.problems.append(str(error))


def _least_age(kind: Kind, older_than_s: float) -> float:
    """Return the age that is really asked for: of a minute at least where one may be at work."""
    least = {Kind.history: SHORTEST_S, Kind.leftovers: 60.0}
    return max(older_than_s, least.get(kind, 0.0))


def _remove_item(item: Item, removed: Removed) -> None:
    before = len(removed.problems)
    for file in item.files:
        now = File.at(file.path)
        if now is None:
            continue
        if (now.modified_ns, now.n_bytes) != (file.modified_ns, file.n_bytes):
            removed.problems.append(f"{file.path}: it has changed meanwhile, and stays")
            return  # with the rest of the item: its files belong together
        _unlink(file.path, removed)
        removed.n_bytes += file.n_bytes
    for link in item.links:
        _unlink(link, removed)
    for folder in item.folders:
        with suppress(OSError):  # a file that is not ours lies in it
            folder.rmdir()
    removed.n_items += len(removed.problems) == before


def _unlink(path: Path, removed: Removed) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        removed.problems.append(f"{path}: it can't be removed ({error.strerror})")


@contextmanager
def _kept_away(settings: Settings, users: Collection[User]) -> Iterator[None]:
    home = make_folder(settings.home)
    with ExitStack() as stack:
        if User.run in users:
            stack.enter_context(no_run(home))
        if User.pool in users:
            remedy = "End it with `lectern pool stop`"
            stack.enter_context(_lock(PoolFiles(home).lock, "the pool runs", remedy))
        if User.up in users:
            stack.enter_context(_lock(home / "up.lock", "`lectern up` runs", "Stop it first"))
        yield


@contextmanager
def _lock(path: Path, problem: str, remedy: str) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PipelineError("lectern clean", problem, remedy) from None
    try:
        yield
    finally:
        lock.release()
