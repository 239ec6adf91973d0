"""Tiny models of every family: a llama of one layer, with the family's tokenizer and header.

Where the outside material has a family's vocabulary, the model carries it; else a stand-in of
single bytes and the family's special tokens. RWKV World's kind of vocabulary is written as
llama.cpp's converter writes it (conversion/base.py, _set_vocab_rwkv_world).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from support.gguf_edit import read_values
from support.tiny_model import byte_tokens

Header = Mapping[bytes, bytes]  # each key with its raw value, the type's number included

N_EMBD, N_HEAD, N_FF, N_CTX = 32, 2, 64, 2048
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_NORMAL, _CONTROL = 1, 3
_F16 = 1


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def string(text: str) -> bytes:
    return struct.pack("<I", _STRING) + _text(text)


def _u32(value: int) -> bytes:
    return struct.pack("<II", _U32, value)


def _vocabulary(tokens: Sequence[str], n_normal: int, kind: str, *, normal_first: bool) -> Header:
    """Return a vocabulary of ordinary tokens and, before or after them, control tokens."""
    normal, control = [_NORMAL] * n_normal, [_CONTROL] * (len(tokens) - n_normal)
    types = normal + control if normal_first else control + normal
    array = struct.pack("<IIQ", _ARRAY, _STRING, len(tokens))
    numbers = struct.pack(f"<IIQ{len(types)}i", _ARRAY, _I32, len(types), *types)
    return {
        b"tokenizer.ggml.model": string(kind),
        b"tokenizer.ggml.tokens": array + b"".join(map(_text, tokens)),
        b"tokenizer.ggml.token_type": numbers,
    }


@cache
def real_tokenizer(file: Path) -> Header:
    """Return the tokenizer of a vocabulary of the material."""
    found = dict(read_values(file.read_bytes()))
    return {key: raw for key, raw in found.items() if key.startswith(b"tokenizer.ggml.")}


def stand_in(special: Sequence[str], bos: str = "", eos: str = "") -> Header:
    """Return a vocabulary of single bytes and of control tokens."""
    tokens = [*byte_tokens(), *special]
    header = dict(_vocabulary(tokens, 256, "gpt2", normal_first=True))
    header[b"tokenizer.ggml.pre"] = string("gpt-2")
    header[b"tokenizer.ggml.merges"] = struct.pack("<IIQ", _ARRAY, _STRING, 0)
    header[b"tokenizer.ggml.add_bos_token"] = struct.pack("<IB", _BOOL, bool(bos))
    header |= {b"tokenizer.ggml.bos_token_id": _u32(tokens.index(bos))} if bos else {}
    header[b"tokenizer.ggml.eos_token_id"] = _u32(tokens.index(eos) if eos else len(tokens) - 1)
    return header


def rwkv_world(words: Sequence[str]) -> Header:
    """Return a vocabulary of RWKV World's kind: longest match over bytes and words."""
    pieces = [bytes([n]) for n in range(256)] + [word.encode() for word in words]
    tokens = ["<s>", *(repr(piece)[2:-1] for piece in pieces)]
    header = dict(_vocabulary(tokens, len(pieces), "rwkv", normal_first=False))
    header |= {b"tokenizer.ggml.bos_token_id": _u32(0), b"tokenizer.ggml.eos_token_id": _u32(0)}
    return header


def write_family_model(path: Path, tokenizer: Header, name: str, template: str = "") -> Path:
    """Write the model: random weights, tied embeddings, GGUF version 3."""
    (n_vocab,) = struct.unpack_from("<Q", tokenizer[b"tokenizer.ggml.tokens"], 8)
    header = {
        b"general.architecture": string("llama"),
        b"general.name": string(name),
        b"llama.context_length": _u32(N_CTX),
        b"llama.embedding_length": _u32(N_EMBD),
        b"llama.block_count": _u32(1),
        b"llama.feed_forward_length": _u32(N_FF),
        b"llama.attention.head_count": _u32(N_HEAD),
        b"llama.attention.layer_norm_rms_epsilon": struct.pack("<If", _F32, 1e-5),
        b"llama.vocab_size": _u32(n_vocab),
        **tokenizer,
        **({b"tokenizer.chat_template": string(template)} if template else {}),
    }
    dice = np.random.default_rng(7)
    rows = dice.standard_normal((997, N_EMBD), np.float32).astype(np.float16)
    tensors: dict[str, tuple[int, np.ndarray]] = {
        "token_embd.weight": (_F16, np.resize(rows, (n_vocab, N_EMBD))),
        "output_norm.weight": (0, np.ones(N_EMBD, np.float32)),
        "blk.0.attn_norm.weight": (0, np.ones(N_EMBD, np.float32)),
        "blk.0.ffn_norm.weight": (0, np.ones(N_EMBD, np.float32)),
    }
    shapes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (N_EMBD, N_EMBD))
    shapes |= {"ffn_gate": (N_FF, N_EMBD), "ffn_up": (N_FF, N_EMBD), "ffn_down": (N_EMBD, N_FF)}
    for part, shape in shapes.items():
        weights = dice.standard_normal(shape, np.float32) / np.sqrt(shape[1])
        tensors[f"blk.0.{part}.weight"] = (0, weights.astype(np.float32))
    _write(path, header, tensors)
    return path


def _write(path: Path, header: Header, tensors: Mapping[str, tuple[int, np.ndarray]]) -> None:
    infos, offset = b"", 0
    for name, (kind, tensor) in tensors.items():
        infos += _text(name) + struct.pack(
            "<IQQ"[: 2 + tensor.ndim], tensor.ndim, *tensor.shape[::-1]
        )
        infos += struct.pack("<IQ", kind, offset)
        offset += -(-tensor.nbytes // 32) * 32
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(header))
    head += b"".join(struct.pack("<Q", len(key)) + key + raw for key, raw in header.items()) + infos
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % 32))
        for _, tensor in tensors.values():
            data = tensor.tobytes()
            file.write(data + bytes(-len(data) % 32))
