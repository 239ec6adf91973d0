"""Whether a model fits into this machine's memory, before it is loaded.

Owns reading what llama.cpp says it would allocate, what is free here, and what to lower. Does
not load anything. A model that does not fit is not refused by the system but swaps for hours, or
is killed, and may take other programs along.
"""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from tasks.errors import ModelError
from tasks.pool.cgroups import memory_groups
from tasks.pool.protocol import WorkerConfig

MIB, GIB = 2**20, 2**30
_LEAST_N_CTX = 2048  # in which a chunk and its answer have room
# As llama.cpp words it: the caches by their totals, the others by their buffers.
_CACHE = re.compile(r"^\w+: size = +([\d.]+) MiB")
_BUFFER = re.compile(r"^\w+: .*(?:compute|output|RS) buffer size = +([\d.]+) MiB")


@dataclass(frozen=True)
class Need:
    """Bytes that a loaded model takes.

    Attributes:
        weights: all tensors.
        cache: of all sequences together; it grows with n_ctx and with n_seq_max.
        compute: buffers for a batch.
    """

    weights: int
    cache: int
    compute: int

    @property
    def buffers(self) -> int:
        """What is a context's, and goes with it."""
        return self.cache + self.compute

    @property
    def total(self) -> int:
        return self.weights + self.buffers


def need_in(lines: Iterable[str], weights: int) -> Need:
    """Return the need, of which all but the weights stands in llama.cpp's log."""
    kept = list(lines)
    return Need(weights, _sum(_CACHE, kept), _sum(_BUFFER, kept))


def _sum(pattern: re.Pattern[str], lines: Iterable[str]) -> int:
    found = (pattern.search(line) for line in lines)
    return int(sum(float(match[1]) for match in found if match) * MIB)


def refuse_what_does_not_fit(model: str, need: Need, config: WorkerConfig) -> None:
    """Compare with what is free.

    Raises:
        ModelError: it does not fit; the remedy is the smallest change after which it does.
    """
    free = free_memory()
    if need.total <= free:
        return
    problem = (
        f"it needs {_gib(need.total)} of memory ({_gib(need.weights)} for its weights, "
        f"{_gib(need.cache)} for {config.n_seq_max} sequences of {config.n_ctx:,} tokens, "
        f"{_gib(need.compute)} to compute), and {_gib(free)} are free"
    )
    raise ModelError(model, problem, remedy(need, config, free))


def remedy(need: Need, config: WorkerConfig, free: int) -> str:
    """Return what to lower: the sequences first, which costs time alone, then the context."""
    room = free - need.weights - need.compute
    n_seq_max = _sequences(need, config, free)
    if n_seq_max >= 1:
        return f"Set LECTERN_POOL_N_SEQ_MAX={n_seq_max}"
    n_ctx = room * config.n_seq_max * config.n_ctx // need.cache // 256 * 256 if need.cache else 0
    if n_ctx >= _LEAST_N_CTX:
        return f"Set LECTERN_POOL_N_SEQ_MAX=1 and LECTERN_POOL_N_CTX={n_ctx}"
    return (
        "Free some, or choose a smaller model or a quantization with fewer bits (Q4_0), "
        f"at most {_gib(max(0, int(0.8 * free)))} large"
    )


def sequences_that_fit(need: Need, config: WorkerConfig) -> int:
    """Return how many of a config's sequences fit, beside buffers as large as for all of them."""
    free = free_memory()
    return config.n_seq_max if need.total <= free else max(0, _sequences(need, config, free))


def _sequences(need: Need, config: WorkerConfig, free: int) -> int:
    room = free - need.weights - need.compute
    return room * config.n_seq_max // need.cache if need.cache else 0


def free_memory() -> int:
    """Return the bytes that this process may still take: of the machine, its group, its limit."""
    free = psutil.virtual_memory().available
    if sys.platform == "linux":
        free = min(free, _left_in_limit(), *(group.left for group in memory_groups()))
    return max(0, free)


def _left_in_limit() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return limit - psutil.Process().memory_info().vms


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
