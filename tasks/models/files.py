"""From a model's name to its GGUF file on this disk.

Owns the forms a name can take (a path, hf:owner/repo:quantization, ollama:name:tag, a name from
models.toml; each with adapters behind a +), and a file's identity. Looks into the files for no more
than their kind; whether they are whole and adapters suit a model, and whether it is to be fetched,
others tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.errors import ModelError, StorageError
from tasks.models import hub_names, ollama
from tasks.models.adapters import (
    AdaptedName,
    Adapter,
    adapters_of,
    default_adapters,
    lies_in,
)
from tasks.models.identity import content_hash, remembered_hash, stamp_of_paths
from tasks.models.names import is_address, is_path, meant_instead, read_name
from tasks.models.pieces import refuse_pieces
from tasks.models.registry import KnownModel, read_known, told_as
from tasks.models.split_check import sound_parts
from tasks.models.split_files import is_file, kind_of, parts_of, siblings, user_path
from tasks.models.suiting import refuse_unsuited
from tasks.settings import Settings

Progress = Callable[[str, int, int], None]
"""progress(label, done_bytes, total_bytes)"""

Lora = tuple[tuple[str, float, str], ...]
"""Of each adapter its path, its scale and its sha256."""

_FORMS = "Write hf:owner/repo:quantization, ollama:name, or a GGUF file's path"


@dataclass(frozen=True)
class ModelFiles:
    """A model that lies on this disk, or at least its header.

    Attributes:
        name: as the user gave it, adapters included.
        parts: absolute paths; more than one for a split file, in order.
        known: its entry in models.toml, if the name is from there.
        adapters: to be put on it, in this order.
        header_only: of the parts only the headers are here; the rest of each is a hole.
        identity: known without reading them; "" where they must be read.
    """

    name: str
    parts: tuple[Path, ...]
    known: KnownModel | None = None
    adapters: tuple[Adapter, ...] = ()
    header_only: bool = False
    identity: str = ""

    def vocabulary_key(self, identity: str) -> str:
        """Return what its vocabulary is kept under: a header alone was compared with no checksum,
        and must not stand for that of the whole file."""
        return f"header-{identity}" if self.header_only else identity

    @property
    def file_name(self) -> str:
        """The (first) file's name; of a blob in Ollama's store, which has none, the model's."""
        name = self.parts[0].name
        return self.name if name.startswith("sha256") else name


def resolve(
    name: str,
    settings: Settings,
    progress: Progress | None = None,
    *,
    header_only: bool = False,
    before_fetching: Callable[[ModelFiles], None] | None = None,
) -> ModelFiles:
    """Find a model's files, fetching them if they are on a hub and not yet here.

    Args:
        name: a path; hf:owner/repo:quantization; hf:owner/repo/file.gguf; ollama:name:tag; or a
            name from models.toml, perhaps with another :quantization. Behind it +adapter.gguf or
            +adapter.gguf@0.5, once or more often; without any, those of its entry in models.toml
            and of the setting `pool_lora`.
        header_only: of a model on a hub that is not here, fetch the header alone (and the
            adapters).
        before_fetching: called with the header of a model that is to be fetched, and the adapters;
            what it raises keeps the model from being fetched. Where the hub gives no header alone,
            it is not called.

    Raises:
        ModelError: there is no such model, it can't be fetched, or an adapter is another model's.
    """
    taken, entry, origin = _meant(name, settings)

    def together(found: ModelFiles) -> ModelFiles:
        _refuse_additions(found)
        named = adapters_of(name, taken.adapters, entry, settings, progress)
        files = replace(found, known=entry, adapters=(*found.adapters, *named))
        refuse_unsuited(files.parts, [adapter.path for adapter in files.adapters])
        return files

    try:
        if before_fetching and not header_only and _is_away(origin):
            with told_as(taken.base, origin, entry):
                header = _header_alone(origin, name, settings, progress)
            if header is not None:
                before_fetching(together(header))
        with told_as(taken.base, origin, entry):
            found = _found(origin, name, settings, progress, header_only)
        return together(found)
    except OSError as error:  # a folder without permission, a name that is too long
        problem = f"it can't be read ({error.strerror})"
        raise ModelError(name, problem, "Check the path and its permissions") from error


def to_fetch(name: str, settings: Settings) -> list[str]:
    """Return what of a model and its adapters resolve() would fetch from a hub, as hf: names.

    Raises:
        ModelError: one of them is no name.
    """
    return [each for each in on_hub(name, settings) if _is_away(each)]


def on_hub(name: str, settings: Settings) -> list[str]:
    """Return what of a model and its adapters is from a hub, as hf: names, whether it is here or
    not.

    Raises:
        ModelError: it is no name.
    """
    taken, entry, origin = _meant(name, settings)
    adapters = taken.adapters or default_adapters(entry, settings)
    return [each for each in (origin, *(a.file for a in adapters)) if each.startswith("hf:")]


def origin_of(
    name: str, known: Mapping[str, KnownModel], settings: Settings
) -> tuple[KnownModel | None, str]:
    """Return a name's entry in models.toml, if it has one, and the name of what that means.

    Args:
        name: without adapters.
    """
    base, _, quantization = name.rpartition(":")
    if name in known:
        entry = known[name]
        return entry, str(settings.models / entry.file) if entry.file else entry.source
    if base in known and known[base].source.startswith("hf:"):
        return known[base], f"hf:{hub_names.parse(known[base].source).repo}:{quantization}"
    return None, name


def absolute_name(name: str, base: Path) -> str:
    """Return a name that means the same from any working directory.

    Args:
        base: where a relative path counts from.
    """
    taken = read_name(name, lambda text: is_file(base / user_path(text)))
    adapters = (replace(each, file=_absolute_file(each.file, base)) for each in taken.adapters)
    return str(replace(taken, base=_absolute_base(taken.base, base), adapters=tuple(adapters)))


def identify(files: ModelFiles, home: Path, progress: Progress | None = None) -> str:
    """Return the hex sha256 of a model's bytes, all parts in order.

    It is remembered in home/identities by path, size, mtime and inode, so that only a new or
    changed file is read. That of a model whose header alone is here is as the hub tells it.
    """
    if files.header_only:
        return files.identity
    try:
        return content_hash(files.parts, home, progress)
    except OSError as error:
        problem = f"it can't be read ({error.strerror})"
        raise ModelError(files.name, problem, "Check its permissions, and the disk") from error


def remembered_identity(files: ModelFiles, home: Path) -> str:
    """Return what identify() returns where that takes no reading; else ""."""
    if files.header_only:
        return files.identity
    try:
        return remembered_hash(files.parts, home)
    except OSError:
        return ""


def identify_adapter(path: Path, home: Path, progress: Progress | None = None) -> str:
    """Return the hex sha256 of an adapter's bytes, remembered as a model's is."""
    return identify(ModelFiles(path.name, (path,)), home, progress)


def identify_adapters(files: ModelFiles, home: Path, progress: Progress | None = None) -> Lora:
    """Return a model's adapters with the hashes of their bytes."""
    return tuple(
        (str(each.path), each.scale, identify_adapter(each.path, home, progress))
        for each in files.adapters
    )


def stamp_of(files: ModelFiles) -> list[list[int | str]]:
    """Return what tells, without reading them, whether files are still the same: of each part and
    each adapter its path, size, time of change and inode.

    Raises:
        OSError: one is gone.
    """
    return stamp_of_paths([*files.parts, *(adapter.path for adapter in files.adapters)])


def _meant(name: str, settings: Settings) -> tuple[AdaptedName, KnownModel | None, str]:
    """Return a name taken apart, its entry in models.toml, and the name of what its base means."""
    if not name.strip():
        raise ModelError("the model", "no name is given", _FORMS)
    known = read_known(settings.models / "models.toml")
    taken = read_name(name, lambda text: text in known or lies_in(text, settings, Path.cwd()))
    if is_address(taken.base):
        meant = ollama.meant_by(taken.base)
        remedy = f"Did you mean {meant}? Or w{_FORMS[1:]}" if meant else _FORMS
        raise ModelError(name, "this is an address and no model's name", remedy)
    return taken, *origin_of(taken.base, known, settings)


def _found(
    origin: str, name: str, settings: Settings, progress: Progress | None, header_only: bool
) -> ModelFiles:
    if origin.startswith("hf:"):
        return _on_hub(origin, name, settings, progress, header_only)
    if origin.startswith(ollama.PREFIX):
        stored = ollama.find(origin)
        return ModelFiles(name, (stored.path,), adapters=tuple(map(Adapter, stored.adapters)))
    path = user_path(origin).absolute()
    if meant := meant_instead(origin, Path.cwd()):
        raise ModelError(
            name, "there is no such file", f"Did you mean {meant}? Else check the path"
        )
    if path.exists() or is_path(origin):
        return ModelFiles(name, _parts(path, name, settings))
    from tasks.models.inventory import no_such_model

    raise no_such_model(name, origin, settings)


def _parts(path: Path, name: str, settings: Settings) -> tuple[Path, ...]:
    """Return a file's parts; of those that were read before, the headers are not looked at."""
    refuse_pieces(path, name)
    parts = tuple(siblings(path))
    with suppress(OSError):
        if remembered_hash(parts, settings.home):
            return parts
    return sound_parts(path, name)


def _is_away(origin: str) -> bool:
    """Tell whether what a name means is on a hub, and not in its cache.

    Raises:
        ModelError: it is no name.
    """
    if not origin.startswith("hf:"):
        return False
    from tasks.models.hub import cached  # its library takes a second to import

    return not cached(origin)


def _refuse_additions(files: ModelFiles) -> None:
    """Complain about a file that says that it only adds to a model.

    Raises:
        ModelError: it does.
    """
    kind = kind_of(files.parts[0])
    if kind == "adapter":
        remedy = f"Put it behind the name of the model that it is for: MODEL+{files.file_name}"
        raise ModelError(files.name, "it is an adapter and no model", remedy)
    if kind not in ("", "model"):
        problem = f"it is no model, but an addition to one ({kind})"
        raise ModelError(files.name, problem, "Choose the model itself")


def _on_hub(
    origin: str, name: str, settings: Settings, progress: Progress | None, header_only: bool
) -> ModelFiles:
    from tasks.models import hub  # its library takes a second to import

    if header_only and not hub.cached(origin):
        from tasks.models.remote_header import fetch_header

        header = fetch_header(origin, settings, progress)
        return ModelFiles(name, header.parts, header_only=True, identity=header.identity)
    return ModelFiles(name, parts_of(hub.fetch(origin, progress), name))


def _header_alone(
    origin: str, name: str, settings: Settings, progress: Progress | None
) -> ModelFiles | None:
    """Return what is on a hub by its header; None where that can't be had, though the whole may."""
    from tasks.models.remote_header import HeaderError

    try:
        return _on_hub(origin, name, settings, progress, header_only=True)
    except (HeaderError, StorageError):
        return None


def _absolute_base(name: str, base: Path) -> str:
    path = base / user_path(name)
    is_meant = is_file(path) or (is_path(name) and not meant_instead(name, base))
    return str(path) if is_meant else name


def _absolute_file(name: str, base: Path) -> str:
    """Return an adapter's name; one that is not there may be in the models' folder."""
    path = base / user_path(name)
    return str(path) if is_file(path) else name
