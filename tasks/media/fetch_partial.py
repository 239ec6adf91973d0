"""What a broken download has left, and whether it can be gone on with.

Owns what is noted beside the partial file, so that no other content is ever put behind it: which
of a page's formats it is, the server's validator of the file (RFC 9110, section 8.8), and where
the last whole fragment ends. yt-dlp itself notes only how many fragments it has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

NAME = "media"


@dataclass(frozen=True, kw_only=True)
class _Note:
    """What is known of the partial file.

    Attributes:
        validator: an ETag, or when it was changed last; "" where the server tells neither.
        total: bytes of the whole; 0 where the server does not tell.
        fragments: so many of them are in its first `size` bytes.
    """

    format_id: str = ""
    validator: str = ""
    total: int = 0
    fragments: int = 0
    size: int = 0


class Partial:
    """The folder of one URL's download."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.media = folder / NAME
        self._part = folder / f"{NAME}.part"
        self._counter = folder / f"{NAME}.ytdl"  # yt-dlp's
        self._path = folder / "note.json"
        self._note = self._read()

    @property
    def size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    @property
    def n_bytes(self) -> int:
        """How many bytes are there in all, with those of a fragment that is not whole."""
        return sum(path.stat().st_size for path in self.folder.glob(f"{NAME}.part*"))

    @property
    def validator(self) -> str:
        return self._note.validator

    def begin(self, format_id: str) -> None:
        """Make ready for a format: go on with what is there of it, or remove it."""
        if self._note.format_id != format_id:
            self.clear()
            self._write(_Note(format_id=format_id))
        elif self._counter.exists():
            self._cut_to_whole_fragments()

    def clear(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        self._note = _Note()

    def matches(self, total: int) -> bool:
        """Say whether a file of so many bytes may be the one that was begun."""
        return not (self._note.total and total) or self._note.total == total

    def note_file(self, headers: Mapping[str, str], total: int) -> None:
        """Note what a server tells of the file that it sends."""
        etag = headers.get("ETag") or ""
        strong = etag if etag and not etag.startswith("W/") else ""
        validator = strong or headers.get("Last-Modified") or ""
        if (validator, total) != (self._note.validator, self._note.total):
            self._write(replace(self._note, validator=validator, total=total))

    def note_fragments(self) -> None:
        """Note how much the whole fragments take; to be called while none is being appended."""
        if self.size != self._note.size and (counted := self._counted()) is not None:
            self._write(replace(self._note, fragments=counted, size=self.size))

    def _cut_to_whole_fragments(self) -> None:
        """yt-dlp may have been killed between appending a fragment and counting it, or counting."""
        counted, note = self._counted(), self._note
        if counted is None and note.fragments:
            counted = note.fragments
            state = {"downloader": {"current_fragment": {"index": counted}}}
            self._counter.write_text(json.dumps(state))
        if counted == note.fragments and self.size >= note.size:
            with self._part.open("ab") as file:
                file.truncate(note.size)
        elif counted != note.fragments + 1:  # that one was counted, so it is whole
            self.clear()
            self._write(_Note(format_id=note.format_id))

    def _counted(self) -> int | None:
        """Return how many fragments yt-dlp has counted as appended."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            return int(
                json.loads(self._counter.read_bytes())["downloader"]["current_fragment"]["index"]
            )
        return None

    def _read(self) -> _Note:
        with suppress(FileNotFoundError, ValueError, TypeError):
            return _Note(**json.loads(self._path.read_bytes()))
        return _Note()

    def _write(self, note: _Note) -> None:
        self._note = note
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(asdict(note)))
        new.replace(self._path)
