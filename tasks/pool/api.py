"""OpenAI's JSON: what requests may say, and how answers and errors look.

Owns the shapes and their limits. Knows neither the worker nor how HTTP is served.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from tasks.errors import PipelineError
from tasks.pool.protocol import Done, EngineRequest, TokenLogprob
from tasks.pool.types import Timings
from tasks.records import Message

Json = dict[str, Any]
Body = TypeVar("Body", bound=BaseModel)


class ApiError(Exception):
    """An answer in OpenAI's error form. `fields` are added to the error object."""

    def __init__(self, status: int, code: str, message: str, **fields: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields

    @classmethod
    def of(cls, status: int, code: str, error: PipelineError) -> ApiError:
        return cls(status, code, str(error), problem=error.problem, remedy=error.remedy)

    def json(self) -> Json:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": self.message, "type": kind, "code": self.code, **self.fields}}


class _Body(BaseModel):
    # Unknown fields are ignored: clients send much that does not matter here.
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class TextPart(_Body):
    type: Literal["text"]
    text: str


class MessageBody(_Body):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @field_validator("content", mode="before")
    @classmethod
    def _text_alone(cls, content: Any) -> Any:
        """Say plainly that pictures and sound are not read; the union's own error names types."""
        parts = content if isinstance(content, list) else []
        kinds = [str(part.get("type")) for part in parts if isinstance(part, dict)]
        if other := next((kind for kind in kinds if kind != "text"), ""):
            raise PydanticCustomError(
                "text_alone", "the pool reads text, no {kind}", {"kind": other}
            )
        return content

    def message(self) -> Message:
        parts = [self.content] if isinstance(self.content, str) else [p.text for p in self.content]
        return Message("system" if self.role == "developer" else self.role, "".join(parts))


class StreamOptions(_Body):
    include_usage: bool = False


class ResponseFormat(_Body):
    type: str


class SamplingBody(_Body):
    """What chat and plain completions share."""

    model: str = Field(min_length=1, max_length=4096)
    max_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0, le=100)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=-1, lt=1 << 31)
    min_p: float = Field(0.0, ge=0, le=1)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    repeat_penalty: float = Field(1.0, gt=0, le=10)
    # As llama-server names them; "Don't Repeat Yourself" is off at a multiplier of 0.
    dry_multiplier: float = Field(0.0, ge=0, le=100)
    dry_base: float = Field(1.75, ge=1, le=100)
    dry_allowed_length: int = Field(2, ge=0, lt=1 << 31)
    dry_sequence_breakers: list[str] = Field(["\n", ":", '"', "*"], max_length=64)
    seed: int | None = None
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] | None = None
    stop: str | list[str] | None = None
    grammar: str = ""
    ignore_eos: bool = False
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: Literal[1] | None = 1

    def engine_request(self, prompt: list[int], limit: int, logprobs: int | None) -> EngineRequest:
        """Return the request for the worker; without max_tokens the answer may take `limit`.

        Raises:
            ApiError: two options exclude each other.
        """
        if self.grammar and self.ignore_eos:
            raise ApiError(400, "invalid_request", "grammar and ignore_eos exclude each other")
        return EngineRequest(
            id=0,
            prompt=prompt,
            max_tokens=limit if self.max_tokens is None else self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=max(self.top_k, 0),
            min_p=self.min_p,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            repeat_penalty=self.repeat_penalty,
            dry_multiplier=self.dry_multiplier,
            dry_base=self.dry_base,
            dry_allowed_length=self.dry_allowed_length,
            dry_sequence_breakers=self.dry_sequence_breakers,
            seed=-1 if self.seed is None else self.seed & 0x7FFFFFFF,
            logit_bias={str(token): bias for token, bias in (self.logit_bias or {}).items()},
            stop=[self.stop] if isinstance(self.stop, str) else self.stop or [],
            grammar=self.grammar,
            ignore_eos=self.ignore_eos,
            logprobs=logprobs,
            stream=self.stream,
        )


def _refuse(parameter: str, is_asked: bool, instead: str = "") -> None:
    """Refuse what the pool can't do, rather than answer as if it had not been asked for.

    Raises:
        ApiError: it is asked.
    """
    if is_asked:
        message = f"{parameter}: the pool does not support this{instead and f'; {instead}'}"
        raise ApiError(400, "unsupported_parameter", message, param=parameter)


class ChatBody(SamplingBody):
    messages: list[MessageBody] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    response_format: ResponseFormat | None = None

    def model_post_init(self, _context: Any) -> None:
        if self.max_completion_tokens is not None:
            self.max_tokens = self.max_completion_tokens
        form = self.response_format.type if self.response_format else "text"
        _refuse("tools", bool(self.tools) and self.tool_choice != "none")
        _refuse("functions", bool(self.functions))
        _refuse("response_format", form != "text", "give the form as a `grammar` in GBNF")

    @property
    def wanted_logprobs(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionBody(SamplingBody):
    prompt: str | list[int]
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None

    @field_validator("prompt", mode="before")
    @classmethod
    def _alone(cls, prompt: Any) -> Any:
        """Take a prompt out of its list: some programs send only lists of prompts."""
        if not (isinstance(prompt, list) and prompt and isinstance(prompt[0], (str, list))):
            return prompt
        if len(prompt) > 1:
            raise PydanticCustomError("several_prompts", "one prompt a request")
        return prompt[0]

    def model_post_init(self, _context: Any) -> None:
        _refuse("echo", bool(self.echo))
        _refuse("suffix", bool(self.suffix))
        _refuse("best_of", (self.best_of or 1) > 1)

    @property
    def wanted_logprobs(self) -> int | None:
        return self.logprobs


class TokenizeBody(_Body):
    model: str = Field(min_length=1)
    content: str = ""
    messages: list[MessageBody] | None = None


def parse(kind: type[Body], data: bytes) -> Body:
    """Return the request's body.

    Raises:
        ApiError: it is not what it should be; the message names the field.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        told = {"param": str(first["loc"][0])} if first["loc"] else {}
        raise ApiError(400, "invalid_request", f"{where}: {first['msg']}", **told) from None


def timings(done: Done, e2e_s: float) -> Timings:
    """Return a request's times; e2e_s is from its arrival to its answer."""
    several = done.completion_tokens >= 2
    return Timings(
        queue_s=done.queue_s,
        prefill_s=done.prefill_s,
        decode_s=done.decode_s,
        ttft_s=done.queue_s + done.prefill_s,
        tpot_s=done.decode_s / (done.completion_tokens - 1) if several else None,
        e2e_s=e2e_s,
    )


def usage(done: Done) -> Json:
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": done.cached_tokens},
    }


class ChatShape:
    """How chat completions look."""

    def __init__(self, model: str) -> None:
        self._head = {
            "id": f"chatcmpl-{uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }
        self._role = {"role": "assistant"}  # said once, in a stream's first part

    def whole(self, text: str, logprobs: list[TokenLogprob] | None, done: Done) -> Json:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "logprobs": None if logprobs is None else {"content": logprobs},
            "finish_reason": done.finish_reason,
        }
        return {**self._head, "object": "chat.completion", "choices": [choice]}

    def part(
        self, text: str, logprobs: list[TokenLogprob] | None, finish_reason: str | None
    ) -> Json:
        role, self._role = self._role, {}
        choice = {
            "index": 0,
            "delta": role | ({"content": text} if text else {}),
            "logprobs": {"content": logprobs} if logprobs else None,
            "finish_reason": finish_reason,
        }
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}


class CompletionShape:
    """How plain completions look."""

    def __init__(self, model: str) -> None:
        self._head = {
            "id": f"cmpl-{uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }

    def whole(self, text: str, logprobs: list[TokenLogprob] | None, done: Done) -> Json:
        return self.part(text, logprobs, done.finish_reason)

    def part(
        self, text: str, logprobs: list[TokenLogprob] | None, finish_reason: str | None
    ) -> Json:
        choice = {
            "index": 0,
            "text": text,
            "logprobs": None if logprobs is None else _legacy_logprobs(logprobs),
            "finish_reason": finish_reason,
        }
        return {**self._head, "choices": [choice]}


Shape = ChatShape | CompletionShape


def _legacy_logprobs(tokens: list[TokenLogprob]) -> Json:
    return {
        "tokens": [t["token"] for t in tokens],
        "token_logprobs": [t["logprob"] for t in tokens],
        "top_logprobs": [{o["token"]: o["logprob"] for o in t["top_logprobs"]} for t in tokens],
    }


def with_details(answer: Json, done: Done, times: Timings, worker: str) -> Json:
    """Add what the answer used and how long it took."""
    return {**answer, "usage": usage(done), "timings": asdict(times), "worker": worker}


def sse(data: Json | str) -> bytes:
    """Return one server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {text}\n\n".encode()
