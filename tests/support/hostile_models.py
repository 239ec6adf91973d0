"""GGUF files that are broken or made to harm, and files that are none: each by its name."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

from support.gguf_header import ARRAY, I32, STRING, Header, Tensor, f32, text, texts, u32
from support.tiny_model import TOKENS

MiB = 1 << 20


def _head(n_tensors: int, n_values: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_values)


def _key(name: str) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode()


def no_models(tiny: Path) -> dict[str, bytes]:
    """Files that are no GGUF that llama.cpp can read, whatever they are called."""
    whole = tiny.read_bytes()
    safetensors = json.dumps({"x": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    return {
        "empty": b"",
        "magic-alone": b"GGUF",
        "html-error-page": b"<!DOCTYPE html><html><body>404: Not Found</body></html>",
        "safetensors": struct.pack("<Q", len(safetensors)) + safetensors + bytes(4),
        "pytorch": b"PK\x03\x04" + bytes(100),
        "lfs-pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "ggml-of-2023": b"lmgg" + bytes(100),
        "version-1": _head(0, 0, 1),
        "version-2": _head(0, 0, 2),
        "version-99": _head(0, 0, 99),
        "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
        "tensors-2^60": _head(2**60, 0),
        "tensors-2^31": _head(2**31, 0),
        "values-2^60": _head(0, 2**60),
        "values-2^63": _head(0, 2**63),
        "key-2^63": _head(0, 1) + struct.pack("<Q", 2**63),
        "key-2^40": _head(0, 1) + struct.pack("<Q", 2**40),
        "string-2^63": _head(0, 1) + _key("general.name") + struct.pack("<IQ", STRING, 2**63),
        "string-2^31": _head(0, 1) + _key("general.name") + struct.pack("<IQ", STRING, 2**31),
        "array-2^62": _head(0, 1) + _key("x") + struct.pack("<IIQ", ARRAY, I32, 2**62),
        "array-2^33": _head(0, 1) + _key("x") + struct.pack("<IIQ", ARRAY, I32, 2**33),
        "array-of-strings-2^40": _head(0, 1)
        + _key("x")
        + struct.pack("<IIQ", ARRAY, STRING, 2**40),
        "array-of-arrays": _head(0, 1) + _key("x") + struct.pack("<IIQ", ARRAY, ARRAY, 9) * 1000,
        "type-unknown": _head(0, 1) + _key("x") + struct.pack("<I", 77) + bytes(64),
        "half-a-header": whole[:2000],
        "no-header-end": whole[: whole.index(b"token_embd")],
        "noise": b"GGUF" + bytes(range(256)) * 400,
    }


def bad_models(tiny: Path) -> dict[str, Header]:
    """Headers that can be read, of models that can't be used."""
    good = Header.read(tiny)
    embedding, *others = good.tensors

    def values(**changed: bytes | None) -> Header:
        return good.with_values(**changed)

    def embedding_shape(*shape: int) -> Header:
        return replace(good, tensors=(replace(embedding, shape=shape), *others))

    return {
        "no-architecture": values(general__architecture=None),
        "unknown-architecture": values(general__architecture=text("quantum")),
        "architecture-of-a-megabyte": values(general__architecture=text("q" * MiB)),
        "architecture-with-controls": values(general__architecture=text("\x1b[2J\nlla\u202ema")),
        "mmproj": values(general__architecture=text("clip"), general__type=text("mmproj")),
        "lora": values(general__type=text("adapter"), adapter__type=text("lora")),
        "embedding-model": values(general__architecture=text("bert")),
        "no-tokenizer": values(tokenizer__ggml__model=None),
        "unknown-tokenizer": values(tokenizer__ggml__model=text("magic")),
        "no-tokens": values(tokenizer__ggml__tokens=None),
        "zero-tokens": values(tokenizer__ggml__tokens=texts([])),
        "one-token-too-few": values(
            tokenizer__ggml__tokens=texts([t.encode() for t in TOKENS[:-1]])
        ),
        "tokens-twice": values(tokenizer__ggml__tokens=texts([b"a"] * len(TOKENS))),
        "token-of-a-megabyte": values(
            tokenizer__ggml__tokens=texts([b"x" * MiB, *(t.encode() for t in TOKENS[1:])])
        ),
        "tokens-not-utf8": values(
            tokenizer__ggml__tokens=texts([b"\xff\xfe%d" % n for n in range(len(TOKENS))])
        ),
        "tokens-are-numbers": values(
            tokenizer__ggml__tokens=struct.pack("<IIQ", ARRAY, I32, 3) + bytes(12)
        ),
        "types-too-few": values(
            tokenizer__ggml__token_type=struct.pack("<IIQ", ARRAY, I32, 1) + bytes(4)
        ),
        "merges-of-nonsense": values(tokenizer__ggml__merges=texts([b"", b"a", b"\xff \xff"] * 99)),
        "eos-out-of-range": values(tokenizer__ggml__eos_token_id=u32(2**32 - 2)),
        "context-0": values(llama__context_length=u32(0)),
        "no-context": values(llama__context_length=None),
        "context-2^32": values(llama__context_length=u32(2**32 - 1)),
        "layers-0": values(llama__block_count=u32(0)),
        "layers-2^31": values(llama__block_count=u32(2**31)),
        "layers-600": values(llama__block_count=u32(600)),
        "heads-0": values(llama__attention__head_count=u32(0)),
        "heads-2^31": values(llama__attention__head_count=u32(2**31)),
        "heads-do-not-divide": values(llama__attention__head_count=u32(7)),
        "embedding-0": values(llama__embedding_length=u32(0)),
        "embedding-2^32": values(llama__embedding_length=u32(2**32 - 1)),
        "ff-negative": values(llama__feed_forward_length=struct.pack("<Ii", I32, -1)),
        "epsilon-nan": values(llama__attention__layer_norm_rms_epsilon=f32(float("nan"))),
        "rope-nan": values(llama__rope__freq_base=f32(float("nan"))),
        "rope-dimensions-2^31": values(llama__rope__dimension_count=u32(2**31)),
        "a-text-for-a-number": values(llama__block_count=text("many")),
        "alignment-0": values(general__alignment=u32(0)),
        "alignment-3": values(general__alignment=u32(3)),
        "alignment-2^31": values(general__alignment=u32(2**31)),
        "experts-2^31": values(llama__expert_count=u32(2**31), llama__expert_used_count=u32(9)),
        "split-of-many": values(
            split__count=struct.pack("<IH", 2, 999), split__no=struct.pack("<IH", 2, 0)
        ),
        "dimension-0": embedding_shape(0, 0),
        "dimension-negative": embedding_shape(64, 2**64 - 1),
        "dimensions-overflow": embedding_shape(2**32, 2**32),
        "dimensions-9": embedding_shape(*[1] * 9),
        "tensor-kind-unknown": replace(good, tensors=(replace(embedding, kind=999), *others)),
        "tensor-twice": replace(good, tensors=(embedding, embedding, *others)),
        "tensor-offset-2^63": replace(good, tensors=(replace(embedding, offset=2**63), *others)),
        "no-tensors": replace(good, tensors=(), data=b""),
        "one-tensor-missing": replace(good, tensors=tuple(others)),
        "truncated-weights": replace(good, data=good.data[: len(good.data) // 2]),
        "no-weights": replace(good, data=b""),
        "no-template": values(tokenizer__chat_template=None),
    }


# Chat templates that attack: each with a piece of what is said of it.
LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
BAD_TEMPLATES = {
    "loops": LOOPS,
    "loops-in-a-macro": "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "writes-without-end": "{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxx"
    "{% endfor %}{% endfor %}",
    "a-string-of-gigabytes": "{{ 'x' * 10**11 }}",
    "doubles": "{% set ns = namespace(s='xx') %}{% for i in range(60) %}"
    "{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
    "a-number-of-gigabytes": "{{ 9 ** (9 ** (9 ** 9)) }}",
    "pads": "{{ '%9999999999d' % 1 }}",
    "formats": "{{ '{:>9999999999}'.format(1) }}",
    "centres": "{{ 'x'.center(99999999999) }}",
    "replaces": "{{ ('x' * 99999).replace('x', 'y' * 99999).replace('y', 'z' * 99999) }}",
    "joins": "{{ (['x' * 99999] * 9999999) | join }}",
    "lists": "{% set l = [1] %}{% for i in range(60) %}{% set l = l + l %}{% endfor %}",
    "indents": "{{ ('x\\n' * 99999) | indent(999999) }}",
    "escapes-by-class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "escapes-by-globals": "{{ raise_exception.__globals__['__builtins__']['open']('/') }}",
    "escapes-by-attr": "{{ ''|attr('__class__')|attr('__mro__') }}",
    "escapes-by-format": "{{ '{0.__class__.__mro__}'.format(x) }}{{ 'x'.nothing() }}",
    "escapes-by-cycler": "{{ cycler.__init__.__globals__.os.system('touch /tmp/owned') }}",
    "escapes-by-strftime": "{{ strftime_now.__self__.__class__.__base__.__subclasses__() }}",
    "includes": "{% include '/etc/passwd' %}",
    "imports": "{% import 'os' as os %}{{ os.system('true') }}",
    "nests": "{% if 1 %}" * 5000 + "{% endif %}" * 5000,
    "brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "of-a-megabyte": "{# " + "x" * MiB + " #}",
    "no-template-syntax": "{% for",
    "waits-for-its-prey": "{% if 'probe' not in messages[0].content %}" + LOOPS + "{% endif %}"
    "{% for m in messages %}{{ m.content }}{% endfor %}",
    "raises": "{{ raise_exception('\x1b[2Jno\nchat') }}",
    "leaves-out-the-messages": "Hello.",
}


def with_template(tiny: Path, source: str) -> Header:
    return Header.read(tiny).with_values(tokenizer__chat_template=text(source))


def unwritten_model(path: Path, tiny: Path, *, n_embd: int, n_layers: int, n_ff: int) -> Path:
    """Write a model of this shape whose weights take no room on the disk: a hole in the file."""
    header, shapes = Header.read(tiny), _shapes(n_embd, n_layers, n_ff)
    tensors, offset = [], 0
    for name, shape in shapes.items():
        size = 4 * (shape[0] * (shape[1] if len(shape) > 1 else 1))
        tensors.append(Tensor(name.encode(), shape, 0, offset))
        offset += -(-size // 32) * 32
    made = replace(header, tensors=tuple(tensors), data=b"").with_values(
        llama__embedding_length=u32(n_embd),
        llama__block_count=u32(n_layers),
        llama__feed_forward_length=u32(n_ff),
        llama__attention__head_count=u32(n_embd // 64),
    )
    head = made.encode()
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + offset)
    return path


def _shapes(n_embd: int, n_layers: int, n_ff: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (n_embd, len(TOKENS)),
        "output.weight": (n_embd, len(TOKENS)),
        "output_norm.weight": (n_embd,),
    }
    for layer in range(n_layers):
        block = f"blk.{layer}."
        shapes |= {f"{block}attn_norm.weight": (n_embd,), f"{block}ffn_norm.weight": (n_embd,)}
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes[f"{block}{name}.weight"] = (n_embd, n_embd)
        shapes[f"{block}ffn_gate.weight"] = (n_embd, n_ff)
        shapes[f"{block}ffn_up.weight"] = (n_embd, n_ff)
        shapes[f"{block}ffn_down.weight"] = (n_ff, n_embd)
    return shapes
