"""What llama.cpp says: the only way to learn why it refuses a file, and what memory it wants.

Owns its log callback, one a process. Knows nothing of models.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import llama_cpp

_WARN, _ERROR, _CONTINUED = 3, 4, 5  # ggml_log_level
_LONGEST = 300  # of a cause: names in a hostile header may be megabytes
_WHERE = re.compile(r"^\w+: (?:error loading model: |failed to apply lora adapter: )?")


@dataclass(eq=False)
class Heard:
    """What it said in a block: the lines of all levels, and those of errors."""

    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def cause(self) -> str:
        """The first error: those after it only say that something failed."""
        first = next((line for each in self.errors if (line := each.strip())), "")
        text = _WHERE.sub("", first)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


class LlamaLog:
    """llama.cpp's log.

    Args:
        echo: warnings and errors go to stderr.
    """

    def __init__(self, *, echo: bool) -> None:
        self._echo = echo
        self._level = 0
        self._listening: list[Heard] = []
        # llama.cpp calls this for the life of the process: collected, it would be a crash.
        self._callback = llama_cpp.llama_log_callback(self._write)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    @contextmanager
    def heard(self) -> Iterator[Heard]:
        """Keep what is said in the block; blocks may be nested."""
        heard = Heard()
        self._listening.append(heard)
        try:
            yield heard
        finally:
            self._listening.remove(heard)

    def _write(self, level: int, text: bytes, _user_data: Any) -> None:
        self._level = self._level if level == _CONTINUED else level
        line = text.decode(errors="replace")
        for heard in self._listening:
            heard.lines.append(line)
            if self._level == _ERROR:
                heard.errors.append(line)
        if self._echo and self._level >= _WARN:
            sys.stderr.write(line)
