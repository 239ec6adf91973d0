"""Contexts over a loaded model.

Owns what llama.cpp is told about threads, caches, attention and positions. Loads nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import llama_cpp as llama

from tasks.errors import ModelError
from tasks.models.header_values import frequencies_of
from tasks.models.llama_log import LlamaLog
from tasks.models.rope import parameters
from tasks.pool.cpus import physical_cores
from tasks.pool.devices import on_gpu
from tasks.pool.lora import put_on
from tasks.pool.protocol import FlashAttn, WorkerConfig

if TYPE_CHECKING:
    from tasks.pool.loading import Model

# Below it, threads that meet after each of some hundred operations cost more than they share:
# a token of a 7 MB model took 1.9 ms with one and 4.3 ms with two, on two cores that others used
# too.
_TINY_BYTES = 32 << 20

LOG = LlamaLog(echo=True)  # the one of a process that computes


def make_context(model: Model, config: WorkerConfig) -> Any:
    """Return a context, which the caller frees.

    Raises:
        ModelError: there is no memory for it.
    """
    n_ctx = model.n_ctx(config)
    params = llama.llama_context_default_params()
    params.n_ctx = n_ctx * config.n_seq_max
    params.n_seq_max = config.n_seq_max
    params.n_batch = params.n_ubatch = config.n_batch
    # Rows of logits for those who need them, not one a token: spares n_batch x n_vocab floats.
    params.n_outputs_max = n_outputs_max(model, config)
    params.n_threads_batch = config.n_threads_batch or config.n_threads or physical_cores()
    # n_threads is for steps of a single token.
    tiny = model.n_bytes < _TINY_BYTES
    params.n_threads = config.n_threads or (1 if tiny else params.n_threads_batch)
    params.kv_unified = config.kv_unified
    params.no_perf = True
    _scale_positions(params, model, config)
    flash_attn = auto_flash_attn(config) if config.flash_attn == "auto" else config.flash_attn
    params.flash_attn_type = _FLASH_ATTN[flash_attn]
    with LOG.heard() as heard:
        ctx = llama.llama_init_from_model(model.handle, params)
    if not ctx:
        raise ModelError(
            Path(config.model_path).name,
            f"no memory for {config.n_seq_max} sequences of {n_ctx} tokens ({heard.cause})",
            "Lower LECTERN_POOL_N_SEQ_MAX or LECTERN_POOL_N_CTX",
        )
    put_on(ctx, model.adapters)
    return ctx


def _scale_positions(params: Any, model: Model, config: WorkerConfig) -> None:
    freq_base, n_dims = frequencies_of(model.handle)
    rope = parameters(
        model.rope, config.rope_scaling, config.rope_factor, freq_base=freq_base, n_dims=n_dims
    )
    if rope.scaling:
        params.rope_scaling_type = _ROPE_SCALING[rope.scaling]
    params.rope_freq_base, params.rope_freq_scale = rope.freq_base, rope.freq_scale
    params.yarn_orig_ctx = rope.yarn_orig_ctx


def n_outputs_max(model: Model, config: WorkerConfig) -> int:
    """Return for how many tokens of a step logits can be had: one of each sequence, and guesses."""
    return config.n_seq_max + (config.n_draft if model.can_cut(config) else 0)


def auto_flash_attn(config: WorkerConfig) -> FlashAttn:
    """Return what `auto` stands for until tuning tells: on a GPU what llama.cpp chooses; on CPUs it
    gains a tenth, but costs a fifth where AMX multiplies matrices."""
    if on_gpu(config):
        return "auto"
    return "off" if b"AMX_INT8 = 1" in llama.llama_print_system_info() else "on"


_ROPE_SCALING = {
    "none": llama.LLAMA_ROPE_SCALING_TYPE_NONE,
    "linear": llama.LLAMA_ROPE_SCALING_TYPE_LINEAR,
    "yarn": llama.LLAMA_ROPE_SCALING_TYPE_YARN,
}
_FLASH_ATTN = {
    "on": llama.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    "auto": llama.LLAMA_FLASH_ATTN_TYPE_AUTO,
}
