"""From the setting speech_model to a Whisper's folder on this disk, and where it is to run.

Owns what the setting can say, which model `auto` means, and whether there is memory for it. Does
not load it: that is a child process's.

A model is looked for in settings.models (whisper-NAME or NAME), then in the hub's cache, and
fetched at last. The demo's model, which knows the words of the demo and no others, is only used by
its name.
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import psutil

from tasks.errors import ModelError
from tasks.media.speech_hub import NEEDED, WANTED, cached, fetch
from tasks.media.speech_shapes import BEST, FETCHED, KNOWN, MIB, need_mb, shape_of
from tasks.models.files import ModelFiles, Progress, identify
from tasks.pool.cgroups import memory_groups
from tasks.settings import Settings

DEMO = "demo"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_SHARE = 0.7  # of a machine's memory that auto counts on
_ELSE_MB = 4096  # of a GPU that does not tell

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpeechModel:
    """A Whisper on this disk.

    Attributes:
        name: as the user or `auto` has it.
        device: cpu or cuda; compute_type: CTranslate2's.
        need_mb: memory that it takes at most, about; of the GPU, on one.
    """

    name: str
    folder: Path
    device: str
    compute_type: str
    need_mb: int


def resolve(settings: Settings, progress: Progress | None = None) -> SpeechModel:
    """Return the model that is set, fetched if need be. It depends on no passing state.

    Raises:
        ModelError: there is no such model, or it can't be had.
    """
    device = _device(settings)
    name = settings.speech_model
    if name == "auto":
        return _automatic(settings, device, progress)
    return _at(name, _folder(name, settings, progress), device, settings)


def that_fits(model: SpeechModel, settings: Settings) -> SpeechModel:
    """Return a model for which there is memory now: the one given, or where that was chosen by
    `auto`, a smaller one that is on this disk.

    Raises:
        ModelError: there is none.
    """
    free = free_mb(model.device)
    smaller = _on_disk(settings) if settings.speech_model == "auto" else iter(())
    candidates = [model, *(_at(name, folder, model.device, settings) for name, folder in smaller)]
    for each in candidates:
        if each.need_mb <= min(free, model.need_mb):
            if each.name != model.name:
                log.warning("%s MB are free: %s instead of %s", free, each.name, model.name)
            return each
        if each.device == "cuda":
            tight = _at(each.name, each.folder, "cuda", settings, "int8_float16")
            if tight.need_mb <= free:
                return tight
    where = "of the GPU's memory" if model.device == "cuda" else "of memory"
    raise ModelError(
        model.name,
        f"it needs about {model.need_mb} MB {where} to recognise speech, and {free} are free",
        "Close other programs, set LECTERN_SPEECH_MODEL to a smaller model, "
        "or LECTERN_SPEECH_BATCH to less",
    )


def identity(model: SpeechModel, settings: Settings, progress: Progress | None = None) -> str:
    """Return the hex sha256 of a model's files; they are only read when they are new or changed."""
    found = [path for wanted in WANTED for path in sorted(model.folder.resolve().glob(wanted))]
    return identify(ModelFiles(model.name, tuple(reversed(found))), settings.home, progress)


def here(settings: Settings) -> SpeechModel | None:
    """Return the model that is set, as far as it is on this disk; None: it would be fetched.

    Raises:
        ModelError: there is no such model.
    """
    name, device = settings.speech_model, _device(settings)
    if name == "auto":
        return next((_at(each, path, device, settings) for each, path in _on_disk(settings)), None)
    place = _place(name, settings)
    folder = cached(place) if isinstance(place, str) else place
    return _at(name, folder, device, settings) if folder else None


def _folder(name: str, settings: Settings, progress: Progress | None) -> Path:
    """Return the folder of the model that a name or a path means."""
    place = _place(name, settings)
    if isinstance(place, Path):
        return place
    others = [each for each, _ in _on_disk(settings)]
    return _checked(name, fetch(name, place, others, progress))


def _place(name: str, settings: Settings) -> Path | str:
    """Return the folder that a name or a path means, else the repository.

    Raises:
        ModelError: there is no such model.
    """
    if found := _local(name, settings):
        return _checked(name, found)
    path = Path(name).expanduser().absolute()
    if path.is_dir():
        return _checked(name, path)
    repo = KNOWN[name][0] if name in KNOWN else name
    is_path = name.startswith(("/", ".", "~")) or path.exists()
    if is_path or not _REPOSITORY.fullmatch(repo):
        raise _no_such(name, is_path)
    return repo


def _local(name: str, settings: Settings) -> Path | None:
    if "/" in name:
        return None
    folders = (settings.models / f"whisper-{name}", settings.models / name)
    return next((folder for folder in folders if folder.is_dir()), None)


def _checked(name: str, folder: Path) -> Path:
    missing = [each for each in NEEDED if not (folder / each).is_file()]
    if missing:
        problem = f"{folder} lacks {', '.join(missing)} of a Whisper for CTranslate2"
        raise ModelError(name, problem, "Give the folder of a converted model, or fetch it again")
    return folder


def _no_such(name: str, is_path: bool) -> ModelError:
    if is_path:
        remedy = "Give the folder of a Whisper for CTranslate2, with its model.bin"
        return ModelError(name, "there is no such folder", remedy)
    close = get_close_matches(name, [*KNOWN, DEMO, "auto"], n=1)
    guess = f"Did you mean {close[0]}? " if close else ""
    remedy = f"{guess}Write a folder, owner/name, auto, or one of {', '.join(KNOWN)}"
    return ModelError(name, "there is no such model of speech", remedy)


def _on_disk(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yield the models for any language that are here, the best first."""
    for name in BEST:
        folder = _local(name, settings) or cached(KNOWN[name][0])
        if folder and all((folder / each).is_file() for each in NEEDED):
            yield name, folder


def _automatic(settings: Settings, device: str, progress: Progress | None) -> SpeechModel:
    """Return the best model that is here and fits this machine; else fetch the best that fits."""
    room = all_mb(device)
    found = [_at(name, folder, device, settings) for name, folder in _on_disk(settings)]
    fitting = [model for model in found if model.need_mb <= room]
    if fitting or found:
        return (fitting or found[-1:])[0]
    compute = _compute_type(device)
    names = [
        name for name in FETCHED if need_mb(KNOWN[name][1], settings.speech_batch, compute) <= room
    ]
    name = (names or FETCHED[-1:])[0]
    return _at(name, fetch(name, KNOWN[name][0], [], progress), device, settings)


def _at(
    name: str, folder: Path, device: str, settings: Settings, compute_type: str = ""
) -> SpeechModel:
    compute_type = compute_type or _compute_type(device)
    shape = shape_of(name, (folder / "model.bin").stat().st_size)
    need = need_mb(shape, settings.speech_batch, compute_type)
    return SpeechModel(name, folder, device, compute_type, need)


def _compute_type(device: str) -> str:
    return "float16" if device == "cuda" else "int8"


def _device(settings: Settings) -> str:
    """Return where to recognise.

    Raises:
        ModelError: a GPU is set, and there is none that can be used.
    """
    if settings.speech_device == "cpu" or (settings.speech_device == "auto" and not _has_driver()):
        return "cpu"
    import ctranslate2

    if ctranslate2.get_cuda_device_count():
        return "cuda"
    if settings.speech_device == "auto":
        return "cpu"
    problem = "there is no GPU that CTranslate2 can use"
    raise ModelError("speech_device", problem, "Set LECTERN_SPEECH_DEVICE to cpu, or auto")


def _has_driver() -> bool:
    return Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi") is not None


def free_mb(device: str) -> int:
    """Return what memory is free now."""
    if device == "cuda":
        return _gpu_mb("memory.free")
    from tasks.pool.fit import free_memory

    return free_memory() // MIB


def all_mb(device: str) -> int:
    """Return what memory a model may count on here, whatever else runs at the moment."""
    if device == "cuda":
        return round(_gpu_mb("memory.total") * _SHARE)
    total = min([psutil.virtual_memory().total, *(group.limit for group in memory_groups())])
    return round(total / MIB * _SHARE)


def _gpu_mb(what: str) -> int:
    """Return the first GPU's memory, as its driver's program tells."""
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits", "--id=0"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        return int(told.stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return _ELSE_MB
