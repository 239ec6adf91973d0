"""What can be removed: its kinds, and files that belong together, as they were when listed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """What can be removed, by name."""

    leftovers = "leftovers"
    orphans = "orphans"
    cache = "cache"
    speech = "speech"
    media = "media"
    tuning = "tuning"
    logs = "logs"
    history = "history"
    models = "models"
    documents = "documents"
    sources = "sources"
    generations = "generations"
    inbox = "inbox"


@dataclass(frozen=True)
class File:
    """A regular file, by what tells whether it is still the same."""

    path: Path
    n_bytes: int
    modified_ns: int
    used: float

    @classmethod
    def at(cls, path: Path) -> File | None:
        """Return the file there; None where there is none, or a link or anything else."""
        try:
            found = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return cls(path, found.st_size, found.st_mtime_ns, max(found.st_mtime, found.st_atime))


@dataclass(frozen=True)
class Item:
    """One thing that is removed as a whole, or stays.

    Attributes:
        name: what it is called in a list.
        files: in the order in which they go.
        moment: by which its age counts, in seconds since 1970.
        folders: removed after the files, where that leaves them empty; inner ones first.
        links: symbolic links that belong to it; removed, never followed.
    """

    name: str
    files: tuple[File, ...]
    moment: float
    folders: tuple[Path, ...] = ()
    links: tuple[Path, ...] = ()

    @property
    def n_bytes(self) -> int:
        return sum(file.n_bytes for file in self.files)


def item(
    name: str, paths: list[Path], folders: list[Path] | None = None, *, by_use: bool = False
) -> Iterator[Item]:
    """Yield the item that these files make, if any of them is there.

    Args:
        by_use: its age counts from when it was last used, not from when it was written.
    """
    files = tuple(file for path in paths if (file := File.at(path)))
    links = tuple(path for path in paths if path.is_symlink())
    if files:
        moment = max(file.used if by_use else file.modified_ns / 1e9 for file in files)
        yield Item(name, files, moment, tuple(folders or ()), links)


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted; nothing where it is a link or not there."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(folder.iterdir())


def below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files and links below a folder, and the folders, inner ones first."""
    files: list[Path] = []
    folders: list[Path] = []
    if not folder.is_symlink():
        for root, _, names in os.walk(folder, topdown=False, followlinks=False):
            folders.append(Path(root))
            files += sorted(Path(root) / name for name in names)
            files += sorted(path for path in Path(root).iterdir() if path.is_symlink()
                            and path.name not in names)  # fmt: skip
    return files, folders
