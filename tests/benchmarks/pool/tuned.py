"""The settings that the pool computes with, as its peers are given them.

Names are llama.cpp's. The pool's are what `lectern bench` finds for the model on this machine; its
peers get the same as flags.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.models.files import ModelFiles, identify
from tasks.models.spec import load_spec
from tasks.pool.bench import find_tuning, machine_alone
from tasks.pool.contexts import auto_flash_attn
from tasks.pool.cpus import physical_cores
from tasks.pool.idle_tuning import BUDGET_S
from tasks.pool.protocol import WorkerConfig
from tasks.pool.tuning import Tuning, kept
from tasks.pool.worker_process import worker_environment
from tasks.settings import Settings

from .places import Places

Switch = Literal["on", "off", "auto"]


@dataclass(frozen=True)
class Tuned:
    """Settings of a context."""

    n_seq_max: int
    n_batch: int
    n_ubatch: int
    n_threads: int
    n_threads_batch: int
    flash_attn: Switch
    kv_unified: bool

    def flags(self) -> list[str]:
        """Return llama.cpp's flags but for the number of sequences, which its tools name apart."""
        return [
            *("--flash-attn", self.flash_attn),
            "--kv-unified" if self.kv_unified else "--no-kv-unified",
            *("--batch-size", str(self.n_batch), "--ubatch-size", str(self.n_ubatch)),
            *("--threads", str(self.n_threads), "--threads-batch", str(self.n_threads_batch)),
        ]

    def describe(self) -> str:
        cache = "unified" if self.kv_unified else "split"
        return (
            f"{self.n_seq_max} sequences, {cache} cache, flash attention {self.flash_attn}, ubatch "
            f"{self.n_ubatch}, threads {self.n_threads_batch}/{self.n_threads} (prefill/decode)"
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that computes with these settings."""
        return worker_environment()


def find_best(model: Path, places: Places, n_ctx: int) -> None:
    """Measure what is best for a model, as `lectern bench` does, and keep it in the pool's home.

    Raises:
        PipelineError: it can't be measured.
    """
    settings = Settings(home=places.home, pool_url=None, pool_n_ctx=n_ctx)
    with machine_alone(settings) as log:
        spec = load_spec(str(model), settings)
        find_tuning(settings, spec, BUDGET_S, log, lambda _event: None)


def is_tuned(model: Path, places: Places, n_ctx: int) -> bool:
    return bool(_kept(model, places, n_ctx))


def _kept(model: Path, places: Places, n_ctx: int) -> dict[str, Any]:
    identity = identify(ModelFiles(model.name, (model,)), places.home)
    return kept(Settings(home=places.home, pool_n_ctx=n_ctx), identity)


def pool_settings(model: Path, places: Places, n_ctx: int) -> Tuned:
    """Return what the pool uses on this machine for a model; by default, if it is not there."""
    tuning = Tuning(**_kept(model, places, n_ctx)) if model.exists() else Tuning()
    config = WorkerConfig(model_path=str(model), n_ctx=n_ctx)
    flash_attn = tuning.flash_attn if tuning.flash_attn != "auto" else auto_flash_attn(config)
    cores = physical_cores()
    batch = tuning.n_threads_batch or cores
    return Tuned(
        n_seq_max=tuning.n_seq_max,
        n_batch=tuning.n_batch,
        n_ubatch=tuning.n_batch,
        n_threads=tuning.n_threads or batch,
        n_threads_batch=batch,
        flash_attn=flash_attn,
        kv_unified=tuning.kv_unified,
    )
