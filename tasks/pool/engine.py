"""Continuous batching: requests in, events out, one step at a time.

Joins the scheduler's plans with the runner's computing and follows each answer to its end:
stop strings, end-of-generation tokens, limits, log-probabilities, times. Knows no pipes,
no HTTP and no llama.cpp.
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
from tasks.pool.scheduler import Move, Piece, Scheduler, Sequence, TooLongError

Logits = NDArray[np.float32]


class SamplerLike(Protocol):
    def choose(self, logits: Logits, row: int) -> int: ...
    def close(self) -> None: ...


class RunnerLike(Protocol):
    """What the engine needs of a ModelRunner."""

    n_ctx: int
    n_batch: int
    n_seq_max: int
    n_vocab: int
    can_cut: bool
    eog_tokens: NDArray[np.intp]

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
    """

    def __init__(self, runner: RunnerLike) -> None:
        self._runner = runner
        self._scheduler = Scheduler(
            runner.n_seq_max, runner.n_ctx, runner.n_batch, reuse=runner.can_cut
        )
        self._answers: dict[int, Answer] = {}

    @property
    def busy(self) -> bool:
        return bool(self._scheduler)

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
        step = self._scheduler.schedule()
        now = perf_counter()
        for sequence in step.admitted:
            answer = self._answers[sequence.id]
            answer.admitted_at = now
            answer.sampler = self._runner.sampler(answer.request)
        if step.admitted:
            announce([Started(id=sequence.id) for sequence in step.admitted])
        for move in step.moves:
            self._runner.move(move)
        rows = self._runner.decode(step.pieces)
        self._scheduler.commit(step)
        events: list[AnswerEvent] = []
        for request_id, row in rows.items():
            events += self._advance(self._answers[request_id], row)
        return events

    def _advance(self, answer: Answer, row: int) -> list[AnswerEvent]:
        """Choose a token and say what became of the answer."""
        token = self._choose(answer, row)
        if not answer.first_token_at:
            answer.first_token_at = perf_counter()
        self._scheduler.append(answer.sequence, token)
        ended = self._runner.is_eog(token)
        if not ended:
            answer.parts.append(answer.text.push(self._runner.piece(token)))
        if ended or answer.text.stopped:
            return [self._done(answer, "stop")]
        if answer.sequence.n_generated >= answer.request.max_tokens:
            return [self._done(answer, "length")]
        if not answer.request.stream:
            return []
        text, logprobs = answer.take()
        if not text and not logprobs:
            return []
        return [Text(id=answer.request.id, text=text, logprobs=logprobs)]

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
        if answer.sampler is not None:
            answer.sampler.close()
        del self._answers[answer.request.id]
