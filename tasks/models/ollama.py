"""Models in Ollama's local store, as its manifests name them.

Owns where the store lies and what its manifests say. Ollama itself need not run, and nothing is
asked of it; its own chat template and parameters are not read, since the GGUF carries a template.

A manifest is manifests/HOST/NAMESPACE/MODEL/TAG, JSON in the form of Docker's image manifests,
whose layers name blobs by their sha256: blobs/sha256-… . Parts of a name that are left out are
registry.ollama.ai, library and latest; case does not count.
Source: types/model/name.go and server/images.go at github.com/ollama/ollama.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, ValidationError

from tasks.errors import ModelError
from tasks.models.nearest import close, listed, nearest
from tasks.models.split_files import is_file

PREFIX = "ollama:"
_ADDRESS = re.compile(
    r"(?:https?://)?(?:ollama|ollama\.com|registry\.ollama\.ai)/(?:library/)?"
    r"(?P<name>[\w.-]+(?:/[\w.-]+)?(?::[\w.-]+)?)/?",
    re.IGNORECASE | re.ASCII,
)
_HOST, _NAMESPACE, _TAG = "registry.ollama.ai", "library", "latest"
_MODEL_LAYER = "application/vnd.ollama.image.model"
_ADAPTER_LAYER = "application/vnd.ollama.image.adapter"
_SYSTEM_STORES = (
    Path("/usr/share/ollama/.ollama/models"),
    Path("/var/lib/ollama/models"),
    Path("/var/lib/ollama/.ollama/models"),
)


@dataclass(frozen=True)
class StoredModel:
    """A model of the store: its GGUF, and the adapters that belong to it."""

    path: Path
    adapters: tuple[Path, ...] = ()


@dataclass(frozen=True)
class StoredName:
    """A model's full name, and the manifest that has it."""

    host: str
    namespace: str
    model: str
    tag: str
    manifest: Path = Path()

    @classmethod
    def of(cls, manifest: Path) -> Self:
        host, namespace, model, tag = manifest.parts[-4:]
        return cls(host, namespace, model, tag, manifest)

    @property
    def key(self) -> tuple[str, ...]:
        """What is equal for names of the same model."""
        return tuple(map(str.casefold, (self.host, self.namespace, self.model, self.tag)))

    def is_same_model(self, other: StoredName) -> bool:
        """Tell whether both have the same name but for the tag."""
        return self.key[:3] == other.key[:3]

    def __str__(self) -> str:
        """Return the name as a user writes it."""
        tagged = f"{self.model}:{self.tag}"
        if self.host != _HOST:
            return f"{PREFIX}{self.host}/{self.namespace}/{tagged}"
        return PREFIX + (tagged if self.namespace == _NAMESPACE else f"{self.namespace}/{tagged}")


class _Layer(BaseModel):
    media_type: str = Field(alias="mediaType")
    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$")
    size: int


class _Manifest(BaseModel):
    layers: list[_Layer]


def find(name: str) -> StoredModel:
    """Return the files of ollama:[host/][namespace/]model[:tag].

    Raises:
        ModelError: the store has no such model, or not all of it.
        OSError: a manifest or a folder can't be read.
    """
    wanted = _parsed(name)
    stored = list(names())
    for each in stored:
        if each.key == wanted.key:
            return _files(name, each.manifest)
    typed = name.removeprefix(PREFIX)
    raise ModelError(name, _problem(wanted, stored), _remedy(typed, wanted, stored))


def meant_by(text: str) -> str:
    """Return the name that likely is meant by a model's page at Ollama's, or by ollama/model:tag;
    "" where it is neither."""
    match = _ADDRESS.fullmatch(text)
    is_file_name = text.lower().endswith(".gguf")
    return PREFIX + match["name"] if match and not is_file_name else ""


def names() -> Iterator[StoredName]:
    """Yield all models of all stores."""
    for store in stores():
        for manifest in sorted((store / "manifests").glob("*/*/*/*")):
            if is_file(manifest) and not manifest.name.startswith("."):
                yield StoredName.of(manifest)


def stores() -> list[Path]:
    """Return the stores that are here and can be read: OLLAMA_MODELS alone where it is set."""
    own = os.environ.get("OLLAMA_MODELS")
    places = [Path(own)] if own else [Path("~/.ollama/models").expanduser(), *_SYSTEM_STORES]
    found = []
    for place in places:
        with suppress(OSError):  # another user's
            if os.access(place / "manifests", os.R_OK | os.X_OK):
                found.append(place)
    return found


def _parsed(name: str) -> StoredName:
    path, _, tag = name.removeprefix(PREFIX).rpartition(":")
    if not path or "/" in tag:
        path, tag = name.removeprefix(PREFIX), _TAG
    parts = path.split("/")
    if not all(parts) or not tag or len(parts) > 3:
        problem = "this is no name of Ollama's"
        raise ModelError(name, problem, "Write ollama:model:tag, as `ollama list` has it")
    host, namespace, model = (_HOST, _NAMESPACE, "")[: 3 - len(parts)] + tuple(parts)
    return StoredName(host, namespace, model, tag)


def _problem(wanted: StoredName, stored: Sequence[StoredName]) -> str:
    if not stored:
        places = ", ".join(map(str, stores()))
        return f"Ollama's store is {f'empty ({places})' if places else 'not here'}"
    if any(each.is_same_model(wanted) for each in stored):
        return f"Ollama's store has this model, but not with the tag {wanted.tag}"
    return "there is no such model in Ollama's store"


def _remedy(typed: str, wanted: StoredName, stored: Sequence[StoredName]) -> str:
    pull = f"ollama pull {typed}"
    if not stored:
        return f"Fetch it with {pull}, or set OLLAMA_MODELS to where the models are"
    if near := _near(wanted, stored):
        return f"There is {listed(near)}; or fetch it with {pull}"
    return f"`lectern models list` shows what there is; or fetch it with {pull}"


def _near(wanted: StoredName, stored: Sequence[StoredName]) -> list[str]:
    """Return the names that may have been meant: those of the same model, else of models that are
    called alike, the nearest tags first."""
    same = [each for each in stored if each.is_same_model(wanted)] or stored
    models = close(wanted.model, (each.model for each in same))
    tags = nearest(wanted.tag, (each.tag for each in same))
    near = (each for each in same if each.model in models)
    by_name = sorted(near, key=lambda each: (models.index(each.model), tags.index(each.tag)))
    return list(map(str, by_name))


def _files(name: str, manifest: Path) -> StoredModel:
    try:
        layers = _Manifest.model_validate_json(manifest.read_bytes()).layers
    except ValidationError as error:
        problem = f"Ollama's manifest {manifest} is damaged"
        raise ModelError(name, problem, _pull(manifest)) from error
    blobs = manifest.parents[4] / "blobs"
    models = [_blob(name, blobs, each) for each in layers if each.media_type == _MODEL_LAYER]
    if not models:
        raise ModelError(name, "Ollama holds no GGUF of it", "Choose another model")
    adapters = (_blob(name, blobs, each) for each in layers if each.media_type == _ADAPTER_LAYER)
    return StoredModel(models[-1], tuple(adapters))


def _blob(name: str, blobs: Path, layer: _Layer) -> Path:
    """Return where a layer lies; a broken download is told by its size."""
    digest = layer.digest.removeprefix("sha256:")
    for path in (blobs / f"sha256-{digest}", blobs / layer.digest):  # the latter: before 2024
        if path.is_file():
            if path.stat().st_size != layer.size:
                problem = f"{path} has {path.stat().st_size:,} of {layer.size:,} bytes"
                raise ModelError(name, problem, "Fetch it again with ollama pull")
            return path.absolute()
    problem = f"{blobs / f'sha256-{digest}'} is missing from Ollama's store"
    raise ModelError(name, problem, "Fetch it again with ollama pull")


def _pull(manifest: Path) -> str:
    name = StoredName.of(manifest)
    return f"Fetch it again with ollama pull {str(name).removeprefix(PREFIX)}"
