"""What was fetched, as it is kept: media by their content, and what is known of each URL.

Owns the folder `media` of the state. Knows nothing of sites and the network.

    media/<sha256 of the content>.<suffix>      one file a content
    media/urls/<sha256 of the URL>.json         what is known, and its captions beside it
    media/urls/<sha256 of the URL>.playlist.json
    media/partial/<sha256 of the URL>/          what is being fetched, or broke off; the lock
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from tasks.errors import StorageError
from tasks.files import make_folder, put_in_place, state_errors, write_private
from tasks.media.fetch_request import Answer, CaptionsMade, MediaMade, Offered
from tasks.records import Chapter

_VERSION = 2
_OLD_S = 30 * 86400.0  # after which nobody is expected to go on with what broke off
_LOOK_EVERY_S = 0.2
_NO_ROOM = "Make room for it, or set LECTERN_HOME to another folder"

_Record = TypeVar("_Record")


@dataclass(frozen=True, kw_only=True)
class KeptCaptions:
    """Captions beside the record of their URL."""

    offered: Offered
    file: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is known of a URL.

    Attributes:
        offered: all captions that its page offers.
        media: the file's name; "" where it was not fetched. content: its hex sha256.
    """

    url: str
    title: str
    duration_s: float | None
    language: str
    chapters: tuple[Chapter, ...]
    offered: tuple[Offered, ...]
    captions: tuple[KeptCaptions, ...] = ()
    media: str = ""
    size: int = 0
    content: str = ""
    version: int = _VERSION


@dataclass(frozen=True, kw_only=True)
class _List:
    url: str
    entries: tuple[str, ...]
    version: int = _VERSION


class Cache:
    """The folder of what was fetched. Who changes what is known of a URL holds its lock."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "media"
        self._urls = self.folder / "urls"

    @contextmanager
    def hold(self, url: str, go_on: Callable[[], None]) -> Iterator[int]:
        """Hold a URL against other runs, for as long as the block lasts.

        Gives the lock's descriptor: a process that inherits it holds it too, until it ends.

        Args:
            go_on: called again and again while another run holds it; may raise to end the waiting.

        Raises:
            StorageError: its folder can't be made.
        """
        folder = self.partial(url)
        while (lock := _lock(make_folder(folder))) is None:
            go_on()
            time.sleep(_LOOK_EVERY_S)
        try:
            yield lock
        finally:
            if not any(folder.glob("media*")):  # to go on with
                shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def partial(self, url: str) -> Path:
        """Return the path of the folder for what is being fetched."""
        return self.folder / "partial" / _name(url)

    def load(self, url: str) -> Kept | None:
        """Return what is known of a URL; None where nothing is."""
        kept = _read(self._urls / f"{_name(url)}.json", Kept)
        return kept if kept and kept.version == _VERSION and kept.url == url else None

    def media(self, kept: Kept) -> Path | None:
        """Return its media, if they are there and whole."""
        return _whole(self.folder / kept.media, kept.size) if kept.media else None

    def captions(self, kept: Kept, offered: Offered) -> Path | None:
        """Return its captions of this kind, if they are there and whole."""
        for each in kept.captions:
            if each.offered == offered:
                return _whole(self._urls / each.file, each.size)
        return None

    def keep(self, url: str, answer: Answer) -> None:
        """Keep what was fetched, with what was kept of this URL before.

        Raises:
            StorageError: it can't be written.
        """
        before, partial = self.load(url), self.partial(url)
        media, size, content = (
            (before.media, before.size, before.content) if before else ("", 0, "")
        )
        captions = [] if before is None else list(before.captions)
        make_folder(self._urls)
        with state_errors(self.folder, _NO_ROOM):
            if made := answer.media:
                media, content = f"{made.content}{made.suffix}", made.content
                size = self._keep_media(partial, made, media)
            if answer.captions:
                new = self._keep_captions(url, partial, answer.captions)
                captions = [each for each in captions if each.offered != new.offered] + [new]
        kept = Kept(
            url=url,
            title=answer.title,
            duration_s=answer.duration_s,
            language=answer.language,
            chapters=answer.chapters,
            offered=answer.offered,
            captions=tuple(captions),
            media=media,
            size=size,
            content=content,
        )
        write_private(self._urls / f"{_name(url)}.json", json.dumps(asdict(kept)))
        if answer.media:
            for path in partial.iterdir():
                path.unlink()

    def keep_list(self, url: str, entries: Sequence[str]) -> None:
        """Keep which videos a playlist has.

        Raises:
            StorageError: it can't be written.
        """
        make_folder(self._urls)
        record = _List(url=url, entries=tuple(entries))
        write_private(self._urls / f"{_name(url)}.playlist.json", json.dumps(asdict(record)))

    def load_list(self, url: str) -> list[str]:
        """Return the videos that a playlist had when it was seen last; [] if it never was."""
        record = _read(self._urls / f"{_name(url)}.playlist.json", _List)
        return list(record.entries) if record and record.version == _VERSION else []

    def _keep_media(self, partial: Path, made: MediaMade, name: str) -> int:
        part = partial / made.file
        size = part.stat().st_size
        put_in_place(part, self.folder / name)
        return size

    def _keep_captions(self, url: str, partial: Path, made: CaptionsMade) -> KeptCaptions:
        part = partial / made.file
        size = part.stat().st_size
        kind = "automatic" if made.offered.is_automatic else "people"
        tag = re.sub(r"[^A-Za-z0-9-]", "_", made.offered.language)[:40]
        name = f"{_name(url)}.{kind}.{tag}{part.suffix}"
        put_in_place(part, self._urls / name)
        return KeptCaptions(offered=made.offered, file=name, size=size)


def tidy(home: Path) -> None:
    """Remove what broke off long ago and nobody went on with."""
    for folder in (home / "media" / "partial").glob("*"):
        with suppress(OSError):  # another run may remove it meanwhile
            if (lock := _lock(folder)) is None:
                continue  # it is in use
            try:
                newest = max(path.stat().st_mtime for path in (folder, *folder.glob("*")))
                if time.time() - newest > _OLD_S:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return a descriptor of the folder, locked; None while another has it, or it was removed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _name(url: str) -> str:
    return hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()


def _whole(path: Path, size: int) -> Path | None:
    try:
        return path if path.stat().st_size == size else None
    except FileNotFoundError:
        return None


def _read(path: Path, kind: type[_Record]) -> _Record | None:
    """Return a record; None where there is none that can be understood."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error), _NO_ROOM) from error
