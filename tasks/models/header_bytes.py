"""Where a GGUF's header ends and its tensors lie: just enough of the format to fetch no more than
the one, and to tell what lacks of the other.

Owns walking over the values and the tensors' entries, and the values that tell a file's place among
the parts of a split one. What the others say is llama.cpp's business.

The format: github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from operator import attrgetter

from tasks.errors import ModelError

_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_INTEGERS = {2: "<H", 4: "<I", 5: "<i", 10: "<Q"}
# gguf_metadata_value_type: u8, i8, u16, i16, u32, i32, f32, bool, and u64, i64, f64.
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_MOST_DIMENSIONS = 4  # ggml.h, GGML_MAX_DIMS
_PART, _N_PARTS, _ALIGNMENT = b"split.no", b"split.count", b"general.alignment"
_LONGEST_KEY = 64  # of those
_USUAL_ALIGNMENT = 32


class _IncompleteError(Exception):
    """The bytes end before the header does."""


@dataclass(frozen=True)
class TensorEntry:
    """Where a tensor lies.

    Attributes:
        kind: a ggml_type.
        offset: of its first byte behind the header and its padding.
    """

    n_weights: int
    kind: int
    offset: int


@dataclass(frozen=True)
class FileLayout:
    """Of a GGUF.

    Attributes:
        end: where the header ends, its tensors' entries included.
        part: which of a split file's parts it is, from 1.
        n_parts: of how many; 1: the file is not split.
        alignment: to what the header is padded.
        last: the tensor that lies behind all others.
    """

    end: int
    part: int
    n_parts: int
    alignment: int
    last: TensorEntry | None


def header_end(data: bytes, name: str) -> int | None:
    """Return where the header ends that begins with these bytes, its tensors' entries included;
    None where they are too few to tell.

    Raises:
        ModelError: it is no GGUF, or a damaged one.
    """
    layout = read_layout(data, name)
    return layout.end if layout else None


def read_layout(data: bytes, name: str) -> FileLayout | None:
    """Return the layout of a GGUF that begins with these bytes; None where they are too few to
    tell.

    Raises:
        ModelError: it is no GGUF, or a damaged one.
    """
    numbers: dict[bytes, int] = {}
    try:
        walk = _Walk(data, name)
        n_tensors, n_values = walk.start()
        for _ in range(n_values):
            key, kind = walk.key(), walk.u32()
            begin = walk.at
            walk.value(kind)
            if key in (_PART, _N_PARTS, _ALIGNMENT) and kind in _INTEGERS:
                numbers[key] = struct.unpack_from(_INTEGERS[kind], data, begin)[0]
        tensors = (walk.tensor() for _ in range(n_tensors))
        last = max(tensors, key=attrgetter("offset"), default=None)
    except _IncompleteError:
        return None
    part, n_parts = numbers.get(_PART, 0) + 1, numbers.get(_N_PARTS, 1)
    return FileLayout(walk.at, part, n_parts, numbers.get(_ALIGNMENT, _USUAL_ALIGNMENT), last)


@dataclass
class _Walk:
    """A place in a header."""

    data: bytes
    name: str
    at: int = 0

    def start(self) -> tuple[int, int]:
        """Step over the first 24 bytes; return the numbers of tensors and of values."""
        if not b"GGUF".startswith(self.data[:4]):
            raise ModelError(self.name, "it is no GGUF file", "Look for its GGUF version")
        self.step(4)
        if (version := self.u32()) not in _VERSIONS:
            problem = f"its GGUF has the version {version}, which llama.cpp does not read"
            raise ModelError(self.name, problem, "Choose another file")
        return self.u64(), self.u64()

    def step(self, n_bytes: int) -> int:
        """Step over bytes; return where they began."""
        begin, self.at = self.at, self.at + n_bytes
        if self.at > len(self.data):
            raise _IncompleteError
        return begin

    def u32(self) -> int:
        return int(struct.unpack_from("<I", self.data, self.step(4))[0])

    def u64(self) -> int:
        return int(struct.unpack_from("<Q", self.data, self.step(8))[0])

    def text(self) -> None:
        self.step(self.u64())

    def key(self) -> bytes:
        size = self.u64()
        begin = self.step(size)
        return self.data[begin : self.at] if size <= _LONGEST_KEY else b""

    def value(self, kind: int) -> None:
        if kind == _STRING:
            self.text()
        elif kind == _ARRAY:
            self.array()
        else:
            self.step(self.width(kind))

    def array(self) -> None:
        kind, n = self.u32(), self.u64()
        if kind != _STRING:
            self.step(self.width(kind) * n)
            return
        for _ in range(n):
            self.text()

    def tensor(self) -> TensorEntry:
        """Step over a name, the dimensions, the type and the offset."""
        self.text()
        if (n_dimensions := self.u32()) > _MOST_DIMENSIONS:
            raise self.damaged()
        n_weights = prod(self.u64() for _ in range(n_dimensions))
        return TensorEntry(n_weights, self.u32(), self.u64())

    def width(self, kind: int) -> int:
        if kind not in _WIDTHS:  # ggml reads no arrays of arrays either
            raise self.damaged()
        return _WIDTHS[kind]

    def damaged(self) -> ModelError:
        return ModelError(self.name, "its GGUF header is damaged", "Choose another file")
