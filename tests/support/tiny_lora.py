"""Write a LoRA adapter in GGUF for the tiny model, and what it adds to the weights.

The format: convert_lora_to_gguf.py in llama.cpp; a tensor's change is
alpha / rank * scale * lora_b @ lora_a.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray
from support.tiny_model import N_EMBD

RANK, ALPHA = 4, 8.0
TENSORS = ("blk.0.attn_q.weight", "blk.1.attn_output.weight")


def write_lora(
    path: Path, *, seed: int = 1, architecture: str = "llama", width: int = N_EMBD
) -> dict[str, NDArray[np.float32]]:
    """Write the adapter; return by tensor what it adds at a scale of 1."""
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", ALPHA)
    changes = {}
    for name in TENSORS:
        a = rng.standard_normal((RANK, width), np.float32) * np.float32(0.3)
        b = rng.standard_normal((width, RANK), np.float32) * np.float32(0.3)
        writer.add_tensor(f"{name}.lora_a", a)
        writer.add_tensor(f"{name}.lora_b", b)
        changes[name] = (b @ a) * np.float32(ALPHA / RANK)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return changes


def write_adapter(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    architecture: str = "llama",
    kind: str = "lora",
    alpha: float | str = ALPHA,
) -> Path:
    """Write an adapter of any tensors, all zeros; shapes with the row's length last."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", kind)
    add_alpha = writer.add_string if isinstance(alpha, str) else writer.add_float32
    add_alpha("adapter.lora.alpha", alpha)  # type: ignore[arg-type]
    for name, shape in shapes.items():
        writer.add_tensor(name, np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
