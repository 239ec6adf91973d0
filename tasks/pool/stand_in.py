"""A small model of a real one's width, with random weights: what it can tell is how fast it is.

Two layers and hardly a vocabulary, so that it can be quantized in every way within seconds. Owns
reading the width out of a real model's header, and writing the stand-in.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from tasks.models.header_values import header_value
from tasks.models.registry import ModelShape
from tasks.models.shape_file import add_shape
from tasks.models.tensors import UnknownShapeError, tensors_of

N_CTX, N_VOCAB = 4096, 256
_LAYERS = 2  # quantizations that mix types give every other layer more bits
# Keys of architectures whose work is not that of dense layers of attention and feed-forward.
_FOREIGN = ("expert_count", "ssm.state_size", "wkv.head_size", "attention.kv_lora_rank")
Values = NDArray[np.float16] | NDArray[np.float32]


def shape_of(model: Any) -> ModelShape:
    """Return the shape of a stand-in for a loaded model, weights or not.

    Raises:
        UnknownShapeError: it has experts, states or the like, or layers that differ.
    """
    architecture = header_value(model, "general.architecture")

    def number(key: str, otherwise: int | None = None) -> int:
        text = header_value(model, f"{architecture}.{key}")
        if text.isdecimal():
            return int(text)
        if text or otherwise is None:  # an array: layers differ
            raise UnknownShapeError(f"its architecture, {architecture}, is another kind")
        return otherwise

    if any(header_value(model, f"{architecture}.{key}") not in ("", "0") for key in _FOREIGN):
        raise UnknownShapeError(f"its architecture, {architecture}, has experts or states")
    width, heads = number("embedding_length"), number("attention.head_count")
    return ModelShape(
        architecture="llama",
        n_vocab=N_VOCAB,
        context_length=N_CTX,
        block_count=_LAYERS,
        embedding_length=width,
        feed_forward_length=number("feed_forward_length"),
        head_count=heads,
        head_count_kv=number("attention.head_count_kv", heads),
        key_length=number("attention.key_length", width // max(1, heads)),
    )


def write_stand_in(path: Path, shape: ModelShape) -> None:
    """Write it in f16. All layers share one set of weights in memory."""
    writer = gguf.GGUFWriter(path, shape.architecture)
    add_shape(writer, shape)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    for name, values in _filled(shape):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _filled(shape: ModelShape) -> Iterator[tuple[str, Values]]:
    # Some numbers again and again: to draw all of them would take as long as to measure.
    numbers = np.random.default_rng(0).standard_normal(1_000_003, np.float32).astype(np.float16)

    @cache
    def weights(rows: int, columns: int) -> Values:
        return np.resize(numbers * np.float16(columns**-0.5), (rows, columns))

    for tensor in tensors_of(shape):
        if tensor.is_matrix:
            rows, columns = tensor.shape
            yield tensor.name, weights(rows, columns)
        else:
            yield tensor.name, np.ones(tensor.shape, np.float32)
