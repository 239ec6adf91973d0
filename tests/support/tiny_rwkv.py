"""Write a tiny RWKV-7 GGUF with random weights: a recurrent model, with RWKV World's tokenizer.

Its sequences have a state instead of a cache that could be cut or shared in part. The tokens are
the bytes and some words: World's own vocabulary is of this kind, with 65,536 (rwkv_vocab_v20230424
in BlinkDL/ChatRWKV); llama.cpp's reader of it is llm_tokenizer_rwkv in llama-vocab.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from support.tiny_parts import Tensor, write

N_LAYERS, N_EMBD, N_FF, HEAD, RANK = 2, 128, 256, 64, 8
WORDS = ("the", " the", "User", "Assistant", ": ", "\\n\\n", " 你好", "lazy dog")


def _tokens() -> list[str]:
    """Return the texts as RWKV writes them: Python's escapes of what is not plain ASCII."""
    single = [chr(b) if 32 <= b < 127 and b not in b"\\" else f"\\x{b:02x}" for b in range(256)]
    return ["<s>", *single, *WORDS]


TOKENS = _tokens()


def write_tiny_rwkv(path: Path, *, seed: int = 3, template: str = "") -> Path:
    writer = gguf.GGUFWriter(path, "rwkv7")
    writer.add_name("tiny-rwkv")
    writer.add_context_length(1 << 20)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(N_LAYERS)
    writer.add_feed_forward_length(N_FF)
    writer.add_layer_norm_eps(1e-5)
    writer.add_wkv_head_size(HEAD)
    writer.add_token_shift_count(2)
    writer.add_decay_lora_rank(RANK)
    writer.add_iclr_lora_rank(RANK)
    writer.add_value_residual_mix_lora_rank(RANK)
    writer.add_gate_lora_rank(RANK)
    writer.add_head_count(0)
    writer.add_tokenizer_model("rwkv")
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (len(TOKENS) - 1))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    if template:
        writer.add_chat_template(template)
    write(writer, _tensors(np.random.default_rng(seed)))
    return path


def _tensors(rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
    def weights(*shape: int, scale: float = 1.0) -> Tensor:
        size = np.float32(scale * shape[-1] ** -0.5)
        return rng.standard_normal(shape, np.float32) * size

    def norm(name: str) -> Iterator[tuple[str, Tensor]]:
        yield f"{name}.weight", np.ones(N_EMBD, np.float32)
        yield f"{name}.bias", np.zeros(N_EMBD, np.float32)

    output = weights(len(TOKENS), N_EMBD, scale=4)
    output[[n for n, text in enumerate(TOKENS) if len(text) != 1]] = 0  # ASCII only
    yield "token_embd.weight", weights(len(TOKENS), N_EMBD, scale=4)
    yield "output.weight", output
    yield from norm("token_embd_norm")
    yield from norm("output_norm")
    for block in (f"blk.{n}" for n in range(N_LAYERS)):
        for name in ("attn_norm", "attn_norm_2", "time_mix_ln"):
            yield from norm(f"{block}.{name}")
        for name in ("w", "a", "v", "g"):
            if name != "g":
                yield f"{block}.time_mix_{name}0.weight", weights(N_EMBD)
            yield f"{block}.time_mix_{name}1.weight", weights(RANK, N_EMBD)
            yield f"{block}.time_mix_{name}2.weight", weights(N_EMBD, RANK)
        for name in ("k_k", "k_a", "r_k"):
            yield f"{block}.time_mix_{name}.weight", weights(N_EMBD, scale=4)
        for name in ("key", "value", "receptance", "output"):
            yield f"{block}.time_mix_{name}.weight", weights(N_EMBD, N_EMBD, scale=2)
        lerp = rng.random((6, 1, 1, N_EMBD), np.float32)
        yield f"{block}.time_mix_lerp_fused.weight", lerp
        yield f"{block}.channel_mix_lerp_k.weight", rng.random((1, 1, N_EMBD), np.float32)
        yield f"{block}.channel_mix_key.weight", weights(N_FF, N_EMBD, scale=2)
        yield f"{block}.channel_mix_value.weight", weights(N_EMBD, N_FF, scale=2)
