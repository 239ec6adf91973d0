"""From a GGUF file to a model and a context, or to a reason why not.

Owns what llama.cpp is told about devices, threads and caches. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

import llama_cpp as llama
import numpy as np
import psutil
from numpy.typing import NDArray

from tasks.errors import ModelError
from tasks.pool.cpus import physical_cores
from tasks.pool.fit import Need, need_in, refuse_what_does_not_fit, sequences_that_fit
from tasks.pool.llama_log import LlamaLog
from tasks.pool.protocol import FlashAttn, WorkerConfig

# Below it, threads that meet after each of some hundred operations cost more than they share:
# a token of a 7 MB model took 1.9 ms with one and 4.3 ms with two, on two cores that others used
# too.
_TINY_BYTES = 32 << 20

_MOST_UNUSED = 128  # tokens, as llama.cpp allows them for speculation

_LOG = LlamaLog(echo=True)


class Model:
    """A loaded model; contexts are made over it.

    Attributes:
        n_ctx_train: tokens that it was trained on; 0 where the file does not tell.
        can_cut: whether a sequence's cache can be cut at a position (not: recurrent models).
        config: what it was loaded for; with fewer sequences than were wanted where they don't fit
            and the user did not ask for so many.
        need: memory for it and its context; None: not known.
        described: bytes that its description takes beside that, most of them for the vocabulary.
    """

    def __init__(self, handle: Any, config: WorkerConfig) -> None:
        self.config = config
        self.need: Need | None = None
        self.described = 0
        self.handle = handle
        self.vocab = llama.llama_model_get_vocab(handle)
        self.n_vocab = int(llama.llama_vocab_n_tokens(self.vocab))
        self.n_ctx_train = int(llama.llama_model_n_ctx_train(handle))
        self.n_bytes = int(llama.llama_model_size(handle))
        self.can_cut = not (
            llama.llama_model_is_recurrent(handle) or llama.llama_model_is_hybrid(handle)
        )

    @cached_property
    def eog_tokens(self) -> NDArray[np.intp]:
        """The tokens that end an answer; telling them takes a call for each token."""
        is_eog = map(llama.llama_vocab_is_eog, repeat(self.vocab), range(self.n_vocab))
        return np.flatnonzero(np.fromiter(is_eog, bool, self.n_vocab))

    def n_ctx(self, config: WorkerConfig) -> int:
        """Return the tokens of a sequence: as configured, at most what it was trained on."""
        return min(config.n_ctx, self.n_ctx_train) if self.n_ctx_train > 0 else config.n_ctx

    @property
    def resident(self) -> int | None:
        """Bytes that it should have resident with the context that `need` is for."""
        return self.need.total + self.described if self.need else None

    def learn_need(self, config: WorkerConfig) -> None:
        """Determine the need again, for a context of another config."""
        try:
            self.need = None if on_gpu(config) else need_of(config)
        except ModelError:  # its file is gone
            self.need = None

    def close(self) -> None:
        llama.llama_model_free(self.handle)


def load_model(config: WorkerConfig, progress: Callable[[float], None] = lambda _: None) -> Model:
    """Load a model that fits into memory, context included.

    Args:
        progress: is told how much is done, from 0 to 1.

    Raises:
        ModelError: the file can't be loaded, or there is no room for it.
    """
    llama.llama_backend_init()
    if on_gpu(config):  # of its memory only its driver knows: loading will tell
        return load(config, progress)
    before = _resident()
    with needs(config) as need_of:
        described = _resident() - before
        need = need_of(config)
        if config.adapts and (fit := sequences_that_fit(need, config)) < config.n_seq_max:
            config = replace(config, n_seq_max=max(1, fit))
            need = need_of(config)
    refuse_what_does_not_fit(Path(config.model_path).name, need, config)
    model = load(config, progress)
    model.need, model.described = need, described
    return model


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


def load_draft_model(model: Model) -> Model:
    """Load the model that guesses for another.

    Raises:
        ModelError: it can't be loaded, there is no room for it, or it does not suit the other.
    """
    config = model.config
    draft = load_model(
        replace(config, model_path=config.draft_path, draft_path="", n_draft=0, adapts=False)
    )
    problem = ""
    if not (draft.can_cut and model.can_cut):
        problem = "a recurrent model's cache can't be rid of wrong guesses"
    elif not _same_vocabulary(draft, model):
        problem = "its vocabulary is another"
    if problem:
        draft.close()
        problem = f"it can't guess for {Path(config.model_path).name}: {problem}"
        remedy = "Set LECTERN_POOL_DRAFT_MODEL to a smaller model of the same family"
        raise ModelError(Path(config.draft_path).name, problem, remedy)
    return draft


def _same_vocabulary(one: Model, other: Model) -> bool:
    """Compare a few hundred tokens, evenly spread. Models of a family may differ in how many
    unused ones fill up their vocabularies."""
    n_vocab = min(one.n_vocab, other.n_vocab)
    if abs(one.n_vocab - other.n_vocab) > _MOST_UNUSED:
        return False
    tokens = range(0, n_vocab, max(1, n_vocab // 500))
    texts = [[llama.llama_vocab_get_text(m.vocab, t) for t in tokens] for m in (one, other)]
    return texts[0] == texts[1]


def need_of(config: WorkerConfig) -> Need:
    """Return what a model and its context take, by a load that allocates nothing.

    Raises:
        ModelError: the file can't be loaded.
    """
    with needs(config) as need:
        return need(config)


@contextmanager
def needs(config: WorkerConfig) -> Iterator[Callable[[WorkerConfig], Need]]:
    """Load a model without its weights, and tell what contexts of any config take.

    Raises:
        ModelError: the file can't be loaded.
    """
    model = load(config, no_alloc=True)

    def need(config: WorkerConfig) -> Need:
        with _LOG.heard() as heard:
            ctx = make_context(model, config)
            llama.llama_free(ctx)
            return need_in(heard.lines, weights=model.n_bytes)

    try:
        yield need
    finally:
        model.close()


def on_gpu(config: WorkerConfig) -> bool:
    return config.n_gpu_layers != 0 and bool(llama.llama_supports_gpu_offload())


def load(
    config: WorkerConfig,
    progress: Callable[[float], None] = lambda _: None,
    *,
    no_alloc: bool = False,
) -> Model:
    """Load a model, whether it fits or not.

    Args:
        no_alloc: without its weights.

    Raises:
        ModelError: the file can't be loaded.
    """
    params = llama.llama_model_default_params()
    params.n_gpu_layers = config.n_gpu_layers
    params.no_alloc = no_alloc
    if no_alloc or not on_gpu(config):
        # Read, not mapped: llama.cpp lays out most weights anew for the CPU, and the mapped ones
        # would stay resident beside these (712 MB instead of 524 for a Q4_0 of 0.5B). And what
        # happens to the file later does no harm.
        params.load_mode = llama.LLAMA_LOAD_MODE_NONE

    def report(done: float, _user_data: Any) -> bool:
        progress(done)
        return True

    callback = llama.llama_progress_callback(report)  # referenced until loading is done
    params.progress_callback = callback
    with _LOG.heard() as heard:
        handle = llama.llama_model_load_from_file(config.model_path.encode(), params)
    if not handle:
        problem = f"llama.cpp can't load it ({heard.cause or 'it does not say why'})"
        raise ModelError(Path(config.model_path).name, problem, "Check that the file is whole")
    return Model(handle, config)


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
    flash_attn = auto_flash_attn(config) if config.flash_attn == "auto" else config.flash_attn
    params.flash_attn_type = _FLASH_ATTN[flash_attn]
    with _LOG.heard() as heard:
        ctx = llama.llama_init_from_model(model.handle, params)
    if not ctx:
        raise ModelError(
            Path(config.model_path).name,
            f"no memory for {config.n_seq_max} sequences of {n_ctx} tokens ({heard.cause})",
            "Lower LECTERN_POOL_N_SEQ_MAX or LECTERN_POOL_N_CTX",
        )
    return ctx


def n_outputs_max(model: Model, config: WorkerConfig) -> int:
    """Return for how many tokens of a step logits can be had: one of each sequence, and guesses."""
    return config.n_seq_max + (config.n_draft if model.can_cut else 0)


def auto_flash_attn(config: WorkerConfig) -> FlashAttn:
    """Return what `auto` stands for until tuning tells: on a GPU what llama.cpp chooses; on CPUs it
    gains a tenth, but costs a fifth where AMX multiplies matrices."""
    if on_gpu(config):
        return "auto"
    return "off" if b"AMX_INT8 = 1" in llama.llama_print_system_info() else "on"


_FLASH_ATTN = {
    "on": llama.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    "auto": llama.LLAMA_FLASH_ATTN_TYPE_AUTO,
}
