"""A model and its context at work: batches in, logits and tokens out, by llama.cpp.

Owns the device memory. Does what it is told: which tokens at which positions of which seq_id is
the scheduler's business, when to stop is the engine's. A failed llama_decode is raised and not
mended here: the worker ends and the front starts another.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from collections.abc import Sequence as Tokens
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from typing import Any

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from tasks.pool.alarm import Alarm
from tasks.pool.answer_text import REASONING_MARKS
from tasks.pool.contexts import make_context, n_outputs_max
from tasks.pool.loading import Model
from tasks.pool.protocol import EngineRequest, TokenLogprob, TopLogprob, WorkerConfig
from tasks.pool.sampling import sampler_chain
from tasks.pool.sequences import Move, Piece, Sequence

Logits = NDArray[np.float32]


class DecodeError(RuntimeError):
    """llama_decode returned an error; the cache's contents are no longer known."""


class ModelRunner:
    """One context of n_seq_max sequences over a loaded model.

    Attributes:
        n_ctx: tokens that one sequence holds.
        n_cells: of a unified cache; None: it is split.
        n_batch: tokens of one decode call; at least n_seq_max.
        n_outputs_max: tokens of one decode call that logits can be had for.
        can_cut: whether a sequence's cache can be cut at a position; see Model.can_cut.
        llama_s: seconds spent in llama.cpp's computing and sampling.

    Raises:
        ModelError: there is no memory for the context.
    """

    def __init__(self, model: Model, config: WorkerConfig) -> None:
        config = replace(config, n_batch=max(config.n_batch, config.n_seq_max))
        self.n_seq_max = config.n_seq_max
        self.n_batch = config.n_batch
        self.n_ctx = model.n_ctx(config)
        self.n_cells = self.n_ctx * self.n_seq_max if config.kv_unified else None
        self.n_outputs_max = n_outputs_max(model, config)
        self.n_vocab = model.n_vocab
        self.llama_s = 0.0
        self._model = model
        self._vocab = model.vocab
        self._ctx = make_context(model, config)
        self._memory = llama.llama_get_memory(self._ctx)
        self._batch = _Batch(self.n_batch)
        self._scratch: Logits = np.empty(self.n_vocab, np.float32)
        self._pieces: dict[int, bytes] = {}
        self.can_cut = model.can_cut(config) and self._can_cut()

    def close(self) -> None:
        """Free the context; the model stays."""
        llama.llama_free(self._ctx)

    def _can_cut(self) -> bool:
        """Try it: not all caches that refuse say so beforehand."""
        self._batch.fill([Piece(Sequence(0, [0, 0], 1), 0, 0, [0, 0], True)])
        llama.llama_decode(self._ctx, self._batch.struct)
        cut = bool(llama.llama_memory_seq_rm(self._memory, 0, 1, -1))
        llama.llama_memory_clear(self._memory, True)
        self.llama_s = 0.0
        return cut

    @property
    def eog_tokens(self) -> NDArray[np.intp]:
        return self._model.eog_tokens

    def is_eog(self, token: int) -> bool:
        return bool(llama.llama_vocab_is_eog(self._vocab, token))

    def move(self, move: Move) -> None:
        """Bring a sequence's cache into the state that a Move describes.

        With split streams only whole sequences can be copied, so the copy comes first and
        the cut after; llama.cpp does the copying at its next decode, before computing.
        """
        if move.source is not None:
            # A unified cache would keep what was there, beside the copy.
            llama.llama_memory_seq_rm(self._memory, move.seq_id, -1, -1)
            llama.llama_memory_seq_cp(self._memory, move.source, move.seq_id, -1, -1)
        keep = move.keep if move.keep > 0 else -1
        if not llama.llama_memory_seq_rm(self._memory, move.seq_id, keep, -1):
            raise DecodeError(f"llama_memory_seq_rm({move.seq_id}, {keep}) refused")

    def fill_like_first(self, seq_ids: Tokens[int]) -> None:
        """Give sequences what sequence 0 holds, in cells of their own also in a unified cache."""
        size = llama.llama_state_seq_get_size(self._ctx, 0)
        state = (ctypes.c_uint8 * size)()
        llama.llama_state_seq_get_data(self._ctx, state, size, 0)
        for seq_id in seq_ids:
            if not llama.llama_state_seq_set_data(self._ctx, state, size, seq_id):
                raise DecodeError(f"llama_state_seq_set_data({seq_id}) refused")

    def end_at(self, alarm: Alarm) -> None:
        """Let an alarm end a decode, which then raises."""
        alarm.set_on(self._ctx)

    def decode(self, pieces: Tokens[Piece]) -> dict[int, int]:
        """Compute pieces as one batch.

        Returns:
            Where a complete piece's first logits are, by its sequence's id: the index in the
            batch that logits() and Sampler.choose() take. Those of its guesses follow. Valid
            until the next decode.
        """
        rows = self._batch.fill(pieces)
        with self.timed():
            code = llama.llama_decode(self._ctx, self._batch.struct)
            llama.llama_synchronize(self._ctx)  # a GPU computes on while the call has returned
        if code != 0:
            raise DecodeError(f"llama_decode returned {code} for {self._batch.n_tokens} tokens")
        return rows

    def logits(self, row: int) -> Logits:
        """Return a writable view of llama.cpp's own logits."""
        pointer = llama.llama_get_logits_ith(self._ctx, row)
        return np.ctypeslib.as_array(pointer, (self.n_vocab,))

    def sampler(self, request: EngineRequest) -> Sampler:
        """Return what chooses a request's tokens.

        Raises:
            GrammarError: its grammar does not parse.
        """
        return Sampler(self, self._ctx, sampler_chain(self._vocab, request))

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count a block as llama.cpp's time."""
        began = perf_counter()
        try:
            yield
        finally:
            self.llama_s += perf_counter() - began

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


_MARKS = frozenset(mark.encode() for pair in REASONING_MARKS for mark in pair)


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
                rows[piece.sequence.id] = first = end - 1 - piece.n_draft
                self._logits[first:end] = 1
            at = end
        self.struct.n_tokens = at
        return rows


class Sampler:
    """How one request's tokens are chosen."""

    def __init__(self, runner: ModelRunner, ctx: Any, chain: Any) -> None:
        self._runner = runner
        self._ctx = ctx
        self._chain = chain

    def choose(self, logits: Logits, row: int) -> int:
        """Return the next token; logits are the view of the same row."""
        if self._chain is None:
            return int(logits.argmax())
        with self._runner.timed():
            return int(llama.llama_sampler_sample(self._chain, self._ctx, row))

    def close(self) -> None:
        if self._chain is not None:
            llama.llama_sampler_free(self._chain)
            self._chain = None
