"""Write a tiny Gemma 3 GGUF with random weights: most layers see a short window of the past only.

The tensors are those of llama_model_gemma3 in llama.cpp; the vocabulary is the tiny model's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from support.tiny_model import TOKENS
from support.tiny_parts import Tensor, add_bytes, ascii_output, write

N_LAYERS, N_EMBD, N_FF, N_HEAD, HEAD, WINDOW = 6, 64, 128, 2, 32, 16


def write_tiny_swa(path: Path, *, seed: int = 5) -> Path:
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_name("tiny-swa")
    writer.add_context_length(4096)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(N_LAYERS)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEAD)
    writer.add_head_count_kv(1)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_sliding_window(WINDOW)
    add_bytes(writer)
    write(writer, _tensors(np.random.default_rng(seed)))
    return path


def _tensors(rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
    def weights(rows: int, columns: int, scale: float = 2.0) -> Tensor:
        return rng.standard_normal((rows, columns), np.float32) * np.float32(scale * columns**-0.5)

    yield "token_embd.weight", weights(len(TOKENS), N_EMBD, 0.5)
    yield "output.weight", ascii_output(weights(len(TOKENS), N_EMBD, 4))
    yield "output_norm.weight", np.ones(N_EMBD, np.float32)
    for n in range(N_LAYERS):
        block = f"blk.{n}."
        for norm in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            yield f"{block}{norm}.weight", np.ones(N_EMBD, np.float32)
        for norm in ("attn_q_norm", "attn_k_norm"):
            yield f"{block}{norm}.weight", np.ones(HEAD, np.float32)
        yield f"{block}attn_q.weight", weights(HEAD * N_HEAD, N_EMBD)
        yield f"{block}attn_k.weight", weights(HEAD, N_EMBD)
        yield f"{block}attn_v.weight", weights(HEAD, N_EMBD)
        yield f"{block}attn_output.weight", weights(N_EMBD, HEAD * N_HEAD)
        yield f"{block}ffn_gate.weight", weights(N_FF, N_EMBD)
        yield f"{block}ffn_up.weight", weights(N_FF, N_EMBD)
        yield f"{block}ffn_down.weight", weights(N_EMBD, N_FF)
