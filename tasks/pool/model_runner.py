"""The only file of the pool that touches llama.cpp: model, context, batch, samplers.

Owns the device memory. Does what it is told: which tokens at which positions of which
seq_id is the scheduler's business, when to stop is the engine's. A failed llama_decode is
raised and not mended here: the worker ends and the front starts another.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable
from collections.abc import Sequence as Tokens
from pathlib import Path
from typing import Any

import llama_cpp as llama
import numpy as np
import psutil
from numpy.typing import NDArray

from tasks.errors import ModelError
from tasks.pool.answer_text import THINK_CLOSE, THINK_OPEN
from tasks.pool.fit import Need, need_in, refuse_what_does_not_fit
from tasks.pool.llama_log import LlamaLog
from tasks.pool.protocol import EngineRequest, GrammarError, TokenLogprob, TopLogprob, WorkerConfig
from tasks.pool.scheduler import Move, Piece

Logits = NDArray[np.float32]

# Below it, threads that meet after each of some hundred operations cost more than they share:
# a token of a 7 MB model took 1.9 ms with one and 4.3 ms with two, on two cores that others used
# too.
_TINY_BYTES = 32 << 20


class DecodeError(RuntimeError):
    """llama_decode returned an error; the cache's contents are no longer known."""


_LOG = LlamaLog(echo=True)


class ModelRunner:
    """A loaded model and one context of n_seq_max sequences.

    Attributes:
        n_ctx: tokens that one sequence holds: as configured, at most what it was trained on.
        n_batch: tokens of one decode call; at least n_seq_max.
        can_cut: whether a sequence's cache can be cut at a position (not: recurrent models).

    Raises:
        ModelError: the file can't be loaded, or the context does not fit into memory.
    """

    def __init__(
        self, config: WorkerConfig, progress: Callable[[float], None] = lambda _: None
    ) -> None:
        llama.llama_backend_init()
        self.n_seq_max = config.n_seq_max
        self.n_batch = max(config.n_batch, config.n_seq_max)
        if not _on_gpu(config):  # whose memory only its driver knows: loading will tell
            name = Path(config.model_path).name
            refuse_what_does_not_fit(name, _need(config, self.n_batch), config)
        self._model = _load_model(config, progress)
        self.n_ctx = _n_ctx(self._model, config)
        self._ctx = _make_context(self._model, config, self.n_ctx, self.n_batch)
        self._memory = llama.llama_get_memory(self._ctx)
        self._vocab = llama.llama_model_get_vocab(self._model)
        self.n_vocab: int = llama.llama_vocab_n_tokens(self._vocab)
        self.can_cut = not (
            llama.llama_model_is_recurrent(self._model) or llama.llama_model_is_hybrid(self._model)
        )
        is_eog = (llama.llama_vocab_is_eog(self._vocab, t) for t in range(self.n_vocab))
        self.eog_tokens = np.flatnonzero(np.fromiter(is_eog, bool, self.n_vocab))
        self._eog = frozenset(self.eog_tokens.tolist())
        self._batch = _Batch(self.n_batch)
        self._scratch: Logits = np.empty(self.n_vocab, np.float32)
        self._pieces: dict[int, bytes] = {}

    def close(self) -> None:
        llama.llama_free(self._ctx)
        llama.llama_model_free(self._model)

    def is_eog(self, token: int) -> bool:
        return token in self._eog

    def move(self, move: Move) -> None:
        """Bring a sequence's cache into the state that a Move describes.

        With split streams only whole sequences can be copied, so the copy comes first and
        the cut after; llama.cpp does the copying at its next decode, before computing.
        """
        if move.source is not None:
            llama.llama_memory_seq_cp(self._memory, move.source, move.seq_id, -1, -1)
        keep = move.keep if move.keep > 0 else -1
        if not llama.llama_memory_seq_rm(self._memory, move.seq_id, keep, -1):
            raise DecodeError(f"llama_memory_seq_rm({move.seq_id}, {keep}) refused")

    def decode(self, pieces: Tokens[Piece]) -> dict[int, int]:
        """Compute pieces as one batch.

        Returns:
            Where a complete piece's logits are, by its sequence's id: the index in the batch
            that logits() and Sampler.choose() take. Valid until the next decode.
        """
        rows = self._batch.fill(pieces)
        code = llama.llama_decode(self._ctx, self._batch.struct)
        if code != 0:
            raise DecodeError(f"llama_decode returned {code} for {self._batch.n_tokens} tokens")
        return rows

    def logits(self, row: int) -> Logits:
        """Return a writable view of llama.cpp's own logits."""
        pointer = llama.llama_get_logits_ith(self._ctx, row)
        return np.ctypeslib.as_array(pointer, (self.n_vocab,))

    def sampler(self, request: EngineRequest) -> Sampler:
        return Sampler(self._ctx, self._vocab, self.n_vocab, request)

    def piece(self, token: int) -> bytes:
        """Return a token's bytes; control tokens have none, but for the reasoning marks."""
        known = self._pieces.get(token)
        if known is None:
            known = self._piece(token, special=False)
            if not known and (mark := self._piece(token, special=True)) in _MARKS:
                known = mark
            self._pieces[token] = known
        return known

    def _piece(self, token: int, *, special: bool) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            n = llama.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            if n >= 0:
                return buffer.raw[:n]
            size = -n

    def token_logprob(self, logits: Logits, token: int, n_top: int) -> TokenLogprob:
        """Return a token's log-probability under these logits, and the n_top best."""
        best = float(logits.max())
        # In place: fresh arrays of a vocabulary's size cost more than the arithmetic.
        np.subtract(logits, best, out=self._scratch)
        np.exp(self._scratch, out=self._scratch)
        log_sum = best + math.log(float(self._scratch.sum()))
        top: list[int] = []
        if n_top:
            top = np.argpartition(logits, -n_top)[-n_top:].tolist()
            top.sort(key=lambda t: -float(logits[t]))

        def entry(t: int) -> TopLogprob:
            piece = self.piece(t)
            logprob = max(
                float(logits[t]) - log_sum, -9999.0
            )  # OpenAI's stand-in: JSON has no -inf
            return {
                "token": piece.decode(errors="replace"),
                "bytes": list(piece),
                "logprob": logprob,
            }

        return {**entry(token), "top_logprobs": [entry(t) for t in top]}


_MARKS = (THINK_OPEN.encode(), THINK_CLOSE.encode())


class _Batch:
    """A llama_batch over numpy arrays that live as long as it does."""

    def __init__(self, n_batch: int) -> None:
        self._token, self._pos, self._seq, self._one = (
            np.zeros(n_batch, np.int32) for _ in range(4)
        )
        self._one[:] = 1
        self._logits = np.zeros(n_batch, np.int8)
        # llama.cpp wants an array of sequence ids for each token: pointers into one array.
        self._seq_pointers = self._seq.ctypes.data + 4 * np.arange(n_batch, dtype=np.uintp)
        i32, ids = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))
        self.struct = llama.llama_batch(
            n_tokens=0,
            token=self._token.ctypes.data_as(i32),
            pos=self._pos.ctypes.data_as(i32),
            n_seq_id=self._one.ctypes.data_as(i32),
            seq_id=self._seq_pointers.ctypes.data_as(ids),
            logits=self._logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    @property
    def n_tokens(self) -> int:
        return int(self.struct.n_tokens)

    def fill(self, pieces: Tokens[Piece]) -> dict[int, int]:
        """Lay out the pieces; return where the complete ones end, by sequence id."""
        at, rows = 0, {}
        self._logits[:] = 0
        for piece in pieces:
            end = at + len(piece.tokens)
            self._token[at:end] = piece.tokens
            self._pos[at:end] = np.arange(piece.pos, piece.pos + len(piece.tokens))
            self._seq[at:end] = piece.seq_id
            if piece.complete:
                self._logits[end - 1] = 1
                rows[piece.sequence.id] = end - 1
            at = end
        self.struct.n_tokens = at
        return rows


class Sampler:
    """How one request's tokens are chosen: argmax, or a chain of llama.cpp's samplers.

    Penalties count the answer's tokens, not the prompt's, as OpenAI defines them.

    Raises:
        GrammarError: the grammar does not parse.
    """

    def __init__(self, ctx: Any, vocab: Any, n_vocab: int, request: EngineRequest) -> None:
        self._ctx = ctx
        self._chain: Any = None
        links = _penalties(n_vocab, request)
        if request.grammar:
            grammar = request.grammar.encode()
            links.insert(0, llama.llama_sampler_init_grammar(vocab, grammar, b"root"))
            if not links[0]:
                raise GrammarError("the grammar does not parse as GBNF with a rule named root")
        if request.temperature > 0:
            links += _choosers(request)
        elif links:
            links.append(llama.llama_sampler_init_greedy())
        if links:
            self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
            for link in links:
                llama.llama_sampler_chain_add(self._chain, link)

    def choose(self, logits: Logits, row: int) -> int:
        """Return the next token; logits are the view of the same row."""
        if self._chain is None:
            return int(logits.argmax())
        return int(llama.llama_sampler_sample(self._chain, self._ctx, row))

    def close(self) -> None:
        if self._chain is not None:
            llama.llama_sampler_free(self._chain)
            self._chain = None


def _penalties(n_vocab: int, request: EngineRequest) -> list[Any]:
    repeat, frequency = request.repeat_penalty, request.frequency_penalty
    if repeat == 1 and frequency == 0 and request.presence_penalty == 0:
        return []
    reach = request.max_tokens
    return [
        llama.llama_sampler_init_penalties(
            n_vocab, reach, repeat, frequency, request.presence_penalty
        )
    ]


def _choosers(request: EngineRequest) -> list[Any]:
    links = []
    if request.top_k > 0:
        links.append(llama.llama_sampler_init_top_k(request.top_k))
    if request.top_p < 1:
        links.append(llama.llama_sampler_init_top_p(request.top_p, 1))
    if request.min_p > 0:
        links.append(llama.llama_sampler_init_min_p(request.min_p, 1))
    seed = request.seed & 0xFFFFFFFF  # -1 becomes llama.cpp's "draw one"
    return [
        *links,
        llama.llama_sampler_init_temp(request.temperature),
        llama.llama_sampler_init_dist(seed),
    ]


def _need(config: WorkerConfig, n_batch: int) -> Need:
    """Return what a model and its context take, by a load that allocates nothing.

    Raises:
        ModelError: the file can't be loaded.
    """
    with _LOG.heard() as heard:
        model = _load_model(config, lambda _: None, no_alloc=True)
        ctx = _make_context(model, config, _n_ctx(model, config), n_batch)
        need = need_in(heard.lines, weights=llama.llama_model_size(model))
        llama.llama_free(ctx)
        llama.llama_model_free(model)
    return need


def _n_ctx(model: Any, config: WorkerConfig) -> int:
    n_ctx_train = llama.llama_model_n_ctx_train(model)
    return min(config.n_ctx, n_ctx_train) if n_ctx_train > 0 else config.n_ctx


def _on_gpu(config: WorkerConfig) -> bool:
    return config.n_gpu_layers != 0 and bool(llama.llama_supports_gpu_offload())


def _load_model(
    config: WorkerConfig, progress: Callable[[float], None], *, no_alloc: bool = False
) -> Any:
    params = llama.llama_model_default_params()
    params.n_gpu_layers = config.n_gpu_layers
    if no_alloc:
        params.no_alloc, params.load_mode = True, llama.LLAMA_LOAD_MODE_NONE

    def report(done: float, _user_data: Any) -> bool:
        progress(done)
        return True

    callback = llama.llama_progress_callback(report)  # referenced until loading is done
    params.progress_callback = callback
    with _LOG.heard() as heard:
        model = llama.llama_model_load_from_file(config.model_path.encode(), params)
    if not model:
        problem = f"llama.cpp can't load it ({heard.cause or 'it does not say why'})"
        raise ModelError(Path(config.model_path).name, problem, "Check that the file is whole")
    return model


def _make_context(model: Any, config: WorkerConfig, n_ctx: int, n_batch: int) -> Any:
    params = llama.llama_context_default_params()
    params.n_ctx = n_ctx * config.n_seq_max
    params.n_seq_max = config.n_seq_max
    params.n_batch = params.n_ubatch = n_batch
    # One row of logits a sequence, not one a token: spares n_batch x n_vocab floats.
    params.n_outputs_max = config.n_seq_max
    params.n_threads_batch = config.n_threads or _physical_cores()
    # n_threads is for steps of a single token.
    tiny = llama.llama_model_size(model) < _TINY_BYTES
    params.n_threads = config.n_threads or (1 if tiny else params.n_threads_batch)
    params.kv_unified = False  # split: a sequence's attention reads its own cells alone
    params.no_perf = True
    # On a CPU the split cache without flash attention is fastest by a fifth (measured).
    params.flash_attn_type = (
        llama.LLAMA_FLASH_ATTN_TYPE_AUTO
        if _on_gpu(config)
        else llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    with _LOG.heard() as heard:
        ctx = llama.llama_init_from_model(model, params)
    if not ctx:
        raise ModelError(
            Path(config.model_path).name,
            f"no memory for {config.n_seq_max} sequences of {n_ctx} tokens ({heard.cause})",
            "Lower LECTERN_POOL_N_SEQ_MAX or LECTERN_POOL_N_CTX",
        )
    return ctx


def _physical_cores() -> int:
    """Return the physical cores this process may use: a second thread on one only costs."""
    allowed = len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else 1 << 16
    return max(1, min(psutil.cpu_count(logical=False) or 1, allowed))
