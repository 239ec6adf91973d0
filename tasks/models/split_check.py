"""Whether the parts of a split GGUF are what their names say, and whole.

Owns what their headers tell of it: llama.cpp names the part that it was asked for, whichever is
damaged, and finds the others by the first one's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tasks.errors import ModelError
from tasks.models.header_bytes import FileLayout, read_layout
from tasks.models.nearest import listed
from tasks.models.split_files import is_file, parts_of, siblings, stem_of

_FIRST_READ = 8 << 20  # bytes; most headers are no longer
_LONGEST_HEADER = 512 << 20
_NUMBER = re.compile(r"[-_. ]?(part|split)?[-_. ]?\d+([-_ ]?of[-_ ]?\d+)?$", re.IGNORECASE)

Layouts = Mapping[Path, FileLayout | None]
"""Of each file its layout; None where its header does not tell it."""


def sound_parts(path: Path, name: str) -> tuple[Path, ...]:
    """Return the file, or all parts of the split file that it is a part of, as parts_of() does.

    What is no GGUF, and not a part of one either, is let through: whoever reads it says more.

    Args:
        name: of the model, for errors.

    Raises:
        ModelError: it is no file; a part is missing, damaged, or called like another.
        OSError: it can't be told.
    """
    layouts = {each: _layout_of(each) for each in _here(path)}
    _refuse_misnamed(layouts, name)
    parts = parts_of(path, name)
    if len(parts) > 1:
        _refuse_damaged(layouts, name)
    return parts


def _here(path: Path) -> list[Path]:
    """Return the parts that are there, and what is called like a missing one but for case."""
    wanted = siblings(path)
    missing = {each.name.casefold() for each in wanted if not is_file(each)}
    others = path.parent.glob("*") if missing else ()
    alike = (each for each in others if each.name.casefold() in missing)
    return [each for each in (*wanted, *sorted(alike)) if is_file(each)]


def _layout_of(path: Path) -> FileLayout | None:
    with path.open("rb") as file, suppress(ModelError):
        data = file.read(_FIRST_READ)
        while (layout := read_layout(data, path.name)) is None and len(data) < _LONGEST_HEADER:
            more = file.read(len(data))
            if not more:
                return None
            data += more
        return layout
    return None


def _refuse_misnamed(layouts: Layouts, name: str) -> None:
    """Complain about parts whose headers have other numbers than their names.

    Raises:
        ModelError: there are some.
    """
    right = {path: _right_name(path, layout) for path, layout in layouts.items() if layout}
    wrong = {path: call for path, call in right.items() if call not in ("", path.name)}
    times = Counter(right.values())
    for path, call in wrong.items():
        if times[call] > 1:
            other = next(each.name for each in right if each != path and right[each] == call)
            problem = f"{path.name} and {other} are the same part by their headers"
            raise ModelError(name, problem, f"Get {path.name} again")
    if wrong:
        names = [f"{path.name} to {call}" for path, call in wrong.items()]
        problem = "it is split, and its parts are not called as llama.cpp looks for them"
        raise ModelError(name, problem, f"Rename {listed(names)}{_others(layouts)}")


def _right_name(path: Path, layout: FileLayout) -> str:
    """Return what llama.cpp wants a part to be called; "" if it is none."""
    if not 1 <= layout.part <= layout.n_parts or layout.n_parts == 1:
        return ""
    stem = stem_of(path)
    if stem == path.stem:
        stem = _NUMBER.sub("", stem) or "model"
    return f"{stem}-{layout.part:05}-of-{layout.n_parts:05}.gguf"


def _others(layouts: Layouts) -> str:
    n_parts = max(layout.n_parts for layout in layouts.values() if layout)
    return ", and the other parts likewise" if len(layouts) < n_parts else ""


def _refuse_damaged(layouts: Layouts, name: str) -> None:
    """Complain about parts that are not whole.

    Raises:
        ModelError: there are some.
    """
    damages = list(_damages(layouts))
    if damages:
        again = "this part" if len(damages) == 1 else "these parts"
        raise ModelError(name, listed(damages), f"Get {again} again")


def _damages(layouts: Layouts) -> Iterator[str]:
    for path, layout in layouts.items():
        size = path.stat().st_size
        if layout is None:
            yield f"{path.name} is {_unreadable(path) if size else 'empty'}"
        elif size < (whole := _size_of(layout)):
            yield f"{path.name} is cut off ({size:,} of {whole:,} bytes)"


def _unreadable(path: Path) -> str:
    with path.open("rb") as file:
        return "damaged, or cut off" if file.read(4) == b"GGUF" else "no GGUF file"


def _size_of(layout: FileLayout) -> int:
    """Return the bytes that a file must have at least."""
    if layout.last is None:
        return layout.end
    import gguf  # it takes a while

    start = -(-layout.end // max(1, layout.alignment)) * layout.alignment
    with suppress(ValueError, KeyError):  # a type that is newer
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(layout.last.kind)]
        return start + layout.last.offset + layout.last.n_weights // block * size
    return start + layout.last.offset
