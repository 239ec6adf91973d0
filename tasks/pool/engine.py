"""Continuous batching: requests in, events out, one step at a time.

Joins the scheduler's plans with the runner's computing and follows each answer to its end:
guesses, stop strings, end-of-generation tokens, limits, log-probabilities, times. Knows no
pipes, no HTTP and no llama.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.pool.answer_text import StopText
from tasks.pool.protocol import (
    AnswerEvent,
    Done,
    EngineRequest,
    GrammarError,
    Refused,
    Started,
    Text,
    TokenLogprob,
)
from tasks.pool.scheduler import Scheduler
from tasks.pool.sequences import Move, Piece, Sequence, TooLongError
from tasks.pool.speculation import Drafter, Lookup, Speculator

Logits = NDArray[np.float32]


class SamplerLike(Protocol):
    def choose(self, logits: Logits, row: int) -> int: ...
    def close(self) -> None: ...


class RunnerLike(Protocol):
    """What the engine needs of a ModelRunner; its attributes are explained there."""

    n_ctx: int
    n_cells: int | None
    n_batch: int
    n_seq_max: int
    n_outputs_max: int
    n_vocab: int
    can_cut: bool
    llama_s: float

    @property
    def eog_tokens(self) -> NDArray[np.intp]: ...
    def move(self, move: Move) -> None: ...
    def decode(self, pieces: Tokens[Piece]) -> dict[int, int]: ...
    def logits(self, row: int) -> Logits: ...
    def sampler(self, request: EngineRequest) -> SamplerLike: ...
    def piece(self, token: int) -> bytes: ...
    def is_eog(self, token: int) -> bool: ...
    def token_logprob(self, logits: Logits, token: int, n_top: int) -> TokenLogprob: ...


@dataclass(eq=False)
class Answer:
    """A request on its way: its sequence, its sampler, its text so far and its times."""

    request: EngineRequest
    sequence: Sequence
    text: StopText
    bias_tokens: NDArray[np.intp]
    bias: Logits
    queued_at: float
    sampler: SamplerLike | None = None  # from admission on: it can weigh megabytes
    admitted_at: float = 0.0
    first_token_at: float = 0.0
    parts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def take(self) -> tuple[str, list[TokenLogprob]]:
        """Return what has come since the last time, and forget it."""
        text, logprobs = "".join(self.parts), self.logprobs
        self.parts, self.logprobs = [], []
        return text, logprobs


class Engine:
    """Run requests together over one runner.

    Use: add() and cancel() at any time between steps; while `busy`, call step().

    Args:
        drafter: a draft model, to guess beside looking up.
    """

    def __init__(self, runner: RunnerLike, drafter: Drafter | None = None) -> None:
        self._runner = runner
        self._scheduler = Scheduler(
            runner.n_seq_max,
            runner.n_ctx,
            runner.n_batch,
            n_cells=runner.n_cells,
            reuse=runner.can_cut,
        )
        self._drafters: list[Drafter] = [Lookup(), *([drafter] if drafter else [])]
        room = runner.n_outputs_max - runner.n_seq_max if runner.can_cut else 0
        self._speculator = Speculator(self._drafters, room)
        self._answers: dict[int, Answer] = {}
        self.busy_s = 0.0  # in step()

    @property
    def busy(self) -> bool:
        return bool(self._scheduler)

    @property
    def llama_s(self) -> float:
        """Seconds of busy_s that were llama.cpp's."""
        return self._runner.llama_s + sum(drafter.llama_s for drafter in self._drafters)

    def add(self, request: EngineRequest) -> Refused | None:
        """Queue a request; what can't be done is refused at once and changes nothing."""
        n_vocab = self._runner.n_vocab
        bias_tokens = [int(token) for token in request.logit_bias]
        if any(not 0 <= t < n_vocab for t in (*request.prompt, *bias_tokens)):
            problem = f"token ids must lie between 0 and {n_vocab - 1}"
            return Refused(id=request.id, code="invalid_tokens", problem=problem)
        sequence = Sequence(
            request.id, request.prompt, request.max_tokens, request.run, request.interactive
        )
        try:
            if request.grammar:
                self._runner.sampler(request).close()
            self._scheduler.add(sequence)
        except GrammarError as error:
            return Refused(id=request.id, code="invalid_grammar", problem=str(error))
        except TooLongError as error:
            return Refused(id=request.id, code="context_length_exceeded", problem=str(error))
        self._answers[request.id] = Answer(
            request=request,
            sequence=sequence,
            text=StopText(request.stop),
            bias_tokens=np.array(bias_tokens, np.intp),
            bias=np.array(list(request.logit_bias.values()), np.float32),
            queued_at=perf_counter(),
        )
        return None

    def cancel(self, request_id: int) -> None:
        """Forget a request, waiting or running; its slot is free for the next step."""
        if request_id in self._answers:
            self._close(self._answers[request_id])

    def step(self, announce: Callable[[Tokens[Started]], None]) -> list[AnswerEvent]:
        """Compute one batch and choose the next token of every complete sequence.

        Args:
            announce: is told which requests begin, before anything is computed for them.
        """
        began = perf_counter()
        step = self._scheduler.schedule()
        only_decodes = step.only_decodes
        if only_decodes:
            drafts = self._speculator.drafts([piece.sequence for piece in step.pieces])
            step = self._scheduler.speculate(step, drafts)
        self._begin(step.admitted, announce)
        for move in step.moves:
            self._runner.move(move)
        rows = self._runner.decode(step.pieces)
        self._scheduler.commit(step)
        events: list[AnswerEvent] = []
        gained: dict[int, int] = {}
        for piece in step.pieces:
            if piece.complete:
                before = piece.sequence.n_generated
                events += self._advance(self._answers[piece.sequence.id], piece, rows)
                gained[piece.sequence.id] = piece.sequence.n_generated - before
        took = perf_counter() - began
        self.busy_s += took
        if only_decodes:
            self._speculator.note(step.pieces, gained, took)
        return events

    def _begin(
        self, admitted: Tokens[Sequence], announce: Callable[[Tokens[Started]], None]
    ) -> None:
        now = perf_counter()
        for sequence in admitted:
            answer = self._answers[sequence.id]
            answer.admitted_at = now
            answer.sampler = self._runner.sampler(answer.request)
        if admitted:
            announce([Started(id=sequence.id) for sequence in admitted])

    def _advance(self, answer: Answer, piece: Piece, rows: dict[int, int]) -> list[AnswerEvent]:
        """Choose the tokens that a piece has the logits for, as long as its guesses were right,
        and say what became of the answer."""
        row, reason = rows[answer.sequence.id], None
        chosen: list[int] = []
        for guess in [*piece.draft, None]:
            chosen.append(self._choose(answer, row + len(chosen)))
            reason = self._take(answer, chosen[-1], answer.sequence.n_left - len(chosen))
            if reason or chosen[-1] != guess:
                break
        if not answer.first_token_at:
            answer.first_token_at = perf_counter()
        self._scheduler.append(answer.sequence, chosen)
        if reason:
            return [self._done(answer, reason)]
        if not answer.request.stream:
            return []
        text, logprobs = answer.take()
        if not text and not logprobs:
            return []
        return [Text(id=answer.request.id, text=text, logprobs=logprobs)]

    def _take(self, answer: Answer, token: int, n_left: int) -> str | None:
        """Add a token to the answer's text; return the finish reason if it ends there."""
        ended = self._runner.is_eog(token) or token in answer.request.stop_tokens
        if not ended:
            answer.parts.append(answer.text.push(self._runner.piece(token)))
        if ended or answer.text.stopped:
            return "stop"
        return None if n_left > 0 else "length"

    def _choose(self, answer: Answer, row: int) -> int:
        """Choose a token; biases are written into the logits, where every sampler sees them."""
        request, logits = answer.request, self._runner.logits(row)
        if request.ignore_eos:
            logits[self._runner.eog_tokens] = -np.inf
        if len(answer.bias):
            logits[answer.bias_tokens] += answer.bias
        assert answer.sampler is not None
        token = answer.sampler.choose(logits, row)
        if request.logprobs is not None and not self._runner.is_eog(token):
            answer.logprobs.append(self._runner.token_logprob(logits, token, request.logprobs))
        return token

    def _done(self, answer: Answer, finish_reason: str) -> Done:
        now = perf_counter()
        answer.parts.append(answer.text.flush())
        text, logprobs = answer.take()
        self._close(answer)
        waited = answer.admitted_at - answer.queued_at
        return Done(
            id=answer.request.id,
            text=text,
            logprobs=logprobs,
            finish_reason=finish_reason,
            prompt_tokens=len(answer.request.prompt),
            cached_tokens=answer.sequence.cached_tokens,
            completion_tokens=answer.sequence.n_generated,
            queue_s=answer.request.waited_s + waited,
            prefill_s=answer.first_token_at - answer.admitted_at,
            decode_s=now - answer.first_token_at,
        )

    def _close(self, answer: Answer) -> None:
        self._scheduler.finish(answer.sequence)
        self._speculator.forget(answer.request.id)
        if answer.sampler is not None:
            answer.sampler.close()
        del self._answers[answer.request.id]
