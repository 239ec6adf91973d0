"""Write a tiny Qwen3.5 GGUF with random weights: three layers with a state, one with attention.

The tensors are those of llama_model_qwen35 in llama.cpp; the vocabulary is the tiny model's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from support.tiny_model import TOKENS
from support.tiny_parts import Tensor, add_bytes, ascii_output, write

N_LAYERS, N_EMBD, N_FF, N_HEAD, HEAD = 4, 64, 128, 2, 32
STATE, N_GROUPS, N_VALUE_HEADS, KERNEL = 64, 1, 2, 4
KEY, VALUE = STATE * N_GROUPS, STATE * N_VALUE_HEADS


def write_tiny_hybrid(path: Path, *, seed: int = 5) -> Path:
    writer = gguf.GGUFWriter(path, "qwen35")
    writer.add_name("tiny-hybrid")
    writer.add_context_length(4096)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(N_LAYERS)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEAD)
    writer.add_head_count_kv(1)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_dimension_sections([6, 5, 5, 0])
    writer.add_ssm_conv_kernel(KERNEL)
    writer.add_ssm_inner_size(VALUE)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(N_VALUE_HEADS)
    writer.add_ssm_group_count(N_GROUPS)
    add_bytes(writer)
    write(writer, _tensors(np.random.default_rng(seed)))
    return path


def _tensors(rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
    def weights(rows: int, columns: int, scale: float = 2.0) -> Tensor:
        return rng.standard_normal((rows, columns), np.float32) * np.float32(scale * columns**-0.5)

    def ones(n: int) -> Tensor:
        return np.ones(n, np.float32)

    yield "token_embd.weight", weights(len(TOKENS), N_EMBD, 4)
    yield "output.weight", ascii_output(weights(len(TOKENS), N_EMBD, 4))
    yield "output_norm.weight", ones(N_EMBD)
    for n in range(N_LAYERS):
        block = f"blk.{n}."
        yield f"{block}attn_norm.weight", ones(N_EMBD)
        yield f"{block}post_attention_norm.weight", ones(N_EMBD)
        if n % 4 == 3:
            yield f"{block}attn_q.weight", weights(HEAD * N_HEAD * 2, N_EMBD)
            yield f"{block}attn_k.weight", weights(HEAD, N_EMBD)
            yield f"{block}attn_v.weight", weights(HEAD, N_EMBD)
            yield f"{block}attn_output.weight", weights(N_EMBD, HEAD * N_HEAD)
            yield f"{block}attn_q_norm.weight", ones(HEAD)
            yield f"{block}attn_k_norm.weight", ones(HEAD)
        else:
            yield f"{block}attn_qkv.weight", weights(2 * KEY + VALUE, N_EMBD)
            yield f"{block}attn_gate.weight", weights(VALUE, N_EMBD)
            yield f"{block}ssm_conv1d.weight", weights(2 * KEY + VALUE, KERNEL)
            yield f"{block}ssm_dt.bias", ones(N_VALUE_HEADS)
            yield f"{block}ssm_a", -ones(N_VALUE_HEADS)
            yield f"{block}ssm_beta.weight", weights(N_VALUE_HEADS, N_EMBD)
            yield f"{block}ssm_alpha.weight", weights(N_VALUE_HEADS, N_EMBD)
            yield f"{block}ssm_norm.weight", ones(STATE)
            yield f"{block}ssm_out.weight", weights(N_EMBD, VALUE)
        yield f"{block}ffn_gate.weight", weights(N_FF, N_EMBD)
        yield f"{block}ffn_down.weight", weights(N_EMBD, N_FF)
        yield f"{block}ffn_up.weight", weights(N_FF, N_EMBD)
