"""The hash of files' content, remembered: gigabytes are read once and not at every start.

Owns the memory of it in home/identities. Knows no models.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tasks.files import make_folder, write_private
from tasks.locks import acquire

_BLOCK = 4 * 1024 * 1024


def content_hash(
    paths: Sequence[Path], home: Path, progress: Callable[[str, int, int], None] | None = None
) -> str:
    """Return the hex sha256 of the files' bytes, one after the other.

    It is remembered by path, size, mtime and inode, so that only a new or changed file is read.

    Raises:
        OSError: one can't be read.
    """
    stamp = stamp_of_paths(paths)
    memory = _memory(paths, home)
    make_folder(memory.parent)
    with acquire(memory.with_suffix(".lock"), "another run, which reads the same model"):
        remembered = _remembered(memory)
        if remembered.get("stamp") == stamp:
            return str(remembered["identity"])
        identity = _hash(paths, progress)
        write_private(memory, json.dumps({"stamp": stamp, "identity": identity}))
    return identity


def remembered_hash(paths: Sequence[Path], home: Path) -> str:
    """Return what content_hash() returns where that takes no reading; else "".

    Raises:
        OSError: one is gone.
    """
    remembered = _remembered(_memory(paths, home))
    known = remembered.get("stamp") == stamp_of_paths(paths)
    return str(remembered["identity"]) if known else ""


def stamp_of_paths(paths: Sequence[Path]) -> list[list[int | str]]:
    """Return of each file its path, size, time of change and inode.

    Raises:
        OSError: one is gone.
    """
    stats = [(str(path), path.stat()) for path in paths]
    return [[path, stat.st_size, stat.st_mtime_ns, stat.st_ino] for path, stat in stats]


def _memory(paths: Sequence[Path], home: Path) -> Path:
    return home / "identities" / f"{sha256(':'.join(map(str, paths)).encode()).hexdigest()}.json"


def _remembered(memory: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(memory.read_bytes())
    except (FileNotFoundError, ValueError):  # ValueError: no JSON, or no text
        return {}
    return content


def _hash(paths: Sequence[Path], progress: Callable[[str, int, int], None] | None) -> str:
    total = sum(path.stat().st_size for path in paths)
    digest, done = sha256(), 0
    for block in _blocks(paths):
        digest.update(block)
        done += len(block)
        if progress:
            progress(f"reading {paths[0].name}", done, total)
    return digest.hexdigest()


def _blocks(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
