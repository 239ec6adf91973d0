"""Put requests to a model server, look at the answers, and ask again where they fail.

Owns the ladder of attempts and what counts as an answer. Does not know what a summary is, where
the rows go, or who answers. In short: nothing lost, nothing silent.

- Each attempt is recorded once. An answer that fails a check (see `tasks.generate.checks`) is
  recorded as failed, with the checks, and the request goes to its next attempt: other sampling,
  the same key. Attempts of an earlier run are not made again.
- Which attempt counts in the end is decided by `tasks.generate.attempts`.
- A request that the server refuses is put again, as it is, after a pause. Refused to the end it
  is recorded as failed, and the run goes on without it; the next run asks again. One at which
  the model crashed is not put again: each time might cost a worker and all that it was writing.
- A server that can't be reached, or a model that can't be loaded, stops the run. What is finished
  is on record by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from tasks.errors import PipelineError, RefusedError
from tasks.generate.attempts import counting, left, was_refused
from tasks.generate.chapter_titles import CHAPTER_CHECKS, check_chapters
from tasks.generate.checks import FAILING, check
from tasks.generate.glossary import check_renderings
from tasks.generate.line_checks import LINE_CHECKS
from tasks.generate.translation_checks import check_translation
from tasks.pool.types import ChatAnswer
from tasks.records import Generation, Message, Request, Sampling

PAUSES_S = (1.0, 4.0)  # before a refused request is put once more
_CRASHED = "worker_crashed"
_CHECKS = {  # by task, where it is not `check`
    "translate": check_translation,
    "glossary": check_renderings,
    "chapters": check_chapters,
}
_FAILING = FAILING | LINE_CHECKS | CHAPTER_CHECKS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunContext:
    """What a row says of the run that it belongs to."""

    flow_run_id: str = ""
    task_run_id: str = ""
    model: str = ""
    quantization: str = ""


class Client(Protocol):
    """Who answers: tasks.pool.client.PoolClient, or what stands for it in a test."""

    async def chat(
        self, model: str, messages: Sequence[Message], sampling: Sampling, *, run: str = ""
    ) -> ChatAnswer: ...


def sampling_of(first: Sampling, attempt: int) -> Sampling:
    """Return the sampling of an attempt: greedy first, then ever further from what failed."""
    step = attempt - 1
    if step == 0:
        return first
    return replace(
        first,
        temperature=first.temperature + 0.3 * step,
        top_p=0.95,
        frequency_penalty=first.frequency_penalty + 0.3 * step,
        seed=first.seed + step,
    )


async def ask(
    requests: Sequence[Request],
    client: Client,
    model: str,
    record: Callable[[Generation], None],
    *,
    context: RunContext,
    seats: asyncio.Semaphore,
    on_done: Callable[[Generation], None] = lambda generation: None,
    go_on: Callable[[], bool] = lambda: True,
) -> list[Generation]:
    """Ask all requests; return for each, in order, the row that counts; none of those that were
    not begun any more.

    Args:
        record: keeps a row; called in a thread, once an attempt, before anything else hears of
            it.
        seats: requests with the server at once, in this call and all others that share it.
            About twice what it computes together keeps it busy and fair to others.
        on_done: hears of each row that counts.
        go_on: asked before each attempt; once it says no, none is begun.

    Raises:
        InferenceError, ModelError, StorageError: the run can't go on.
    """
    asker = _Asker(client, model, record, context, seats, go_on)

    async def one(request: Request) -> Generation | None:
        row = await asker.climb(request)
        if row:
            on_done(row)
        return row

    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(one(request)) for request in requests]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the first stopped the others
    return [row for task in running if (row := task.result())]


class _Asker:
    """The climb of single requests."""

    def __init__(
        self,
        client: Client,
        model: str,
        record: Callable[[Generation], None],
        context: RunContext,
        seats: asyncio.Semaphore,
        go_on: Callable[[], bool],
    ) -> None:
        self._client, self._model, self._record = client, model, record
        self._context, self._seats, self._go_on = context, seats, go_on

    async def climb(self, request: Request) -> Generation | None:
        """Make the attempts that are left; return the row that counts, or None where one more was
        to be made, and no more is begun."""
        rows = [row for row in request.earlier if not was_refused(row)]
        for attempt in left(rows, request.task):
            row = await self._attempt(request, attempt)
            if row is None:
                return None
            await asyncio.to_thread(self._record, row)
            rows.append(row)
            if row.status == "ok" or was_refused(row):
                break
        return counting(rows)

    async def _attempt(self, request: Request, attempt: int) -> Generation | None:
        sampling = sampling_of(request.sampling, attempt)
        pauses = iter(PAUSES_S)
        while True:
            async with self._seats:
                if not self._go_on():
                    return None
                blank = self._blank(request, attempt, sampling)
                try:
                    answer = await self._client.chat(
                        self._model, request.messages, sampling, run=self._context.flow_run_id
                    )
                except RefusedError as error:
                    refusal = error
                else:
                    return _answered(blank, request, answer)
            pause = None if refusal.code == _CRASHED else next(pauses, None)
            if pause is None:
                return replace(blank, error=str(refusal))
            log.warning("%s; asked again in %.0f s", refusal, pause)
            await asyncio.sleep(pause)

    def _blank(self, request: Request, attempt: int, sampling: Sampling) -> Generation:
        """Return the row of a call that has no answer yet."""
        return Generation(
            key=request.key,
            attempt=attempt,
            task=request.task,
            source_id=request.source_id,
            first_n=request.first_n,
            last_n=request.last_n,
            level=request.level,
            text="",
            status="failed",
            model=self._context.model,
            quantization=self._context.quantization,
            prompt_name=request.prompt.name,
            prompt_version=request.prompt.version,
            prompt_hash=request.prompt.hash,
            started_at=datetime.now(UTC),
            flow_run_id=self._context.flow_run_id,
            task_run_id=self._context.task_run_id,
            **asdict(sampling),
        )


def _answered(blank: Generation, request: Request, answer: ChatAnswer) -> Generation:
    """Return the row of an answer: failed, if a check says so."""
    checks = _CHECKS.get(request.task, check)(request, answer.text, answer.finish_reason)
    failing = [name for name in checks if name in _FAILING]
    span = f"{request.task} of segments {request.first_n} to {request.last_n}"
    problem = f"the answer failed its checks ({', '.join(failing)})"
    return replace(
        blank,
        text=answer.text,
        status="failed" if failing else "ok",
        checks=checks,
        error=str(PipelineError(span, problem)) if failing else "",
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.usage.prompt_tokens,
        cached_tokens=answer.usage.cached_tokens,
        completion_tokens=answer.usage.completion_tokens,
        mean_logprob=answer.mean_logprob,
        worker=answer.worker,
        **asdict(answer.timings),
    )
