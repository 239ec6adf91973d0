"""A small model of a real one's width, with random weights: what it can tell is how fast it is.

Two layers and hardly a vocabulary, so that it can be quantized in every way within seconds. Owns
reading the width out of a real model's header, and writing the stand-in.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

N_CTX, N_VOCAB = 4096, 256
_LAYERS = 2  # quantizations that mix types give every other layer more bits
# Keys of architectures whose work is not that of dense layers of attention and feed-forward.
_FOREIGN = ("expert_count", "ssm.state_size", "wkv.head_size", "attention.kv_lora_rank")
Tensor = NDArray[np.float16] | NDArray[np.float32]


class UnknownShapeError(Exception):
    """The model is not of the kind that a stand-in can be made of."""


@dataclass(frozen=True)
class Shape:
    """The width of a dense transformer; names are GGUF's."""

    embedding_length: int
    feed_forward_length: int
    head_count: int
    head_count_kv: int
    key_length: int

    @property
    def n_weights(self) -> int:
        """Of the whole stand-in, but for its vocabulary."""
        heads = 2 * (self.head_count + self.head_count_kv) * self.key_length
        return _LAYERS * self.embedding_length * (heads + 3 * self.feed_forward_length)


def shape_of(model: Any) -> Shape:
    """Return the width of a loaded model, weights or not.

    Raises:
        UnknownShapeError: it has experts, states or the like, or layers that differ.
    """
    architecture = _value(model, "general.architecture")

    def number(key: str, otherwise: int | None = None) -> int:
        text = _value(model, f"{architecture}.{key}")
        if text.isdecimal():
            return int(text)
        if text or otherwise is None:  # an array: layers differ
            raise UnknownShapeError(f"its architecture, {architecture}, is another kind")
        return otherwise

    if any(_value(model, f"{architecture}.{key}") not in ("", "0") for key in _FOREIGN):
        raise UnknownShapeError(f"its architecture, {architecture}, has experts or states")
    width, heads = number("embedding_length"), number("attention.head_count")
    return Shape(
        embedding_length=width,
        feed_forward_length=number("feed_forward_length"),
        head_count=heads,
        head_count_kv=number("attention.head_count_kv", heads),
        key_length=number("attention.key_length", width // max(1, heads)),
    )


def _value(model: Any, key: str) -> str:
    value = ctypes.create_string_buffer(256)
    n = llama.llama_model_meta_val_str(model, key.encode(), value, len(value))
    return value.value.decode(errors="replace") if n >= 0 else ""


def write_stand_in(path: Path, shape: Shape) -> None:
    """Write it in f16. All layers share one set of weights in memory."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(N_CTX)
    writer.add_embedding_length(shape.embedding_length)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(shape.feed_forward_length)
    writer.add_head_count(shape.head_count)
    writer.add_head_count_kv(shape.head_count_kv)
    writer.add_key_length(shape.key_length)
    writer.add_value_length(shape.key_length)
    writer.add_rope_dimension_count(shape.key_length)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(N_VOCAB)
    for name, tensor in _tensors(shape):
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(shape: Shape) -> Iterator[tuple[str, Tensor]]:
    d, ff = shape.embedding_length, shape.feed_forward_length
    q, kv = shape.head_count * shape.key_length, shape.head_count_kv * shape.key_length
    # Some numbers again and again: to draw all of them would take as long as to measure.
    numbers = np.random.default_rng(0).standard_normal(1_000_003, np.float32).astype(np.float16)

    def weights(rows: int, columns: int) -> Tensor:
        return np.resize(numbers * np.float16(columns**-0.5), (rows, columns))

    ones = np.ones(d, np.float32)
    embeddings = weights(N_VOCAB, d)
    yield "token_embd.weight", embeddings
    yield "output.weight", embeddings
    yield "output_norm.weight", ones
    layer = {
        "attn_norm.weight": ones,
        "ffn_norm.weight": ones,
        "attn_q.weight": weights(q, d),
        "attn_k.weight": weights(kv, d),
        "attn_v.weight": weights(kv, d),
        "attn_output.weight": weights(d, q),
        "ffn_gate.weight": weights(ff, d),
        "ffn_up.weight": weights(ff, d),
        "ffn_down.weight": weights(d, ff),
    }
    for number in range(_LAYERS):
        yield from ((f"blk.{number}.{name}", tensor) for name, tensor in layer.items())
