"""LoRA adapters over a loaded model, by llama.cpp.

Owns putting them on a context. What a request calls them is tasks.models.adapters'
business.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp as llama

from tasks.models.llama_log import LlamaLog
from tasks.models.lora import load_adapter


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter in memory; it goes with its model.

    Attributes:
        scale: beside the file's own alpha over rank.
    """

    handle: Any
    scale: float


def size_of(lora: Sequence[Sequence[str | float]]) -> int:
    """Return the bytes that adapters take, given as a WorkerConfig has them."""
    return sum(Path(str(path)).stat().st_size for path, *_ in lora)


def load_adapters(
    model: Any, lora: Sequence[Sequence[str | float]], log: LlamaLog
) -> tuple[LoadedAdapter, ...]:
    """Load adapters, given as a WorkerConfig has them.

    Raises:
        ModelError: one can't be loaded, or is another model's.
    """
    return tuple(
        LoadedAdapter(load_adapter(model, Path(str(path)), log), float(scale))
        for path, scale, *_ in lora
    )


def put_on(ctx: Any, adapters: Sequence[LoadedAdapter]) -> None:
    """Let a context compute with adapters, from now on."""
    if not adapters:
        return
    n = len(adapters)
    handles = (llama.llama_adapter_lora_p_ctypes * n)(*(each.handle for each in adapters))
    scales = (ctypes.c_float * n)(*(each.scale for each in adapters))
    llama.llama_set_adapters_lora(ctx, handles, n, scales)
