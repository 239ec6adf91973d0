"""How the workers of one model share a machine: its GPUs, or where it has none, its processors.

The first worker decides for all: it sees the GPUs, and knows what the model needs. The front starts
the others, each of which sees for itself that there is memory for it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.pool.cpus import physical_cores
from tasks.pool.devices import gpus
from tasks.pool.gpus import plan_workers
from tasks.pool.loading import need_of
from tasks.pool.protocol import WorkerConfig


@dataclass(frozen=True)
class Share:
    """What a worker takes.

    Attributes:
        config: with its GPUs or its threads.
        siblings: the GPUs of each further worker, as it was told or would have it; None: all, or
            none where there are none.
    """

    config: WorkerConfig
    siblings: Sequence[Sequence[int] | None]


def share(config: WorkerConfig) -> Share:
    """Return what a worker takes that was told how many there are to be, and perhaps its GPUs.

    Raises:
        ModelError: the model's file can't be loaded.
    """
    found = gpus() if config.n_gpu_layers else []
    if not found:
        n = max(1, config.n_workers)
        return Share(_with_threads(config, n), [None] * (n - 1))
    for_one = bool(config.tensor_split) and not config.n_workers  # the user says: over all of them
    if config.gpus is not None or config.n_workers == 1 or for_one:
        return Share(config, [])
    own, *others = plan_workers(found, need_of(config).everywhere.total, config.n_workers)
    return Share(replace(config, gpus=own), others)


def _with_threads(config: WorkerConfig, n_workers: int) -> WorkerConfig:
    """Return a config with its part of the processors, unless the user or a measurement says more:
    threads of two workers on one core wait for each other."""
    if n_workers == 1 or config.n_threads or config.n_threads_batch:
        return config
    return replace(config, n_threads_batch=max(1, physical_cores() // n_workers))
