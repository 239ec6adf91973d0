"""The models that there are to choose from: those with names, and those that lie on this disk.

Owns where to look: models.toml and sizes.toml, their folder, the hub's cache, Ollama's store; and
the line about a name that is none of these.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tasks.errors import ModelError
from tasks.models import ollama
from tasks.models.known_sizes import Size, Sizes, read_sizes
from tasks.models.nearest import close, listed
from tasks.models.registry import KnownModel, read_known
from tasks.models.split_files import gguf_files, kind_of, parts_of, user_path
from tasks.settings import Settings

Place = Literal["models.toml", "folder", "hub cache", "Ollama"]

EXAMPLE = "hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF:q4_0"
_MOST_NAMES = 8


@dataclass(frozen=True)
class Listed:
    """A model.

    Attributes:
        name: what --model takes.
        paths: its files, in order; none where it is not here.
        is_adapter: it is an addition to a model, to be put behind its name with a +.
        sizes: what it takes, by quantization; none where nobody has computed it.
    """

    name: str
    place: Place
    paths: tuple[Path, ...] = ()
    known: KnownModel | None = None
    is_adapter: bool = False
    sizes: Sizes = field(default_factory=dict)

    @property
    def is_here(self) -> bool:
        return bool(self.paths)

    @property
    def n_bytes(self) -> int:
        """On this disk."""
        return sum(path.stat().st_size for path in self.paths)

    @property
    def size(self) -> Size | None:
        """What it takes in the quantization that its name stands for; None: not known."""
        source = self.known.source if self.known else ""
        return self.sizes.get(source.rpartition(":")[2].upper())


def named_models(settings: Settings) -> list[Listed]:
    """Return the models of models.toml, in its order.

    Raises:
        ModelError: it or sizes.toml is malformed.
    """
    known = read_known(settings.models / "models.toml")
    sizes = read_sizes(settings.models / "sizes.toml")
    return [
        Listed(
            name,
            "models.toml",
            _here(model, settings),
            model,
            # They are of shapes: an entry without one is another model that took the name.
            sizes=sizes.get(name, {}) if model.shape else {},
        )
        for name, model in known.items()
    ]


def models_here(settings: Settings) -> Iterator[Listed]:
    """Yield the whole models on this disk that models.toml has no names for."""
    named = {path for each in named_models(settings) for path in each.paths}
    yield from (each for each in _lying(settings) if not named.intersection(each.paths))


def no_such_model(name: str, wrong: str, settings: Settings) -> ModelError:
    """Return the error for a plain name that there is not, with the nearest that there are.

    Args:
        name: as the user gave it; wrong: the model's part of it.
    """
    known = list(read_known(settings.models / "models.toml"))
    stored = {str(each).removeprefix(ollama.PREFIX): str(each) for each in ollama.names()}
    meant = close(wrong, known) + [stored[each] for each in close(wrong, stored)]
    problem = "there is no such model" + (f" as {wrong}" if wrong != name else "")
    forms = f"Give a GGUF file's path, hf:owner/repo:quantization (such as {EXAMPLE})"
    if meant:
        other = f"Or g{forms[1:]}, or a name that `lectern models list` shows"
        return ModelError(name, problem, f"Did you mean {listed(meant)}? {other}")
    names = listed(known, _MOST_NAMES) or "none"
    remedy = f"{forms}, ollama:name, or a name that `lectern models list` shows ({names})"
    return ModelError(name, problem, remedy)


def _here(model: KnownModel, settings: Settings) -> tuple[Path, ...]:
    """Return a known model's files where all of them are on this disk, asking nobody."""
    with suppress(ModelError, OSError):
        if model.source.startswith("hf:"):
            from tasks.models import hub  # its library takes a second to import

            path = hub.cached(model.source)
        elif model.source.startswith(ollama.PREFIX):
            path = ollama.find(model.source).path
        else:
            path = settings.models / (model.file or user_path(model.source))
        return parts_of(path, "") if path else ()
    return ()


def _lying(settings: Settings) -> Iterator[Listed]:
    for path in gguf_files(settings.models):
        with suppress(ModelError, OSError):  # a part is missing
            parts = parts_of(path, "")
            yield Listed(_shown(path), "folder", parts, is_adapter=_is_adapter(path))
    from tasks.models.hub_cache import cached_models

    with suppress(OSError):  # another user's
        for cached in cached_models():
            is_adapter = _is_adapter(cached.parts[0])
            yield Listed(cached.name, "hub cache", cached.parts, is_adapter=is_adapter)
    for stored in ollama.names():
        with suppress(ModelError, OSError):  # incomplete
            yield Listed(str(stored), "Ollama", (ollama.find(str(stored)).path,))


def _shown(path: Path) -> str:
    """Return a path from the working directory where it lies below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _is_adapter(path: Path) -> bool:
    return kind_of(path) == "adapter"
