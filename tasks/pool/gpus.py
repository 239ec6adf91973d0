"""GPUs: which layers of a model go where, and which worker uses which of them.

Pure policy: knows neither llama.cpp (tasks.pool.devices makes the list of GPUs, and tells llama.cpp
what is decided here) nor files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from tasks.errors import ModelError

# What stays free of each GPU's memory, as llama.cpp's own --fit leaves it (common/fit.cpp): for its
# driver, and for whoever looks at the screen.
MARGIN = 1 << 30


@dataclass(frozen=True)
class Gpu:
    """A GPU as llama.cpp counts them; bytes.

    Attributes:
        number: its place in llama.cpp's list, from 0.
        name: llama.cpp's, such as CUDA0.
        handle: ggml's pointer to it, in this process.
    """

    number: int
    name: str
    free: int
    total: int
    handle: int = field(default=0, repr=False, compare=False)

    @property
    def room(self) -> int:
        """What a model may take of it, unless the user wants more."""
        return max(0, self.free - MARGIN)


@dataclass(frozen=True)
class Layers:
    """What a model takes by its parts; bytes.

    Attributes:
        weights: of each repeating layer.
        output: of what comes after them.
        is_copy: the output matrix is that of the embeddings: what is on a GPU is a second one.
        cache: of all layers. They are taken as equal in this: only the sum is known.
        compute: buffers on each GPU, in their order.
    """

    weights: tuple[int, ...]
    output: int
    is_copy: bool
    cache: int
    compute: tuple[int, ...]

    @property
    def n_units(self) -> int:
        """What llama.cpp's n_gpu_layers counts: the layers, then the output."""
        return len(self.weights) + 1


@dataclass(frozen=True)
class Offload:
    """What is on GPUs; names are llama.cpp's.

    Attributes:
        n_gpu_layers: the last so many units.
        tensor_split: each GPU's share of them; none: by what they have free.
        left: units that are not.
    """

    n_gpu_layers: int
    tensor_split: tuple[float, ...] = ()
    left: int = 0

    @property
    def main_gpu(self) -> int | None:
        """The only one that is used, of several."""
        used = [i for i, share in enumerate(self.tensor_split) if share]
        return used[0] if len(used) == 1 else None


@dataclass(frozen=True)
class Part:
    """What of a model is on one GPU; bytes."""

    gpu: Gpu
    weights: int = 0
    cache: int = 0
    compute: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.compute


def own(gpus: Sequence[Gpu], numbers: Sequence[int] | None) -> list[Gpu]:
    """Return those of a worker; None: all."""
    return [gpu for gpu in gpus if numbers is None or gpu.number in numbers]


def offload(layers: Layers, gpus: Sequence[Gpu], tensor_split: Sequence[float] = ()) -> Offload:
    """Return what to put on GPUs: as many layers as fit.

    All on one GPU if it has the room, else over all in proportion to what they have free, else each
    filled before the next, which leaves the least unused. llama.cpp's own --fit goes the same way
    (common/fit.cpp), and then moves parts of layers, too.

    Args:
        tensor_split: shares that a user has set.
    """
    for n in range(layers.n_units, 0, -1):
        for split in [tensor_split] if tensor_split else _splits(n, layers, gpus):
            chosen = Offload(n, tuple(map(float, split)), layers.n_units - n)
            parts = parts_on(layers, chosen, gpus)
            if parts and all(part.total <= part.gpu.room for part in parts):
                return chosen
    return Offload(0, left=layers.n_units)


def _splits(n: int, layers: Layers, gpus: Sequence[Gpu]) -> Iterator[list[int]]:
    """Yield numbers of units for each GPU, n in all, the best way first."""
    rooms = [max(0, gpu.room - used) for gpu, used in zip(gpus, layers.compute, strict=True)]
    if not any(rooms):
        return
    if n == layers.n_units:
        best = rooms.index(max(rooms))
        yield [n if i == best else 0 for i in range(len(gpus))]
    ends = [round(n * part / sum(rooms)) for part in accumulate(rooms)]
    yield [end - start for start, end in pairwise((0, *ends))]
    yield _one_after_the_other(_units(layers)[-n:], rooms)


def _units(layers: Layers) -> list[int]:
    cache = layers.cache // max(1, len(layers.weights))
    return [*(weights + cache for weights in layers.weights), layers.output]


def _one_after_the_other(units: Sequence[int], rooms: Sequence[int]) -> list[int]:
    counts, left, at = [0] * len(rooms), list(rooms), 0
    for unit in units:
        while at < len(rooms) - 1 and unit > left[at]:
            at += 1
        counts[at] += 1
        left[at] -= unit
    return counts


def parts_on(layers: Layers, chosen: Offload, gpus: Sequence[Gpu]) -> list[Part]:
    """Return what each GPU has then, in their order."""
    parts = [Part(gpu) for gpu in gpus]
    cache = layers.cache // max(1, len(layers.weights))
    for unit, i in enumerate(places(layers.n_units, chosen, gpus)):
        if i is None:
            continue
        is_output = unit == len(layers.weights)
        parts[i] = Part(
            gpus[i],
            parts[i].weights + (layers.output if is_output else layers.weights[unit]),
            parts[i].cache + (0 if is_output else cache),
            layers.compute[i],
        )
    return parts


def places(n_units: int, chosen: Offload, gpus: Sequence[Gpu]) -> Iterator[int | None]:
    """Yield which GPU, by its place in the list, each unit is on; None: on none.

    As llama.cpp decides it (get_layer_buft_list in src/llama-model.cpp).
    """
    shares = chosen.tensor_split if any(chosen.tensor_split) else [gpu.free for gpu in gpus]
    n = min(chosen.n_gpu_layers, n_units) if any(shares) else 0
    yield from [None] * (n_units - n)
    for k in range(n):
        ends = enumerate(accumulate(shares))
        yield next(i for i, end in ends if k / n < end / sum(shares))


def check_split(tensor_split: Sequence[float], gpus: Sequence[Gpu]) -> None:
    """Look at shares that a user has set.

    Raises:
        ModelError: they are no shares of these GPUs.
    """
    problem = ""
    if len(tensor_split) != len(gpus):
        names = ", ".join(gpu.name for gpu in gpus)
        problem = f"it has {len(tensor_split)} numbers for {len(gpus)} GPUs ({names})"
    elif not all(math.isfinite(share) and share >= 0 for share in tensor_split):
        problem = "a share of a GPU is a number from 0 up"
    elif not any(tensor_split):
        problem = "it gives no GPU a share"
    if problem:
        said = ", ".join(f"{share:g}" for share in tensor_split)
        raise ModelError(
            f"LECTERN_POOL_TENSOR_SPLIT=[{said}]",
            problem,
            "Give one number for each GPU, or leave it out: then it goes by what they have free",
        )


def plan_workers(
    gpus: Sequence[Gpu], need_bytes: int, n_workers: int
) -> list[tuple[int, ...] | None]:
    """Return the GPUs of each worker, by their numbers; None: all, or none where there are none.

    Args:
        need_bytes: of the whole model with its context.
        n_workers: as many as the user wants; 0: one for each GPU that holds all of it, and if none
            does, one over all.
    """
    if not gpus:
        return [None] * max(1, n_workers)
    if n_workers == 0:
        return [(gpu.number,) for gpu in gpus if need_bytes <= gpu.room] or [None]
    if n_workers == 1:
        return [None]
    if n_workers >= len(gpus):  # some share one
        return [(gpus[i % len(gpus)].number,) for i in range(n_workers)]
    cuts = [round(i * len(gpus) / n_workers) for i in range(n_workers + 1)]
    return [tuple(gpu.number for gpu in gpus[a:b]) for a, b in pairwise(cuts)]
