"""The settings whose best values depend on model and machine: what is known of them, and from whom.

What the user sets wins, then what was measured, then defaults that are safe anywhere. Owns the
folder home/tuning, where the measured values are kept by model, machine and context. Measures
nothing (tasks.pool.measuring) and searches nothing (tasks.pool.search).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Interval

from tasks.files import make_folder, write_private
from tasks.pool.machine import machine
from tasks.pool.protocol import FlashAttn, WorkerConfig

if TYPE_CHECKING:  # not in the worker, which needs none of it and is to start fast
    from pydantic import TypeAdapter

    from tasks.models.spec import ModelSpec
    from tasks.settings import Settings

# A chunk of a usual summary: tokens of its own in the prompt, and of the answer.
PROMPT_TOKENS, ANSWER_TOKENS = 1500, 200


@dataclass(frozen=True)
class Tuning:
    """What can be tuned; the fields of WorkerConfig by the same names."""

    n_seq_max: Annotated[int, Interval(ge=1, le=64)] = 8
    n_batch: Annotated[int, Interval(ge=32, le=1 << 16)] = 512
    n_threads: Annotated[int, Interval(ge=0, le=1 << 12)] = 0
    n_threads_batch: Annotated[int, Interval(ge=0, le=1 << 12)] = 0
    kv_unified: bool = False
    flash_attn: FlashAttn = "auto"


FIELDS = tuple(each.name for each in fields(Tuning))


@dataclass(frozen=True)
class Rates:
    """Tokens a second that a tuning was measured to do.

    Attributes:
        prefill: of a prompt.
        decode: of all sequences together.
        alone: of one sequence while the others rest.
    """

    prefill: float
    decode: float
    alone: float

    @property
    def chunks_per_hour(self) -> float:
        return 3600 / (PROMPT_TOKENS / self.prefill + ANSWER_TOKENS / self.decode)


def tuning_for(settings: Settings, identity: str) -> Tuning:
    """Return how a model runs here: as the user sets it, else as measured, else by default."""
    return replace(Tuning(), **kept(settings, identity) | _set(settings))


def default_tuning(settings: Settings) -> Tuning:
    """Return how a model runs where nothing was measured."""
    return replace(Tuning(), **_set(settings))


def free_fields(settings: Settings) -> list[str]:
    """Return what the user leaves to be measured."""
    return [name for name in FIELDS if name not in _set(settings)]


def missing(settings: Settings, identity: str) -> list[str]:
    """Return what is neither set nor kept."""
    return sorted(set(free_fields(settings)) - kept(settings, identity).keys())


def worker_config(
    settings: Settings, spec: ModelSpec, tuning: Tuning, draft_path: str = ""
) -> WorkerConfig:
    n_ctx = min(settings.pool_n_ctx, spec.n_ctx_max or settings.pool_n_ctx)
    config = WorkerConfig(
        model_path=str(spec.path),
        n_ctx=n_ctx,
        n_gpu_layers=settings.pool_n_gpu_layers,
        draft_path=draft_path,
        adapts=not settings.pool_n_seq_max,
        lora=spec.lora,
        rope_scaling=spec.rope_scaling,
        rope_factor=spec.rope_factor,
        tensor_split=settings.pool_tensor_split,
        **asdict(tuning),
    )
    if settings.pool_speculation == "off":
        return replace(config, n_draft=0, draft_path="")
    return config


def kept(settings: Settings, identity: str) -> dict[str, Any]:
    """Return what was measured of a model here; nothing where the file is missing or damaged."""
    try:
        body = json.loads(_file(settings, identity).read_bytes())
        values = {name: body["tuning"][name] for name in FIELDS if name in body["tuning"]}
        _validator().validate_json(json.dumps(values), strict=True)
    except (OSError, ValueError, TypeError, KeyError):  # ValueError: also of what is out of range
        return {}
    return values


@cache
def _validator() -> TypeAdapter[Tuning]:
    from pydantic import TypeAdapter

    return TypeAdapter(Tuning)


def keep(settings: Settings, identity: str, tuning: Mapping[str, Any]) -> Path:
    """Keep values of a Tuning's fields that were measured, beside those that are kept of others.

    Returns:
        Where.

    Raises:
        StorageError: it can't be written.
    """
    path = _file(settings, identity)
    make_folder(path.parent)
    body = {
        "model": identity,
        "machine": machine(),
        "n_ctx": settings.pool_n_ctx,
        "n_gpu_layers": settings.pool_n_gpu_layers,
        "tuning": kept(settings, identity) | dict(tuning),
    }
    write_private(path, json.dumps(body, indent=1))
    return path


def _file(settings: Settings, identity: str) -> Path:
    """Return the file of a model here, in contexts of this size: they decide what fits."""
    parts = [identity, machine(), str(settings.pool_n_gpu_layers), str(settings.pool_n_ctx)]
    if settings.pool_tensor_split:
        parts.append(str(settings.pool_tensor_split))
    name = sha256("\0".join(parts).encode()).hexdigest()
    return settings.home / "tuning" / f"{name}.json"


def _set(settings: Settings) -> dict[str, Any]:
    """Return what the user has set; one number of threads is for all steps."""
    threads = settings.pool_n_threads
    values: dict[str, Any] = {
        "n_seq_max": settings.pool_n_seq_max,
        "n_batch": settings.pool_n_batch,
        "n_threads": threads,
        "n_threads_batch": settings.pool_n_threads_batch or threads,
    }
    values = {name: value for name, value in values.items() if value}
    if settings.pool_kv_cache != "auto":
        values["kv_unified"] = settings.pool_kv_cache == "unified"
    if settings.pool_flash_attn != "auto":
        values["flash_attn"] = settings.pool_flash_attn
    return values
