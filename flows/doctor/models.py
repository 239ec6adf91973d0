"""The models: what models.toml names, and those that are used when none is named."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from flows.doctor.findings import Finding, failed, ok, size, warning
from flows.doctor.machine import memory_limit
from tasks.errors import ModelError
from tasks.models.families.table import family
from tasks.models.files import ModelFiles, absolute_name, resolve, to_fetch
from tasks.models.nearest import listed
from tasks.models.registry import read_known
from tasks.pool.fit import free_memory
from tasks.settings import PROJECT_ROOT, Settings

_OVERHEAD = 1.2  # of the weights: what llama.cpp computes in comes on top


def known_models(settings: Settings) -> Iterator[Finding]:
    """The models that models.toml has names for."""
    path = settings.models / "models.toml"
    try:
        known = read_known(path)
    except ModelError as error:
        yield failed("models.toml", f"{path}: {error.problem}", error.remedy)
        return
    if not known:
        yield warning("models.toml", f"{path} is missing: no model has a name but its path",
                      f"git checkout {path}")  # fmt: skip
        return
    missing = [name for name, model in known.items()
               if model.file and not (settings.models / model.file).exists()]  # fmt: skip
    if missing:
        found = f"{path} names files that are not there: {', '.join(missing)}"
        yield warning("models.toml", found, f"put them into {settings.models}, or remove the names")
    else:
        yield ok("models.toml", listed(list(known)))


def default_model(settings: Settings) -> Iterator[Finding]:
    """The model of the setting `model`: is it here, readable, and small enough."""
    name = absolute_name(settings.model, PROJECT_ROOT)
    try:
        if missing := to_fetch(name, settings):
            text = ", ".join(each for each in missing if each != settings.model)
            what = f"{text} is fetched" if text else "fetched"
            yield ok(
                "default model", f"{settings.model}: {what} from the hub when it is first used"
            )
            return
        files = resolve(name, settings)
    except ModelError as error:
        yield failed("default model", f"{error.subject}: {error.problem}", error.remedy)
        return
    yield from _fit(settings.model, files)


def chat_format(settings: Settings) -> Iterator[Finding]:
    """The setting `pool_chat_format`: is there such a family."""
    if name := settings.pool_chat_format:
        try:
            family(name, "")
        except ModelError as error:
            yield failed("chat format", error.problem, error.remedy)
        else:
            yield ok("chat format", f"{name}, for every model without one in models.toml")


def speech_model(settings: Settings) -> Iterator[Finding]:
    """The setting `speech_model`: is it here, and small enough."""
    from tasks.media.whisper_models import free_mb, here

    name = settings.speech_model
    try:
        model = here(settings)
    except ModelError as error:
        yield failed("speech model", f"{name}: {error.problem}", error.remedy)
        return
    if model is None:
        yield ok("speech model", f"{name}: fetched from the hub when a lecture is first heard")
        return
    text = f"{name}: {model.name}" if name == "auto" else name
    text = f"{text}, needs about {size(model.need_mb << 20)}"
    free = free_mb(model.device)
    if model.need_mb > free:
        remedy = "end other programs, or set LECTERN_SPEECH_MODEL to a smaller one"
        yield warning("speech model", f"{text}: only {size(free << 20)} are free", remedy)
    else:
        yield ok("speech model", f"{text}, fits in memory")


def _fit(name: str, files: ModelFiles) -> Iterator[Finding]:
    parts = [*files.parts, *(adapter.path for adapter in files.adapters)]
    try:
        for part in parts:
            with part.open("rb") as file:
                start = file.read(4)
            if start != b"GGUF":
                yield failed("default model", f"{part} is no GGUF file", "fetch it again")
                return
    except OSError as error:
        yield failed("default model", f"{name}: {error.strerror}: {part}", f"chmod u+r {part}")
        return
    total = sum(part.stat().st_size for part in parts)
    needed = total * _OVERHEAD
    there = min(psutil.virtual_memory().total, memory_limit())
    free = min(free_memory(), there)
    text = f"{name}, {size(total)}"
    smaller = "choose a smaller quantization, such as q4_0, or a smaller model"
    if needed > there:
        yield failed("default model", f"{text}: more than the memory of {size(there)}", smaller)
    elif needed > free:
        yield warning("default model", f"{text}: only {size(free)} are free", "end other programs")
    else:
        yield ok("default model", f"{text}, fits in memory")
