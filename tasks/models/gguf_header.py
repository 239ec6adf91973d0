"""Values of a GGUF's header that llama.cpp's own interface has no way to, by ggml's reader.

Owns the calls of that reader. It aborts the process on a value of another type than the one
asked for, so this belongs into a child process.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from llama_cpp._ggml import libggml


class _Parameters(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


def _bind() -> None:
    handle, key, n = ctypes.c_void_p, ctypes.c_int64, ctypes.c_size_t
    for name, result, *arguments in (
        ("gguf_init_from_file", handle, ctypes.c_char_p, _Parameters),
        ("gguf_find_key", key, handle, ctypes.c_char_p),
        ("gguf_get_val_str", ctypes.c_char_p, handle, key),
        ("gguf_get_arr_n", n, handle, key),
        ("gguf_get_arr_str", ctypes.c_char_p, handle, key, n),
        ("gguf_get_n_tensors", key, handle),
        ("gguf_get_tensor_name", ctypes.c_char_p, handle, key),
        ("gguf_get_tensor_size", n, handle, key),
    ):
        function = getattr(libggml, name)
        function.restype, function.argtypes = result, arguments


_bind()


class GgufHeader:
    """An open header; empty where ggml can't read the file."""

    def __init__(self, path: Path) -> None:
        self._handle = libggml.gguf_init_from_file(str(path).encode(), _Parameters(True, None))

    def text(self, key: str) -> str:
        """Return a value that is a string, or "" where there is none."""
        found = self._find(key)
        if found < 0:
            return ""
        value: bytes = libggml.gguf_get_val_str(self._handle, found)
        return value.decode(errors="replace")

    def texts(self, key: str) -> list[str]:
        """Return an array of strings, empty where there is none."""
        found = self._find(key)
        n = libggml.gguf_get_arr_n(self._handle, found) if found >= 0 else 0
        values = (libggml.gguf_get_arr_str(self._handle, found, i) for i in range(n))
        return [value.decode(errors="surrogateescape") for value in values]

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each tensor in this file, by its name."""
        n = libggml.gguf_get_n_tensors(self._handle) if self._handle else 0
        names = (libggml.gguf_get_tensor_name(self._handle, i) for i in range(n))
        return {
            name.decode(errors="replace"): int(libggml.gguf_get_tensor_size(self._handle, i))
            for i, name in enumerate(names)
        }

    def _find(self, key: str) -> int:
        return int(libggml.gguf_find_key(self._handle, key.encode())) if self._handle else -1
