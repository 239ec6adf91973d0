"""Whether a model fits into this machine's memory, before it is loaded.

Owns reading what llama.cpp says it would allocate, what of it is in RAM and what on GPUs, what is
free here, and what to lower. Does not load anything. A model that does not fit is not refused by
the system but swaps for hours, or is killed, and may take other programs along.
"""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil

from tasks.errors import ModelError
from tasks.pool.cgroups import memory_groups
from tasks.pool.gpus import Gpu, Layers, Offload, Part, offload, parts_on
from tasks.pool.protocol import WorkerConfig

MIB, GIB = 2**20, 2**30
_MORE = "`lectern models fit` tells what would fit"
_LEAST_N_CTX = 2048  # in which a chunk and its answer have room
# As llama.cpp words it: the caches by their totals, the others by their buffers.
_CACHE = re.compile(r"^\w+: size = +([\d.]+) MiB")
_BUFFER = re.compile(r"^\w+: .*(?:compute|output|RS) buffer size = +([\d.]+) MiB")
_QUANTIZED = re.compile(r"^\w+: quant size += +([\d.]+) MiB")


class NoRoomError(ModelError):
    """A model does not fit into this machine."""


@dataclass(frozen=True)
class Need:
    """Bytes that a loaded model takes.

    Attributes:
        weights: all tensors.
        cache: of all sequences together; it grows with n_ctx and with n_seq_max.
        compute: buffers for a batch.
        gpus: what is on GPUs, beside all this, which then is what is not.
        offload: how it came there.
        most: layers that would fit there.
    """

    weights: int
    cache: int
    compute: int
    gpus: tuple[Part, ...] = ()
    offload: Offload | None = None
    most: int = 0

    @property
    def buffers(self) -> int:
        """What is a context's, and goes with it."""
        return self.cache + self.compute

    @property
    def total(self) -> int:
        """What is in RAM."""
        return self.weights + self.buffers

    @property
    def everywhere(self) -> Need:
        """The same as if there were no GPUs."""
        return Need(
            self.weights + sum(part.weights for part in self.gpus),
            self.cache + sum(part.cache for part in self.gpus),
            self.compute + sum(part.compute for part in self.gpus),
        )


def need_in(lines: Iterable[str], weights: int) -> Need:
    """Return the need, of which all but the weights stands in llama.cpp's log."""
    kept = list(lines)
    return Need(weights, _sum(_CACHE, kept), _sum(_BUFFER, kept))


def quantized_size(lines: Iterable[str]) -> int:
    """Return what llama.cpp's log says of a dry run of its quantizing."""
    return _sum(_QUANTIZED, lines)


def compute_on(lines: Iterable[str], name: str) -> int:
    """Return what llama.cpp's log says of a device's buffers for a batch."""
    return _sum(
        re.compile(rf"^\w+: +{re.escape(name)} +compute buffer size = +([\d.]+) MiB"), lines
    )


def place(whole: Need, layers: Layers, gpus: Sequence[Gpu], config: WorkerConfig) -> Need:
    """Return what a model takes in RAM and on GPUs: as the user has set it, else as is best.

    Args:
        whole: where it lies on GPUs altogether.
    """
    split = tuple(config.tensor_split[gpu.number] for gpu in gpus) if config.tensor_split else ()
    best = offload(layers, gpus, split if any(split) else ())
    n, n_units = config.n_gpu_layers, layers.n_units
    chosen = best if n < 0 else Offload(min(n, n_units), split, max(0, n_units - n))
    parts = parts_on(layers, chosen, gpus)
    gone = sum(part.weights for part in parts)
    if layers.is_copy and chosen.n_gpu_layers:
        gone -= layers.output
    return Need(
        weights=whole.weights - gone,
        cache=whole.cache - sum(part.cache for part in parts),
        # What is left to the CPU needs its own.
        compute=whole.compute - sum(layers.compute) + (max(layers.compute) if chosen.left else 0),
        gpus=tuple(parts),
        offload=chosen,
        most=best.n_gpu_layers,
    )


def _sum(pattern: re.Pattern[str], lines: Iterable[str]) -> int:
    found = (pattern.search(line) for line in lines)
    return int(sum(float(match[1]) for match in found if match) * MIB)


def refuse_what_does_not_fit(model: str, need: Need, config: WorkerConfig, held: int = 0) -> None:
    """Compare with what is free.

    Args:
        held: bytes of RAM that other workers give up before.

    Raises:
        NoRoomError: it does not fit; the remedy is the smallest change after which it does.
    """
    for part in need.gpus:
        if part.total > part.gpu.free:
            fewer = (
                f"Set LECTERN_POOL_N_GPU_LAYERS={need.most}, or leave it out: then as many layers "
                "go there as fit"
            )
            raise NoRoomError(model, _too_much(part), f"{fewer}; {_MORE}")
    free = free_memory(held)
    if need.total <= free:
        return
    problem = (
        f"it needs {_gib(need.total)} of memory ({_gib(need.weights)} for its weights, "
        f"{_gib(need.cache)} for {config.n_seq_max} sequences of {config.n_ctx:,} tokens, "
        f"{_gib(need.compute)} to compute), and {_gib(free)} are free"
    )
    raise NoRoomError(model, problem, f"{remedy(need, config, free)}; {_MORE}")


def _too_much(part: Part) -> str:
    return (
        f"it needs {_gib(part.total)} on {part.gpu.name} ({_gib(part.weights)} for its weights, "
        f"{_gib(part.cache)} for sequences, {_gib(part.compute)} to compute), and "
        f"{_gib(part.gpu.free)} are free there"
    )


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


def sequences_that_fit(need: Need, config: WorkerConfig, held: int = 0) -> int:
    """Return how many of a config's sequences fit, beside buffers as large as for all of them."""
    free = free_memory(held)
    return config.n_seq_max if need.total <= free else max(0, _sequences(need, config, free))


def _sequences(need: Need, config: WorkerConfig, free: int) -> int:
    room = free - need.weights - need.compute
    return room * config.n_seq_max // need.cache if need.cache else 0


def free_memory(held: int = 0) -> int:
    """Return the bytes that this process may still take: of the machine, its group, its limit.

    Args:
        held: bytes that other processes of its group give up before.
    """
    free = psutil.virtual_memory().available + held
    if sys.platform == "linux":
        free = min(free, _left_in_limit(), *(group.left + held for group in memory_groups()))
    return max(0, free)


def _left_in_limit() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return limit - psutil.Process().memory_info().vms


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
