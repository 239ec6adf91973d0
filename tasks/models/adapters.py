"""LoRA adapters in a model's name: base.gguf+adapter.gguf@0.5.

Owns how such a name is written and taken apart, and where an adapter's file is looked for. Does not
look into the files but for their kind: tasks.models.suiting tells whether one suits a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path

from tasks.errors import AdapterError, ModelError
from tasks.models.nearest import close, listed
from tasks.models.registry import KnownModel
from tasks.models.split_files import gguf_files, is_file, kind_of, user_path
from tasks.settings import PROJECT_ROOT, Settings

_PREFIXES = ("hf", "ollama")
_SCALED = re.compile(r"(?P<file>.+)@(?P<scale>[^@/+]*)")


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter that lies on this disk.

    Attributes:
        path: absolute; a GGUF whose general.type is "adapter".
        scale: what its change of the weights is multiplied with.
    """

    path: Path
    scale: float = 1.0


@dataclass(frozen=True)
class AdapterName:
    """An adapter as a user names it.

    Attributes:
        file: a path, or hf:owner/repo/file.gguf.
    """

    file: str
    scale: float = 1.0

    def __str__(self) -> str:
        return self.file if self.scale == 1 else f"{self.file}@{self.scale:g}"


@dataclass(frozen=True)
class AdaptedName:
    """A model's name taken apart: the model, and its adapters in the order they were given."""

    base: str
    adapters: tuple[AdapterName, ...] = ()

    def __str__(self) -> str:
        return "+".join((self.base, *map(str, self.adapters)))


def take_apart(name: str, exists: Callable[[str], bool]) -> AdaptedName:
    """Part a name at its +, but for those that belong to the name of something that exists.

    Args:
        exists: whether there is a model or a file of this name.

    Raises:
        ModelError: a scale is no number.
    """
    pieces = name.split("+")
    if not all(pieces):  # as in C++.gguf
        return AdaptedName(name)
    base, *adapters = _joined(pieces, lambda text: exists(text) or exists(_file(text)))
    base = base if exists(base) else _with_plain_prefix(base)
    return AdaptedName(base, tuple(_adapter(text, name, exists) for text in adapters))


def adapters_of(
    name: str,
    asked: Sequence[AdapterName],
    entry: KnownModel | None,
    settings: Settings,
    progress: Callable[[str, int, int], None] | None,
) -> tuple[Adapter, ...]:
    """Return the adapters of a model's name, fetched if need be; where it has none those of its
    entry in models.toml, and behind these those of the setting `pool_lora`.

    A relative path counts from the working directory (of an entry or a setting: from the project's
    root), else from the settings' folder of models.

    Args:
        asked: those of the name.

    Raises:
        AdapterError: one is not there, or is none.
        ModelError: one can't be fetched.
    """
    base = Path.cwd() if asked else PROJECT_ROOT
    wanted = asked or default_adapters(entry, settings)
    return tuple(_find(each, name, base, settings, progress) for each in wanted)


def default_adapters(entry: KnownModel | None, settings: Settings) -> list[AdapterName]:
    """Return the adapters of a model whose name gives none: its entry's, then the setting's."""
    texts = [*(entry.lora if entry else ()), *filter(None, [settings.pool_lora])]
    exists = partial(lies_in, settings=settings, base=PROJECT_ROOT)
    return [each for text in texts for each in take_apart(f"base+{text}", exists).adapters]


def lies_in(text: str, settings: Settings, base: Path) -> bool:
    """Tell whether a file has this name, below base or in the settings' folder of models."""
    path = user_path(text)
    return is_file(base / path) or is_file(settings.models / path)


def _find(
    adapter: AdapterName,
    name: str,
    base: Path,
    settings: Settings,
    progress: Callable[[str, int, int], None] | None,
) -> Adapter:
    if adapter.file.startswith("hf:"):
        from tasks.models.hub import fetch  # its library takes a second to import

        return _checked(Adapter(fetch(adapter.file, progress), adapter.scale), name)
    path = user_path(adapter.file)
    for place in (base, settings.models):
        if is_file(place / path):
            return _checked(Adapter((place / path).absolute(), adapter.scale), name)
    raise AdapterError(name, f"there is no adapter {adapter.file}", _instead(adapter, settings))


def _checked(adapter: Adapter, name: str) -> Adapter:
    """Return it, unless its file says that it is something else.

    Raises:
        AdapterError: it does.
    """
    if (kind := kind_of(adapter.path)) not in ("", "adapter"):
        problem = f"{adapter.path.name} is no adapter, but a {kind}"
        raise AdapterError(name, problem, "Give an adapter in GGUF behind the +")
    return adapter


def _instead(adapter: AdapterName, settings: Settings) -> str:
    here = (path.name for path in gguf_files(settings.models))
    near = close(adapter.file, here)
    offer = f" ({listed(near)}?)" if near else ""
    return f"Give a GGUF file's path, one in {settings.models}{offer}, or hf:owner/repo/file.gguf"


def _joined(pieces: Sequence[str], exists: Callable[[str], bool]) -> Iterator[str]:
    """Yield the pieces, those together whose joined text exists: the longest such each time."""
    start = 0
    while start < len(pieces):
        ends = range(len(pieces), start, -1)
        end = next((e for e in ends if exists("+".join(pieces[start:e]))), start + 1)
        yield "+".join(pieces[start:end])
        start = end


def _with_plain_prefix(name: str) -> str:
    """Return HF:owner/repo as hf:owner/repo."""
    prefix, colon, rest = name.partition(":")
    return f"{prefix.lower()}:{rest}" if colon and prefix.lower() in _PREFIXES else name


def _file(text: str) -> str:
    match = _SCALED.fullmatch(text)
    return match["file"] if match else text


def _adapter(text: str, name: str, exists: Callable[[str], bool]) -> AdapterName:
    match = _SCALED.fullmatch(text)
    if match is None or exists(text):
        return AdapterName(text)
    with suppress(ValueError):
        if isfinite(scale := float(match["scale"])):
            return AdapterName(match["file"], scale)
    problem = f"the scale of its adapter {match['file']} is no number ({match['scale']!r})"
    raise ModelError(name, problem, "Write adapter.gguf@0.5")
