"""From a GGUF file to a model that fits into this machine, or to a reason why not.

Owns loading, with the weights or without them, which tells what they and a context take. Contexts
are made in tasks.pool.contexts. Computes nothing.
"""

from __future__ import annotations

import ctypes
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
from tasks.models.header_values import rope_of
from tasks.models.llama_log import LlamaLog
from tasks.models.rope import n_ctx_max
from tasks.pool.contexts import LOG, make_context
from tasks.pool.devices import (
    gpus_for,
    how_it_runs,
    model_params,
    on_gpu,
    sizes_by_layer,
)
from tasks.pool.fit import (
    Need,
    compute_on,
    need_in,
    place,
    quantized_size,
    refuse_what_does_not_fit,
    sequences_that_fit,
)
from tasks.pool.gpus import Layers, Offload
from tasks.pool.lora import LoadedAdapter, load_adapters, size_of
from tasks.pool.protocol import WorkerConfig

_MOST_UNUSED = 128  # tokens, as llama.cpp allows them for speculation
_MOST_DESCRIBED = 1 << 22  # tokens of a context; each takes some 50 bytes before any cache


class Model:
    """A loaded model; contexts are made over it.

    Attributes:
        rope: what the file says of positions.
        adapters: what is put on each context over it.
        n_swa: tokens of the past that layers with a sliding window see; 0: there are none.
        config: what it was loaded for; with fewer sequences than were wanted where they don't fit
            and the user did not ask for so many.
        need: memory for it and its context; None: not known.
        note: what the user should know of how it runs; may be empty.
        described: bytes that its description takes beside that, most of them for the vocabulary.
    """

    def __init__(self, handle: Any, config: WorkerConfig) -> None:
        self.config = config
        self.need: Need | None = None
        self.described = 0
        self.note = ""
        self.handle = handle
        self.vocab = llama.llama_model_get_vocab(handle)
        self.n_vocab = int(llama.llama_vocab_n_tokens(self.vocab))
        self.rope = rope_of(handle)
        self.adapters: tuple[LoadedAdapter, ...] = ()
        self.n_bytes = int(llama.llama_model_size(handle))
        self.n_swa = int(llama.llama_model_n_swa(handle))
        self.has_state = bool(
            llama.llama_model_is_recurrent(handle) or llama.llama_model_is_hybrid(handle)
        )

    @cached_property
    def eog_tokens(self) -> NDArray[np.intp]:
        """The tokens that end an answer; telling them takes a call for each token."""
        is_eog = map(llama.llama_vocab_is_eog, repeat(self.vocab), range(self.n_vocab))
        return np.flatnonzero(np.fromiter(is_eog, bool, self.n_vocab))

    def n_ctx(self, config: WorkerConfig) -> int:
        """Return the tokens of a sequence: as configured, at most what its positions reach."""
        most = n_ctx_max(self.rope, config.rope_scaling, config.rope_factor)
        return min(config.n_ctx, most) if most > 0 else config.n_ctx

    def can_cut(self, config: WorkerConfig) -> bool:
        """Tell whether a sequence's cache can be cut at any position, and used again from there.

        Not states; and not in a unified cache where layers see a sliding window of the past: what
        has left a sequence's window is overwritten by others, and a sequence that begins there
        would miss it. In a split one each sequence fills its cells in order.
        """
        all_seen = self.n_swa == 0 or self.n_ctx(config) <= self.n_swa
        return not self.has_state and (all_seen or not config.kv_unified)

    @property
    def resident(self) -> int | None:
        """Bytes that it should have resident with the context that `need` is for; None: not known,
        as where a GPU's driver takes some, too."""
        return self.need.total + self.described if self.need and not self.need.gpus else None

    def learn_need(self, config: WorkerConfig) -> None:
        """Determine the need again, for a context of another config."""
        try:
            self.need = None if on_gpu(config) else need_of(config)
        except ModelError:  # its file is gone
            self.need = None

    def put_on_adapters(self, log: LlamaLog) -> None:
        """Load those of the config.

        Raises:
            ModelError: one can't be loaded; the model is freed.
        """
        try:
            self.adapters = load_adapters(self.handle, self.config.lora, log)
        except ModelError:
            self.close()
            raise

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
    before = _resident()
    with needs(config) as need_of:
        described = _resident() - before
        config, need = _adapted(config, need_of)
    refuse_what_does_not_fit(Path(config.model_path).name, need, config)
    model = load(config, progress, need.offload)
    model.need, model.described = need, described
    model.note = how_it_runs(config, need)
    return model


def refuse_too_large(config: WorkerConfig, held: int) -> None:
    """Do what load_model() does before it loads anything.

    Args:
        held: bytes of RAM that other workers give up before. What they give up on GPUs is not
            known: there nothing is refused then.

    Raises:
        NoRoomError: it would not be loaded.
        ModelError: that can't be told.
    """
    if held and on_gpu(config):
        return
    llama.llama_backend_init()
    with needs(config) as need_of:
        longest = replace(config, n_ctx=need_of.model.n_ctx(config))
        config, need = _adapted(longest, need_of, held)
    refuse_what_does_not_fit(Path(config.model_path).name, need, config, held)


def _adapted(config: WorkerConfig, need_of: Needs, held: int = 0) -> tuple[WorkerConfig, Need]:
    """Lower the sequences, if they may be, until all layers fit onto GPUs; or else until what is
    not there fits into RAM."""
    need = need_of(config)
    if not config.adapts:
        return config, need
    fewer = config
    while config.n_gpu_layers < 0 and need.offload and need.offload.left and fewer.n_seq_max > 1:
        fewer = replace(fewer, n_seq_max=fewer.n_seq_max // 2)
        if (smaller := need_of(fewer)).offload and not smaller.offload.left:
            return fewer, smaller
    if (fit := sequences_that_fit(need, config, held)) < config.n_seq_max:
        config = replace(config, n_seq_max=max(1, fit))
        need = need_of(config)
    return config, need


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


def load_draft_model(model: Model) -> Model:
    """Load the model that guesses for another.

    Raises:
        ModelError: it can't be loaded, there is no room for it, or it does not suit the other.
    """
    config = model.config
    draft = load_model(
        replace(
            config,
            model_path=config.draft_path,
            draft_path="",
            n_draft=0,
            adapts=False,
            lora=(),
        )
    )
    problem = ""
    if not (draft.can_cut(config) and model.can_cut(config)):
        problem = "a cache with states or sliding windows can't be rid of wrong guesses"
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
def needs(config: WorkerConfig) -> Iterator[Needs]:
    """Load a model without its weights, to tell what contexts of any config take.

    Raises:
        ModelError: the file can't be loaded.
    """
    model = load(config, no_alloc=True)
    try:
        yield Needs(model)
    finally:
        model.close()


class Needs:
    """What a model takes, which is loaded without its weights. It is asked for many configs, and
    often for one again."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._logged: dict[str, tuple[Need, tuple[int, ...]]] = {}  # by all that a config says
        self._path = Path(model.config.model_path)
        n_layers = int(llama.llama_model_n_layer(model.handle))
        self._sizes = sizes_by_layer(self._path, n_layers) if on_gpu(model.config) else None

    def __call__(self, config: WorkerConfig) -> Need:
        """Return what it takes with a context.

        Raises:
            ModelError: llama.cpp makes no such context.
        """
        whole, compute = self._described(config)
        if self._sizes is None:
            return whole
        return place(whole, Layers(*self._sizes, whole.cache, compute), gpus_for(config), config)

    def _described(self, config: WorkerConfig) -> tuple[Need, tuple[int, ...]]:
        """Return what it takes if it were in one place, and of that the buffers of each GPU.

        What each sequence adds is told from two of them where to describe all takes too much: the
        states of a model that has some (llama_memory_recurrent) are allocated even here.
        """
        n = config.n_seq_max
        if n <= 2 or not (self.model.has_state or n * self.model.n_ctx(config) > _MOST_DESCRIBED):
            return self._read(config)
        (one, first), (two, second) = (self._read(replace(config, n_seq_max=n)) for n in (1, 2))
        whole = replace(
            two,
            cache=_continued(one.cache, two.cache, n),
            compute=_continued(one.compute, two.compute, n),
        )
        return whole, tuple(_continued(*pair, n) for pair in zip(first, second, strict=True))

    def _read(self, config: WorkerConfig) -> tuple[Need, tuple[int, ...]]:
        if (known := self._logged.get(repr(config))) is not None:
            return known
        with LOG.heard() as heard:
            ctx = make_context(self.model, config)
            llama.llama_free(ctx)
        whole = need_in(heard.lines, weights=self.model.n_bytes + size_of(config.lora))
        used = gpus_for(config) if self._sizes is not None else []
        found = whole, tuple(compute_on(heard.lines, gpu.name) for gpu in used)
        self._logged[repr(config)] = found
        return found

    def weights_as(self, quantization: str) -> int:
        """Return the bytes of its tensors if it were so quantized; 0 where llama.cpp can't tell."""
        params = llama.llama_model_quantize_default_params()
        ftype = getattr(llama, f"LLAMA_FTYPE_MOSTLY_{quantization}", None)
        if ftype is None:
            return 0
        params.ftype, params.dry_run, params.allow_requantize = ftype, True, True
        with LOG.heard() as heard:
            code = llama.llama_model_quantize(str(self._path).encode(), b"", ctypes.byref(params))
        return quantized_size(heard.lines) if code == 0 else 0


def _continued(one: int, two: int, n: int) -> int:
    """Return the n-th of numbers that begin so and grow evenly."""
    return one + (n - 1) * max(0, two - one)


def load(
    config: WorkerConfig,
    progress: Callable[[float], None] = lambda _: None,
    chosen: Offload | None = None,
    *,
    no_alloc: bool = False,
) -> Model:
    """Load a model, whether it fits or not.

    Args:
        chosen: what is on GPUs; None: as configured.
        no_alloc: without its weights, as if all were on GPUs, if any is to be.

    Raises:
        ModelError: the file can't be loaded.
    """
    used = gpus_for(config) if config.n_gpu_layers else []
    if no_alloc or chosen is None:
        chosen = Offload(-1 if no_alloc else config.n_gpu_layers)
    params = model_params(chosen, used, no_alloc=no_alloc)

    def report(done: float, _user_data: Any) -> bool:
        progress(done)
        return True

    callback = llama.llama_progress_callback(report)  # referenced until loading is done
    params.progress_callback = callback
    with LOG.heard() as heard:
        handle = llama.llama_model_load_from_file(config.model_path.encode(), params)
    if not handle:
        problem = f"llama.cpp can't load it ({heard.cause or 'it does not say why'})"
        raise ModelError(Path(config.model_path).name, problem, "Check that the file is whole")
    model = Model(handle, config)
    if not no_alloc:
        model.put_on_adapters(LOG)
    return model
