"""Copy a GGUF's header with some text values changed or added, and without its tensors.

Enough to give a real vocabulary another chat template or pre-tokenizer. The format:
github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from pathlib import Path

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9


def write_vocabulary(source: Path, target: Path, **texts: str) -> Path:
    """Write source's header to target with values replaced; "__" in a key stands for a dot."""
    changed = {key.replace("__", ".").encode(): text.encode() for key, text in texts.items()}
    values = {key: raw for key, raw in read_values(source.read_bytes()) if key not in changed}
    values |= {key: struct.pack("<I", _STRING) + _text(text) for key, text in changed.items()}
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, len(values))
    target.write_bytes(head + b"".join(_text(key) + raw for key, raw in values.items()))
    return target


def _text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def read_values(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return each key with its raw value, the type's number included."""
    found, at = [], 24
    for _ in range(struct.unpack_from("<Q", data, 16)[0]):
        key_end = skip(data, at, _STRING)
        (kind,) = struct.unpack_from("<I", data, key_end)
        end = skip(data, key_end + 4, kind)
        found.append((data[at + 8 : key_end], data[key_end:end]))
        at = end
    return found


def skip(data: bytes, at: int, kind: int) -> int:
    """Return where the value at `at` ends."""
    if kind == _STRING:
        return at + 8 + int(struct.unpack_from("<Q", data, at)[0])
    if kind != _ARRAY:
        return at + _SIZES[kind]
    of, n = struct.unpack_from("<IQ", data, at)
    at += 12
    if of != _STRING:
        return at + n * _SIZES[of]
    for _ in range(n):
        at = skip(data, at, _STRING)
    return at
