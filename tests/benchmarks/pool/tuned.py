"""The settings that the pool computes with, as its peers are given them.

Names are llama.cpp's. The pool finds its own; its peers get the same as flags.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from tasks.settings import Settings

Switch = Literal["on", "off", "auto"]


@dataclass(frozen=True)
class Tuned:
    """Settings of a context.

    Attributes:
        waiting: OMP_WAIT_POLICY, how threads wait for each other: passive ones lose little where
            others want the processor too.
    """

    n_seq_max: int
    n_batch: int
    n_ubatch: int
    n_threads: int
    n_threads_batch: int
    flash_attn: Switch
    kv_unified: bool
    waiting: Literal["active", "passive"]

    def flags(self) -> list[str]:
        """Return llama.cpp's flags but for the number of sequences, which its tools name apart."""
        return [
            *("--flash-attn", self.flash_attn),
            "--kv-unified" if self.kv_unified else "--no-kv-unified",
            *("--batch-size", str(self.n_batch), "--ubatch-size", str(self.n_ubatch)),
            *("--threads", str(self.n_threads), "--threads-batch", str(self.n_threads_batch)),
        ]

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that computes with these settings."""
        return {**os.environ, "OMP_WAIT_POLICY": self.waiting}


def pool_settings(model: Path) -> Tuned:
    """Return what the pool uses on this machine for a model."""
    cores = physical_cores()
    batch = Settings.model_fields["pool_n_batch"].default
    return Tuned(
        n_seq_max=16,
        n_batch=batch,
        n_ubatch=batch,
        n_threads=cores,
        n_threads_batch=cores,
        flash_attn="off",
        kv_unified=False,
        waiting="passive",
    )


def physical_cores() -> int:
    """Return the physical cores that this process may use."""
    allowed = len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else 1 << 16
    return max(1, min(psutil.cpu_count(logical=False) or 1, allowed))
