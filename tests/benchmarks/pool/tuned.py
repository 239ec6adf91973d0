"""The settings that the pool computes with, as its peers are given them.

Names are llama.cpp's. The pool finds its own; its peers get the same as flags. They are what
`LECTERN_HOME=.benchmarks/home lectern bench -m MODEL` has found, if that was run for the model,
with LECTERN_POOL_N_CTX as the scenario has it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tasks.pool.cpus import physical_cores
from tasks.pool.models import ModelFiles, identify
from tasks.pool.tuning import Tuning, kept
from tasks.settings import Settings

from .places import Places

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


# Where nothing was measured: what was best on the machines that were at hand.
_UNMEASURED = Tuning(n_seq_max=16, flash_attn="off")


def pool_settings(model: Path, places: Places | None = None, n_ctx: int = 4096) -> Tuned:
    """Return what the pool uses on this machine for a model."""
    home = (places or Places()).home
    tuning = _UNMEASURED
    if model.exists():
        identity = identify(ModelFiles(model.name, (model,)), home)
        tuning = replace(tuning, **kept(Settings(home=home, pool_n_ctx=n_ctx), identity))
    cores = physical_cores()
    batch = tuning.n_threads_batch or cores
    return Tuned(
        n_seq_max=tuning.n_seq_max,
        n_batch=tuning.n_batch,
        n_ubatch=tuning.n_batch,
        n_threads=tuning.n_threads or batch,
        n_threads_batch=batch,
        flash_attn="off" if tuning.flash_attn == "auto" else tuning.flash_attn,
        kv_unified=tuning.kv_unified,
        waiting="passive",
    )
