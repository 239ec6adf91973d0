"""A flag by which another thread ends a computation of llama.cpp's."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp as llama


class RungError(Exception):
    """The alarm rang: what was being computed is to be forgotten."""


class Alarm:
    """Rung by one thread; llama.cpp looks at it before each operation of the contexts it is set on.

    What looks is C's strlen(), at a text of no letters or one: of Python, each look would take
    time of what is measured. On a GPU llama.cpp does not look.
    """

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)
        look = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value
        assert look is not None
        self._look = llama.ggml_abort_callback(look)

    @property
    def rung(self) -> bool:
        return bool(self._text.value)

    def ring(self) -> None:
        self._text[0] = b"!"

    def silence(self) -> None:
        self._text[0] = b"\0"

    def set_on(self, ctx: Any) -> None:
        """Let a context look; the alarm must outlive it."""
        llama.llama_set_abort_callback(ctx, self._look, ctypes.addressof(self._text))
