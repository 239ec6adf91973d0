"""The kinds of what Lectern keeps: where each is, whether it may go, and who may be using it.

Knows the names of Lectern's files, so that others stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from flows.clean.history import finished_runs
from flows.clean.items import Item, Kind, below, entries, item
from tasks.files import TEMPORARY
from tasks.settings import Settings

_ROW = re.compile(r"([0-9a-f]{64})\.parquet")
_FOLDER = re.compile(r".+-([0-9a-f]{8})", re.DOTALL)
_LEDGER = re.compile(r"(part|rows)-\d+-[0-9a-f]{8}\.parquet")
_LOG = re.compile(r".+\.log(\.\d+)?", re.DOTALL)
_DOCUMENT_FILES = (
    *("summary.md", "summary.html", "translation.md", "translation.html", "translation.epub"),
    *("translation.srt", "translation.vtt", "bilingual.srt", "bilingual.vtt", "glossary.csv"),
    *("transcript.md", "transcript.html", "transcript.srt", "transcript.vtt"),
)
_OF_A_SOURCE = ("sources", "segments", "cues", "words")
_OF_A_DOCUMENT = ("lines", "glossary")  # tables with a file a document


class User(StrEnum):
    """Who may be using something."""

    run = "run"
    pool = "pool"
    up = "up"


@dataclass(frozen=True)
class About:
    """What is to be known of a kind.

    Attributes:
        what: it is.
        loss: what is lost with it; "" where nothing is.
        users: those that must not run while it is removed.
    """

    find: Callable[[Settings], Iterator[Item]]
    what: str
    loss: str
    users: frozenset[User] = frozenset({User.run})


def _leftovers(settings: Settings) -> Iterator[Item]:
    for root in (settings.results, settings.home):
        for path in below(root.resolve())[0]:
            if TEMPORARY.fullmatch(path.name):
                yield from item(str(path), [path])


def _documents(settings: Settings) -> Iterator[Item]:
    results = settings.results.resolve()
    folder = results / "documents"
    folders = _document_folders(folder)
    for row in entries(folder):
        if match := _ROW.fullmatch(row.name):
            own = folders.get(match[1][:8], [])
            others = [results / table / row.name for table in _OF_A_DOCUMENT
                      if not (results / table).is_symlink()]  # fmt: skip
            yield from item(str(row), [row, *others, *_files_of(own)], own)


def _orphans(settings: Settings) -> Iterator[Item]:
    folder = settings.results.resolve() / "documents"
    rows = {match[1][:8] for each in entries(folder) if (match := _ROW.fullmatch(each.name))}
    for name, own in _document_folders(folder).items():
        if name not in rows:
            for each in own:
                yield from item(str(each), _files_of([each]), [each])


def _sources(settings: Settings) -> Iterator[Item]:
    results = settings.results.resolve()
    names = {each.name for table in _OF_A_SOURCE for each in entries(results / table)}
    for name in sorted(names):
        if _ROW.fullmatch(name):
            # The source first: one in the table has its segments in theirs.
            paths = [results / table / name for table in _OF_A_SOURCE
                     if not (results / table).is_symlink()]  # fmt: skip
            yield from item(str(paths[0]), paths)


def _generations(settings: Settings) -> Iterator[Item]:
    for path in entries(settings.results.resolve() / "generations"):
        if _LEDGER.fullmatch(path.name):
            yield from item(str(path), [path])


def _inbox(settings: Settings) -> Iterator[Item]:
    for path in entries(settings.results.resolve() / "inbox"):
        if _ROW.fullmatch(path.name):
            yield from item(str(path), [path])


def _cache(settings: Settings) -> Iterator[Item]:
    home = settings.home.resolve()
    for name in ("vocab", "identities", "cache"):
        for path in below(home / name)[0]:
            yield from item(str(path), [path], by_use=True)


def _speech(settings: Settings) -> Iterator[Item]:
    for folder in entries(settings.home.resolve() / "speech"):
        files, folders = below(folder)
        yield from item(str(folder), files, folders, by_use=True)


def _media(settings: Settings) -> Iterator[Item]:
    for path in below(settings.home.resolve() / "media")[0]:
        yield from item(str(path), [path], by_use=True)


def _tuning(settings: Settings) -> Iterator[Item]:
    for path in entries(settings.home.resolve() / "tuning"):
        if path.suffix == ".json":
            yield from item(str(path), [path])


def _logs(settings: Settings) -> Iterator[Item]:
    home = settings.home.resolve()
    for path in [*entries(home / "logs"), *entries(home)]:
        if _LOG.fullmatch(path.name):
            yield from item(str(path), [path])


def _models(settings: Settings) -> Iterator[Item]:
    from huggingface_hub import constants

    root = Path(constants.HF_HUB_CACHE).resolve()
    for repository in entries(root):
        if not repository.name.startswith("models--"):
            continue
        files, folders = below(repository)
        if any(path.suffix in (".gguf", ".part") or path.name == "model.bin" for path in files):
            locks, lock_folders = below(root / ".locks" / repository.name)
            name = str(repository)
            yield from item(name, [*files, *locks], [*folders, *lock_folders], by_use=True)


def _history(settings: Settings) -> Iterator[Item]:
    for name, ended in finished_runs(settings):
        yield Item(name, (), ended)


def _document_folders(folder: Path) -> Mapping[str, list[Path]]:
    """Return the documents' folders by the first characters of their ids."""
    found: dict[str, list[Path]] = {}
    for path in entries(folder):
        match = _FOLDER.fullmatch(path.name)
        if match and path.is_dir() and not path.is_symlink():
            found.setdefault(match[1], []).append(path)
    return found


def _files_of(folders: list[Path]) -> list[Path]:
    return [folder / name for folder in folders for name in _DOCUMENT_FILES]


KINDS: Mapping[Kind, About] = {
    Kind.leftovers: About(_leftovers, "parts of files whose writer was killed", ""),
    Kind.orphans: About(_orphans, "documents whose row is gone", "nothing but the files"),
    Kind.cache: About(
        _cache, "vocabularies, hashes and recognised text", "nothing: it is made again"
    ),
    Kind.speech: About(
        _speech, "recognised speech, also of recordings half done",
        "it is recognised again when used, which takes long",
    ),
    Kind.media: About(
        _media, "videos and recordings that were downloaded, also in part",
        "they are fetched again when used",
    ),
    Kind.tuning: About(
        _tuning, "how models run best on this machine",
        "measured again when idle, or by `lectern bench`",
    ),
    Kind.logs: About(
        _logs, "what server, worker, pool and commands said", "the logs", frozenset(User)
    ),
    Kind.history: About(
        _history, "finished runs in Prefect's database, shown in its UI", "their pages in the UI",
        frozenset({User.run, User.up}),
    ),
    Kind.models: About(
        _models, "models in the hub's cache, also of other programs",
        "they are fetched again when used", frozenset({User.run, User.pool}),
    ),
    Kind.documents: About(
        _documents, "finished documents",
        "the documents; made again from the ledger, unasked (the inbox's the next night)",
    ),
    Kind.sources: About(_sources, "what was read of the sources", "they are read again when used"),
    Kind.generations: About(
        _generations, "the ledger: every answer of the model", "the answers are asked for again"
    ),
    Kind.inbox: About(
        _inbox, "what became of the inbox's files", "what still lies there is new once more"
    ),
}  # fmt: skip
