"""GGUF files on this disk, and the parts of a split one, which llama-gguf-split names
NAME-00001-of-00003.gguf.

Owns which files belong together by their names, and the line about one that is not there. Of what
is in them it knows the kind alone; tasks.models.split_check tells whether they are what they are
called.
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from pathlib import Path

from tasks.errors import ModelError
from tasks.models.nearest import close, listed

_PART = re.compile(
    r"(?P<stem>.+)-(?P<n>\d{5})(?P<of>-of-(?P<total>\d{5})\.gguf)", re.IGNORECASE | re.DOTALL
)
_BEGINNING = 4096  # bytes, in which the converter writes what kind of file it is
_STRING = 8  # gguf_metadata_value_type
_LONGEST_KIND = 40


def parts_of(path: Path, name: str) -> tuple[Path, ...]:
    """Return the file, or all parts of the split file that it is a part of.

    Args:
        name: of the model, for errors.

    Raises:
        ModelError: it is no file, or a part is missing.
        OSError: it can't be told.
    """
    paths = siblings(path)
    missing = [each for each in paths if not each.is_file()]
    for each in missing:
        it = "it" if name == str(each) else str(each)
        if each.is_dir():
            raise ModelError(name, f"{it} is a folder", _in_folder(each))
        if each.exists():  # a pipe or a device would never end
            raise ModelError(name, f"{it} is no file", "Give the path of a GGUF file")
    if len(missing) == len(paths):
        problem = "there is no such file" if name == str(path) else f"there is no file {path}"
        raise ModelError(name, problem, _nearest(path))
    if missing:
        are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        lacking = listed([each.name for each in missing])
        problem = f"{lacking} {are} missing in {path.parent}"
        raise ModelError(name, problem, f"Fetch {them}: all parts are needed")
    return tuple(paths)


def siblings(path: Path) -> list[Path]:
    """Return where all parts are if the path is one of several; else the path."""
    part = _PART.fullmatch(path.name)
    if part is None or not 1 <= int(part["n"]) <= int(part["total"]):
        return [path]
    names = (f"{part['stem']}-{n:05}{part['of']}" for n in range(1, int(part["total"]) + 1))
    return [path.with_name(name) for name in names]


def stem_of(path: Path) -> str:
    """Return what all parts of a split file are called before their numbers; of a file that is
    whole its name without its ending."""
    part = _PART.fullmatch(path.name)
    return part["stem"] if part else path.stem


def gguf_files(folder: Path) -> list[Path]:
    """Return the GGUF files in a folder; of a split one the first part."""
    found = (path for path in folder.glob("*") if path.suffix.lower() == ".gguf")
    return sorted({siblings(path)[0] for path in found if is_file(path)})


def user_path(text: str) -> Path:
    """Return a path as a user writes it; a ~ of nobody stays as it is."""
    with suppress(RuntimeError):
        return Path(text).expanduser()
    return Path(text)


def is_file(path: Path) -> bool:
    """Tell whether a path is a file that can be reached."""
    with suppress(OSError):  # no permission, or no possible name
        return path.is_file()
    return False


def kind_of(path: Path) -> str:
    """Return what a GGUF says that it is (`general.type`): "model", "adapter", "mmproj", …; ""
    where it does not tell in its first values, or can't be read."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except OSError:
        return ""
    key = b"general.type"
    _, found, rest = beginning.partition(struct.pack("<Q", len(key)) + key)
    if not found or len(rest) < 12:
        return ""
    value_type, size = struct.unpack_from("<IQ", rest)
    known = value_type == _STRING and size <= _LONGEST_KIND
    return rest[12 : 12 + size].decode(errors="replace") if known else ""


def _in_folder(folder: Path) -> str:
    names = [path.name for path in gguf_files(folder)]
    return f"Give the path of a GGUF file in it{f': {listed(names)}' if names else ''}"


def _nearest(path: Path) -> str:
    there = {each.name: stem_of(each) for each in gguf_files(path.parent)}
    stems = close(stem_of(path), there.values())
    near = [name for stem in stems for name in there if there[name] == stem]
    return f"Check the path{f'; there is {listed(near)}' if near else ', or fetch the file'}"
