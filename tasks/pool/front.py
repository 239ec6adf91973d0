"""The pool's routes: what OpenAI's API asks, in terms of models, tokens and tickets.

Rendering and tokenizing happen here, in threads; the worker sees tokens only. Knows nothing
of the process it runs in.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tasks.errors import ModelError
from tasks.models.files import absolute_name
from tasks.models.spec import ModelSpec
from tasks.pool.answer_text import ReasoningFilter, strip_reasoning
from tasks.pool.api import (
    ApiError,
    ChatBody,
    ChatShape,
    CompletionBody,
    CompletionShape,
    Json,
    SamplingBody,
    Shape,
    TokenizeBody,
    parse,
    sse,
    timings,
    with_details,
)
from tasks.pool.fit import NoRoomError
from tasks.pool.fitting import load_spec_that_fits
from tasks.pool.lifecycle import prove
from tasks.pool.metrics import Metrics
from tasks.pool.protocol import Done, EngineRequest, Refused
from tasks.pool.streaming import Stream, unbroken, unless_gone
from tasks.pool.supervisor import BusyError, Supervisor
from tasks.pool.tickets import PoolModel, Ticket
from tasks.pool.tuning import tuning_for, worker_config
from tasks.settings import PROJECT_ROOT, Settings

_STATUS = {
    "invalid_tokens": 400,
    "invalid_grammar": 400,
    "context_length_exceeded": 400,
    "model_load_failed": 422,  # clients try again what is said to be the server's fault
    "shutting_down": 503,
}  # of a worker's refusal; 500 for the others
_SPEC_FRESH_S = 5.0  # then load_spec looks again what the name stands for


class SpecLoader(Protocol):
    """load_spec_that_fits, or a test's stand-in."""

    def __call__(
        self, name: str, settings: Settings, progress: Callable[[str, int, int], None] | None
    ) -> ModelSpec: ...


@dataclass
class _Loaded:
    """A spec, when it was last looked after, and a lock so that only one caller does."""

    spec: ModelSpec | None = None
    at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def fresh(self) -> ModelSpec | None:
        """The spec, if it needs no looking after."""
        lately = time.monotonic() - self.at < _SPEC_FRESH_S
        return self.spec if self.spec and lately and self.spec.is_unchanged() else None


class Specs:
    """Model specs by name, loaded in threads; a file that changes is noticed soon."""

    def __init__(self, config: Settings, load: SpecLoader) -> None:
        self._config = config
        self._load = load
        self._known: dict[str, _Loaded] = {}
        self.fetching: dict[str, tuple[int, int]] = {}  # bytes done and in all, by name

    @property
    def names(self) -> list[str]:
        return [name for name, loaded in self._known.items() if loaded.spec]

    async def get(self, name: str) -> ModelSpec:
        """Return a model's spec; fetches the model if need be.

        Raises:
            ApiError: there is no such model.
        """
        loaded = self._known.setdefault(name, _Loaded())
        async with loaded.lock:
            if (spec := loaded.fresh) is None:
                loaded.spec = None
                loaded.spec = spec = await asyncio.to_thread(self._read, name)
                loaded.at = time.monotonic()
            return spec

    def _read(self, name: str) -> ModelSpec:
        def progress(_label: str, done: int, total: int) -> None:
            self.fetching[name] = (done, total)

        try:
            return self._load(name, self._config, progress)
        except NoRoomError as error:
            raise ApiError.of(_STATUS["model_load_failed"], "model_load_failed", error) from error
        except ModelError as error:
            raise ApiError.of(404, "model_error", error) from error
        finally:
            self.fetching.pop(name, None)


@dataclass(frozen=True)
class _Asked:
    """A completion request, read and tokenized."""

    body: SamplingBody
    shape: Shape
    spec: ModelSpec
    model: PoolModel
    request: EngineRequest


class Front:
    """The routes' handlers."""

    def __init__(
        self,
        config: Settings,
        key: str,
        supervisor: Supervisor,
        load: SpecLoader = load_spec_that_fits,
    ) -> None:
        self._config = config
        self._key = key
        self._supervisor = supervisor
        self._specs = Specs(config, load)
        self._metrics = Metrics(supervisor)
        self._draft_path = ""  # until it is looked for

    async def chat(self, request: Request) -> Response:
        body = parse(ChatBody, await request.body())
        spec = await self._spec(body.model)
        messages = [message.message() for message in body.messages]
        prompt = await asyncio.to_thread(_checked, spec.prompt, messages)
        shape = ChatShape(body.model)
        return await self._answer(request, self._asked(request, body, shape, spec, prompt))

    async def completions(self, request: Request) -> Response:
        body = parse(CompletionBody, await request.body())
        spec = await self._spec(body.model)
        prompt = body.prompt
        if isinstance(prompt, str):
            prompt = await asyncio.to_thread(_encode, spec, prompt)
        shape = CompletionShape(body.model)
        return await self._answer(request, self._asked(request, body, shape, spec, prompt))

    async def tokenize(self, request: Request) -> Response:
        body = parse(TokenizeBody, await request.body())
        spec = await self._specs.get(body.model)
        if body.messages is None:
            tokens = await asyncio.to_thread(spec.tokenizer.encode, body.content)
        else:
            messages = [message.message() for message in body.messages]
            tokens = await asyncio.to_thread(_checked, spec.prompt, messages)
        return JSONResponse({"tokens": tokens})

    async def models(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": list(map(_listed, self._names()))})

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._names():
            remedy = "others are known once they are asked: `lectern models list` has their names"
            raise ApiError(404, "model_not_found", f"{name}: not in use here; {remedy}")
        return JSONResponse(_listed(name))

    def _names(self) -> list[str]:
        """Return the models in use, the one that is set first, though it may not be loaded yet."""
        own = absolute_name(self._config.model, PROJECT_ROOT)
        return list(dict.fromkeys([own, *self._specs.names]))

    async def metrics(self, _request: Request) -> Response:
        return PlainTextResponse(self._metrics.text())

    async def health(self, request: Request) -> Response:
        """Say what the pool does; a challenge is answered with a proof that it has the key."""
        supervisor = self._supervisor
        worker, state, model, progress = supervisor.worker, supervisor.state, "", 1.0
        if worker:
            model, progress = worker.model.name, 1.0 if worker.ready else worker.progress
        elif self._specs.fetching:
            model, (done, total) = next(iter(self._specs.fetching.items()))
            state, progress = "loading", done / max(total, 1)
        challenge = request.query_params.get("challenge", "")[:64]
        return JSONResponse(
            {
                "status": "ok",
                "state": state,
                "model": model,
                "progress": progress,
                "running": supervisor.running,
                "waiting": supervisor.waiting,
                "worker": worker.pid if worker else None,
                "workers": [each.pid for each in supervisor.workers],
                "models": len(supervisor.counters.models),
                "swaps": supervisor.counters.swaps,
                "note": worker.note if worker else "",
                "proof": prove(self._key, challenge) if challenge else "",
            }
        )

    async def _spec(self, name: str) -> ModelSpec:
        """Return a model's spec, and see that the draft model is there too.

        Raises:
            ApiError: there is no such model, or no such draft model.
        """
        if (draft := self._config.pool_draft_model) and not self._draft_path:
            self._draft_path = str((await self._specs.get(draft)).path)
        return await self._specs.get(name)

    def _asked(
        self,
        request: Request,
        body: ChatBody | CompletionBody,
        shape: Shape,
        spec: ModelSpec,
        prompt: list[int],
    ) -> _Asked:
        """Return the request for the pool.

        Raises:
            ApiError: it does not fit a sequence.
        """
        config = self._config
        tuning = tuning_for(config, spec.identity)
        model_config = worker_config(config, spec, tuning, self._draft_path)
        room = model_config.n_ctx - len(prompt)
        if not prompt:
            raise ApiError(400, "invalid_request", "the prompt has no tokens", param="prompt")
        if room < (body.max_tokens or 1):
            error = ModelError(
                spec.name,
                f"{len(prompt)} prompt tokens and {body.max_tokens or 1} for the answer do not "
                f"fit the {model_config.n_ctx} tokens of a sequence",
                "Lower max_tokens or shorten the prompt (LECTERN_MAX_PROMPT_TOKENS in runs), or "
                "raise LECTERN_POOL_N_CTX, at most to what the model was trained on",
            )
            raise ApiError.of(400, "context_length_exceeded", error)
        ask = body.engine_request(prompt, room, body.wanted_logprobs)
        if isinstance(shape, ChatShape) and not body.ignore_eos:
            stop = [*ask.stop, *spec.stop]
            ask = replace(ask, stop=stop, stop_tokens=list(spec.stop_tokens))
        model = PoolModel(body.model, spec.identity, model_config)
        return _Asked(body, shape, spec, model, _placed(ask, request))

    async def _answer(self, request: Request, asked: _Asked) -> Response:
        try:
            ticket = self._supervisor.submit(asked.model, asked.request)
        except BusyError:
            raise ApiError(429, "busy", "too many requests are waiting; try again later") from None
        if asked.body.stream:
            return Stream(self._parts(asked, ticket), lambda: self._supervisor.cancel(ticket))
        whole = unless_gone(request.receive, self._whole(asked, ticket))
        try:
            answer = await whole
        finally:
            self._supervisor.cancel(ticket)
        return Response(status_code=499) if answer is None else JSONResponse(answer)

    async def _whole(self, asked: _Asked, ticket: Ticket) -> Json:
        async for event in ticket.events():
            if isinstance(event, Refused):
                raise _refusal(asked, event)
            if isinstance(event, Done):
                await self._check_unchanged(asked)
                logprobs = None if asked.request.logprobs is None else event.logprobs
                chat = isinstance(asked.shape, ChatShape)
                text = strip_reasoning(event.text) if chat else event.text
                return self._detailed(asked.shape.whole(text, logprobs, event), ticket, event)
        raise AssertionError("a ticket's last event is Done or Refused")

    async def _parts(self, asked: _Asked, ticket: Ticket) -> AsyncIterator[bytes]:
        """Yield a stream's events. Errors come as an event too: the status is long sent."""
        shape, wanted = asked.shape, asked.request.logprobs is not None
        reasoning = ReasoningFilter() if isinstance(shape, ChatShape) else None
        try:
            async for event in unbroken(ticket):
                if isinstance(event, Refused):
                    raise _refusal(asked, event)
                text = reasoning.push(event.text) if reasoning else event.text
                if isinstance(event, Done) and reasoning:
                    text += reasoning.flush()
                logprobs = event.logprobs if wanted else None
                if text or logprobs:
                    yield sse(shape.part(text, logprobs, None))
                if isinstance(event, Done):
                    await self._check_unchanged(asked)
                    last = shape.part("", None, event.finish_reason)
                    told = self._detailed(last, ticket, event)
                    if not asked.body.stream_options.include_usage:
                        yield sse(told)
                    else:  # once: some clients add up what they get
                        used = told.pop("usage")
                        yield sse(told)
                        yield sse({**last, "choices": [], "usage": used})
            yield sse("[DONE]")
        except ApiError as error:
            yield sse(error.json())

    async def _check_unchanged(self, asked: _Asked) -> None:
        """Don't give an answer for a model's that another may have made.

        Raises:
            ApiError: the model's file has other content now than when the request came.
        """
        if asked.spec.is_unchanged():
            return
        now = await self._specs.get(asked.body.model)
        if now.identity != asked.spec.identity:  # else it was only touched, or moved back
            problem = "its file changed while it was in use"
            error = ModelError(asked.model.name, problem, "Run the same again")
            raise ApiError.of(409, "model_changed", error)

    def _detailed(self, answer: Json, ticket: Ticket, done: Done) -> Json:
        e2e_s = time.perf_counter() - ticket.submitted_at
        self._metrics.observe(done, e2e_s)
        worker = f"{platform.node()}:{ticket.worker_pid}"
        return with_details(answer, done, timings(done, e2e_s), worker)


def _placed(ask: EngineRequest, request: Request) -> EngineRequest:
    """Add whose request it is; in headers, which other servers ignore."""
    run = request.headers.get("x-lectern-run", "")
    interactive = request.headers.get("x-lectern-priority") == "interactive"
    return replace(ask, run=run, interactive=interactive)


def _listed(name: str) -> dict[str, str]:
    return {"id": name, "object": "model", "owned_by": "lectern"}


def _checked(prompt: Callable[[Any], list[int]], messages: Any) -> list[int]:
    """Render and tokenize; a template that refuses the messages is the caller's error."""
    try:
        return prompt(messages)
    except ModelError as error:
        raise ApiError.of(400, "model_error", error) from error


def _encode(spec: ModelSpec, text: str) -> list[int]:
    tokens = spec.tokenizer.encode(text)
    begin = [] if spec.bos is None or tokens[:1] == [spec.bos] else [spec.bos]
    return begin + tokens


def _refusal(asked: _Asked, refused: Refused) -> ApiError:
    remedy = refused.remedy
    if not remedy and refused.code not in _STATUS:
        remedy = "See pool.log in the pool's home folder"
    error = ModelError(asked.model.name, refused.problem, remedy)
    return ApiError.of(_STATUS.get(refused.code, 500), refused.code, error)
