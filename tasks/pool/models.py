"""From a model's name to its GGUF file on this disk.

Owns the forms a name can take (a path, hf:owner/repo:quantization, a name from models.toml),
fetching from a hub, finding the parts of a split file, and a file's identity. Does not look
into the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.files import make_folder, write_private
from tasks.locks import acquire
from tasks.pool.registry import KnownModel, read_known
from tasks.settings import Settings

Progress = Callable[[str, int, int], None]
"""progress(label, done_bytes, total_bytes)"""

EXAMPLE = "hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF:q4_0"
_PART = re.compile(r"^(?P<stem>.+)-(?P<n>\d{5})-of-(?P<total>\d{5})\.gguf$", re.IGNORECASE)
_BLOCK = 4 * 1024 * 1024


@dataclass(frozen=True)
class ModelFiles:
    """A model that lies on this disk.

    Attributes:
        parts: absolute paths; more than one for a split file, in order.
        known: its entry in models.toml, if the name is from there.
    """

    name: str
    parts: tuple[Path, ...]
    known: KnownModel | None = None


def resolve(name: str, settings: Settings, progress: Progress | None = None) -> ModelFiles:
    """Find a model's files, fetching them if they are on a hub and not yet here.

    Args:
        name: a path; hf:owner/repo:quantization; hf:owner/repo/file.gguf; or a name from
            models.toml.

    Raises:
        ModelError: there is no such model, or it can't be fetched.
    """
    known = read_known(settings.models / "models.toml").get(name)
    origin = name
    if known is not None:
        origin = str(settings.models / known.file) if known.file else known.source
    try:
        return ModelFiles(name, _parts(_origin(origin, settings, progress), name), known)
    except OSError as error:  # a folder without permission, a name that is too long
        problem = f"it can't be read ({error.strerror})"
        raise ModelError(name, problem, "Check the path and its permissions") from error


def absolute_name(name: str, base: Path) -> str:
    """Return a name that means the same from any working directory.

    Args:
        base: where a relative path counts from.
    """
    path = base / Path(name).expanduser()
    return str(path) if not name.startswith("hf:") and (_is_path(name) or _is_file(path)) else name


def identify(files: ModelFiles, home: Path, progress: Progress | None = None) -> str:
    """Return the hex sha256 of a model's bytes, all parts in order.

    It is remembered in home/identities by path, size, mtime and inode, so that only a new or
    changed file is read.
    """
    stamp = stamp_of(files)
    folder = make_folder(home / "identities")
    memory = folder / f"{sha256(str(files.parts[0]).encode()).hexdigest()}.json"
    with acquire(memory.with_suffix(".lock"), "another run, which reads the same model"):
        remembered = _remembered(memory)
        if remembered.get("stamp") == stamp:
            return str(remembered["identity"])
        try:
            identity = _hash(files, progress)
        except OSError as error:
            problem = f"it can't be read ({error.strerror})"
            raise ModelError(files.name, problem, "Check its permissions, and the disk") from error
        write_private(memory, json.dumps({"stamp": stamp, "identity": identity}))
    return identity


def stamp_of(files: ModelFiles) -> list[list[int | str]]:
    """Return what tells, without reading them, whether files are still the same: of each part its
    path, size, time of change and inode.

    Raises:
        OSError: one is gone.
    """
    stats = [(str(part), part.stat()) for part in files.parts]
    return [[path, stat.st_size, stat.st_mtime_ns, stat.st_ino] for path, stat in stats]


def _origin(name: str, settings: Settings, progress: Progress | None) -> Path:
    if name.startswith("hf:"):
        from tasks.pool.hub import fetch  # its library takes a second to import

        return fetch(name, progress)
    path = Path(name).expanduser().absolute()
    if path.exists() or _is_path(name):
        return path
    names = ", ".join(read_known(settings.models / "models.toml")) or "none"
    raise ModelError(
        name,
        "there is no such model",
        f"Give a GGUF file's path, hf:owner/repo:quantization (such as {EXAMPLE}), "
        f"or a name from models.toml ({names})",
    )


def _is_file(path: Path) -> bool:
    with suppress(OSError):  # no permission, or no possible name
        return path.is_file()
    return False


def _is_path(name: str) -> bool:
    """Tell whether a name is written like a path, whether or not anything is there."""
    return "/" in name or name.lower().endswith(".gguf")


def _parts(path: Path, name: str) -> tuple[Path, ...]:
    """Return the file, or all parts of the split file that it is a part of."""
    part = _PART.match(path.name)
    paths = [path]
    if part:
        total = int(part["total"])
        names = (f"{part['stem']}-{n:05}-of-{total:05}.gguf" for n in range(1, total + 1))
        paths = [path.with_name(part_name) for part_name in names]
    for each in paths:
        if each.is_file():
            continue
        if each.is_dir():
            raise ModelError(name, f"{each} is a folder", "Give the path of a GGUF file in it")
        if each.exists():  # a pipe or a device would never end
            raise ModelError(name, f"{each} is no file", "Give the path of a GGUF file")
        problem = f"{each} is missing" if part else f"there is no file {each}"
        raise ModelError(name, problem, "Check the path, or fetch the file")
    return tuple(paths)


def _remembered(memory: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(memory.read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content


def _hash(files: ModelFiles, progress: Progress | None) -> str:
    total = sum(part.stat().st_size for part in files.parts)
    digest, done = sha256(), 0
    for block in _blocks(files.parts):
        digest.update(block)
        done += len(block)
        if progress:
            progress(f"reading {files.parts[0].name}", done, total)
    return digest.hexdigest()


def _blocks(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
