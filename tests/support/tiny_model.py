"""Write a tiny llama GGUF with random weights: loads in milliseconds, answers nonsense.

For tests of the pool that want a real llama.cpp and no real answers. The vocabulary is
byte-level (gpt2 style, no merges), so any text has tokens; the weights are scaled so that
the best logit leads clearly and answers don't get stuck in one token.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

N_LAYERS, N_EMBD, N_HEAD, N_FF, N_CTX_TRAIN = 2, 64, 4, 128, 4096
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_U32, _F32, _BOOL, _STRING, _ARRAY, _I32 = 4, 6, 7, 8, 9, 5


def byte_tokens() -> list[str]:
    """Return GPT-2's printable stand-ins for the 256 bytes, in byte order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shown = dict(zip(plain, map(chr, plain), strict=True))
    rest = [b for b in range(256) if b not in shown]
    shown.update({b: chr(256 + i) for i, b in enumerate(rest)})
    return [shown[b] for b in range(256)]


TOKENS = byte_tokens() + SPECIAL
EOG = TOKENS.index("<|im_end|>")


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _entry(key: str, kind: int, value: bytes) -> bytes:
    return _string(key) + struct.pack("<I", kind) + value


def _u32(key: str, value: int) -> bytes:
    return _entry(key, _U32, struct.pack("<I", value))


def _float(key: str, value: float) -> bytes:
    return _entry(key, _F32, struct.pack("<f", value))


def _header_value(key: str, value: str | float) -> bytes:
    if isinstance(value, str):
        return _entry(key, _STRING, _string(value))
    return _u32(key, value) if isinstance(value, int) else _float(key, value)


def _metadata(n_ctx_train: int) -> list[bytes]:
    tokens = struct.pack("<IQ", _STRING, len(TOKENS)) + b"".join(map(_string, TOKENS))
    kinds = [1] * 256 + [3] * len(SPECIAL)
    types = struct.pack(f"<IQ{len(kinds)}i", _I32, len(kinds), *kinds)
    return [
        _entry("general.architecture", _STRING, _string("llama")),
        _entry("general.name", _STRING, _string("tiny")),
        _u32("llama.context_length", n_ctx_train),
        _u32("llama.embedding_length", N_EMBD),
        _u32("llama.block_count", N_LAYERS),
        _u32("llama.feed_forward_length", N_FF),
        _u32("llama.attention.head_count", N_HEAD),
        _float("llama.attention.layer_norm_rms_epsilon", 1e-5),
        _entry("tokenizer.ggml.model", _STRING, _string("gpt2")),
        _entry("tokenizer.ggml.pre", _STRING, _string("gpt-2")),
        _entry("tokenizer.ggml.tokens", _ARRAY, tokens),
        _entry("tokenizer.ggml.token_type", _ARRAY, types),
        _entry("tokenizer.ggml.merges", _ARRAY, struct.pack("<IQ", _STRING, 0)),
        _u32("tokenizer.ggml.eos_token_id", EOG),
        _entry("tokenizer.ggml.add_bos_token", _BOOL, b"\0"),
        _entry("tokenizer.chat_template", _STRING, _string(CHATML)),
    ]


def _tensors(seed: int) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)

    def weights(rows: int, columns: int) -> NDArray[np.float32]:
        return rng.standard_normal((rows, columns), np.float32) * np.float32(columns**-0.5)

    ones = np.ones(N_EMBD, np.float32)
    output = weights(len(TOKENS), N_EMBD) * 4
    output[[t for t in range(len(TOKENS)) if not (32 <= t < 127 or t == EOG)]] = 0  # ASCII only
    tensors = {
        "token_embd.weight": weights(len(TOKENS), N_EMBD) * 4,
        "output.weight": output,
        "output_norm.weight": ones,
    }
    for layer in range(N_LAYERS):
        block = f"blk.{layer}."
        tensors |= {f"{block}attn_norm.weight": ones, f"{block}ffn_norm.weight": ones}
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors[f"{block}{name}.weight"] = weights(N_EMBD, N_EMBD) * 2
        tensors[f"{block}ffn_gate.weight"] = weights(N_FF, N_EMBD) * 2
        tensors[f"{block}ffn_up.weight"] = weights(N_FF, N_EMBD) * 2
        tensors[f"{block}ffn_down.weight"] = weights(N_EMBD, N_FF) * 2
    return tensors


def write_tiny_model(
    path: Path,
    *,
    n_ctx_train: int = N_CTX_TRAIN,
    seed: int = 7,
    rope: Mapping[str, str | float] = MappingProxyType({}),
    added: Mapping[str, NDArray[np.float32]] = MappingProxyType({}),
) -> Path:
    """Write the model; the layout is GGUF version 3 with 32-byte alignment.

    Args:
        rope: further header values, by what follows "llama.rope." in their keys.
        added: changes to tensors, by their names.
    """
    metadata, tensors = _metadata(n_ctx_train), _tensors(seed)
    metadata += [_header_value(f"llama.rope.{key}", value) for key, value in rope.items()]
    tensors |= {name: tensors[name] + change for name, change in added.items()}
    infos, offset = b"", 0
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        infos += _string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        infos += struct.pack("<IQ", 0, offset)  # 0: f32
        offset += -(-tensor.nbytes // 32) * 32
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))
    head += b"".join(metadata) + infos
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % 32))
        for tensor in tensors.values():
            data = tensor.tobytes()
            file.write(data + bytes(-len(data) % 32))
    return path
