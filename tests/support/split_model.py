"""Part a GGUF in two, as llama-gguf-split does: the second part has no values but the split's.

Source: tools/gguf-split/gguf-split.cpp in llama.cpp.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from support.gguf_header import Header, Tensor

_U16, _I32 = 2, 5


def split_model(model: bytes) -> tuple[bytes, bytes]:
    """Return both parts, each with half of the tensors."""
    whole = Header.parse(model)
    half = len(whole.tensors) // 2
    halves = whole.tensors[:half], whole.tensors[half:]
    first, second = (
        _part(whole, tensors, n, values=whole.values if n == 0 else {})
        for n, tensors in enumerate(halves)
    )
    return first, second


def write_split_model(folder: Path, stem: str, model: bytes) -> list[Path]:
    """Write both parts under the names that llama.cpp looks for."""
    paths = [folder / f"{stem}-{n:05}-of-00002.gguf" for n in (1, 2)]
    for path, part in zip(paths, split_model(model), strict=True):
        path.write_bytes(part)
    return paths


def _part(whole: Header, tensors: Sequence[Tensor], n: int, values: Mapping[bytes, bytes]) -> bytes:
    start = tensors[0].offset
    after = [each.offset for each in whole.tensors if each.offset > tensors[-1].offset]
    data = whole.data[start : after[0] if after else None]
    own = {
        b"split.no": struct.pack("<IH", _U16, n),
        b"split.count": struct.pack("<IH", _U16, 2),
        b"split.tensors.count": struct.pack("<Ii", _I32, len(whole.tensors)),
    }
    moved = tuple(replace(each, offset=each.offset - start) for each in tensors)
    return Header({**values, **own}, moved, data).encode()
