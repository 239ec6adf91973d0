"""What tasks.pool.fit_child is asked about a model, and what it answers.

Records alone: the child imports no more than a worker does, whose memory it tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Order:
    """What the child is asked.

    Attributes:
        config: the fields of a WorkerConfig.
        quantization: to count as if it were so quantized; "": as it is.
        others: quantizations to tell of beside that.
        unseen: bytes of a worker that stands for what the file does not have: its vocabulary.
        only_refusal: whether it would be loaded, and nothing else.
        held: bytes of RAM that other workers give up before.
    """

    config: dict[str, Any]
    quantization: str
    others: list[str]
    unseen: int = 0
    only_refusal: bool = False
    held: int = 0


@dataclass(frozen=True)
class GpuFit:
    """What of a model is on a GPU, and what that has; bytes."""

    name: str
    need: int
    free: int
    total: int


@dataclass(frozen=True)
class QuantizedFit:
    """A quantization of the same model with the same context; bytes.

    Attributes:
        weights: the size of its tensors, which is nearly that of its file.
        total: all that it takes.
    """

    name: str
    weights: int
    total: int
    fits: bool


@dataclass(frozen=True)
class Fit:
    """What a model takes, and what there is; bytes.

    Attributes:
        quantization: that it is counted in; "": its file does not say.
        n_ctx: of one sequence: as asked for, at most what the model takes.
        n_ctx_asked: that may be more.
        weights, cache, compute: wherever they are.
        process: of a worker beside them, the vocabulary included.
        ram: of all this, what is in the machine's memory.
        ram_free: for this process and its groups; ram_limit: of its groups, 0 where there is none.
        most_n_seq: sequences of n_ctx tokens that fit; 0: none.
        most_n_ctx: tokens of one sequence alone that fit; 0: none.
        note: what to know of how it would run; may be empty.
    """

    quantization: str
    n_ctx: int
    n_ctx_asked: int
    n_seq_max: int
    weights: int
    cache: int
    compute: int
    process: int
    ram: int
    ram_free: int
    ram_total: int
    ram_limit: int
    gpus: list[GpuFit]
    fits: bool
    most_n_seq: int
    most_n_ctx: int
    quantizations: list[QuantizedFit]
    note: str = ""

    @property
    def total(self) -> int:
        """What a worker should have, as `memory_estimate` says of one that runs."""
        return self.weights + self.cache + self.compute + self.process
