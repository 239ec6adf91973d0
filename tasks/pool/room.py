"""How much memory a model could take here now, told at once: without a child process, and without
llama.cpp where it is built for CPUs alone. `lectern models fit` tells it exactly, of one model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.pool.fit import free_memory
from tasks.settings import Settings

if TYPE_CHECKING:
    from tasks.models.llama_log import LlamaLog

# ggml's backends for GPUs (ggml/src/CMakeLists.txt), each a library of its own.
_GPU_LIBRARY = re.compile(r"ggml-(cann|cuda|hip|metal|musa|opencl|sycl|vulkan)\b")


@dataclass(frozen=True)
class Room:
    """Bytes that a model may take.

    Attributes:
        gpus: of all GPUs that it may use, without what stays free of each.
    """

    ram: int
    gpus: int = 0

    @property
    def total(self) -> int:
        return self.ram + self.gpus


def room_here(settings: Settings) -> Room:
    """Return what is free for a model now. One that the pool holds has its own already."""
    return Room(free_memory(), _on_gpus() if settings.pool_n_gpu_layers else 0)


def _on_gpus() -> int:
    if not is_built_for_gpus():
        return 0
    _quiet()
    from tasks.pool.devices import gpus

    return sum(gpu.room for gpu in gpus())


@cache
def _quiet() -> LlamaLog:
    """Keep llama.cpp from telling the terminal what it finds, for as long as this process lasts."""
    from tasks.models.llama_log import LlamaLog

    return LlamaLog(echo=False)


def is_built_for_gpus() -> bool:
    """Tell whether llama.cpp is; a file's name says so, without loading it."""
    spec = find_spec("llama_cpp")
    folder = Path(spec.origin).parent / "lib" if spec and spec.origin else None
    return folder is not None and any(_GPU_LIBRARY.search(each.name) for each in folder.glob("*"))
