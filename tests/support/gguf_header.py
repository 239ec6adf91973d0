"""A GGUF's header in parts, to be changed and written again: for models that are wrong on purpose.

The format: github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from support.gguf_edit import skip

U32, I32, F32, STRING, ARRAY = 4, 5, 6, 8, 9
ALIGNMENT = 32


@dataclass(frozen=True)
class Tensor:
    """A tensor's entry; `shape` with the row's length first, `kind` a ggml_type."""

    name: bytes
    shape: tuple[int, ...]
    kind: int
    offset: int

    def encode(self) -> bytes:
        shape = struct.pack(f"<I{len(self.shape)}Q", len(self.shape), *self.shape)
        return _text(self.name) + shape + struct.pack("<IQ", self.kind, self.offset)


@dataclass(frozen=True)
class Header:
    """Values by key (each with its type's number before it), tensors, and the bytes behind."""

    values: dict[bytes, bytes]
    tensors: tuple[Tensor, ...]
    data: bytes = b""
    version: int = 3

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls.parse(path.read_bytes())

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises struct.error, KeyError or OverflowError where it can't be read."""
        n_tensors, n_values = struct.unpack_from("<QQ", data, 8)
        values, tensors, at = {}, [], 24
        for _ in range(n_values):
            key_end = skip(data, at, STRING)
            (kind,) = struct.unpack_from("<I", data, key_end)
            end = skip(data, key_end + 4, kind)
            values[data[at + 8 : key_end]] = data[key_end:end]
            at = end
        for _ in range(n_tensors):
            end = skip(data, at, STRING)
            (n,) = struct.unpack_from("<I", data, end)
            shape = struct.unpack_from(f"<{n}Q", data, end + 4)
            kind, offset = struct.unpack_from("<IQ", data, end + 4 + 8 * n)
            tensors.append(Tensor(data[at + 8 : end], shape, kind, offset))
            at = end + 16 + 8 * n
        return cls(values, tuple(tensors), data[-(-at // ALIGNMENT) * ALIGNMENT :])

    def with_values(self, **values: bytes | None) -> Self:
        """Change values, or take them out; "__" in a key stands for a dot."""
        changed = {key.replace("__", ".").encode(): raw for key, raw in values.items()}
        kept = {k: raw for k, raw in (self.values | changed).items() if raw is not None}
        return replace(self, values=kept)

    def cut(self, length: int) -> Self:
        """Shorten all arrays, and leave out the tensors: what remains is small, and a header."""
        values = {key: _cut(raw, length) for key, raw in self.values.items()}
        return replace(self, values=values, tensors=(), data=b"")

    def encode(self) -> bytes:
        head = struct.pack("<4sIQQ", b"GGUF", self.version, len(self.tensors), len(self.values))
        head += b"".join(_text(key) + raw for key, raw in self.values.items())
        head += b"".join(tensor.encode() for tensor in self.tensors)
        return head + bytes(-len(head) % ALIGNMENT) + self.data


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", STRING) + _text(data)


def u32(value: int) -> bytes:
    return struct.pack("<II", U32, value)


def f32(value: float) -> bytes:
    return struct.pack("<If", F32, value)


def texts(values: list[bytes]) -> bytes:
    return struct.pack("<IIQ", ARRAY, STRING, len(values)) + b"".join(map(_text, values))


def _text(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def _cut(raw: bytes, length: int) -> bytes:
    if struct.unpack_from("<I", raw)[0] != ARRAY:
        return raw
    kind, n = struct.unpack_from("<IQ", raw, 4)
    at = 16
    for _ in range(min(n, length)):
        at = skip(raw, at, kind)
    return struct.pack("<IIQ", ARRAY, kind, min(n, length)) + raw[16:at]
