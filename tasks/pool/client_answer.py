"""A model server's whole answer, or its refusal, from the JSON that it sent.

Owns the shapes: OpenAI's, and where servers differ from it, theirs. Knows neither streams nor
when to ask again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from tasks.errors import InferenceError, ModelError, PipelineError, RefusedError
from tasks.pool.answer_text import strip_reasoning
from tasks.pool.types import ChatAnswer, Timings, Usage

NOT_FOUND = 404
# A wrong key or address, or an account without money: no request will fare better.
_NOT_US = {
    401: "Set LECTERN_POOL_API_KEY to the key of the server",
    402: "See the account at the server",
    403: "Set LECTERN_POOL_API_KEY to a key that the server lets in",
    404: "See whether LECTERN_POOL_URL is the address of a model server",
    405: "See whether LECTERN_POOL_URL is the address of a model server",
}
_TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_NAME_IT = "Set LECTERN_POOL_MODEL to the model's name at the server"
_FIT_IT = "Lower LECTERN_MAX_PROMPT_TOKENS, or give the server's model a larger context"

_LLAMA_SERVER_MS = {"prefill_s": "prompt_ms", "decode_s": "predicted_ms"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error as a server tells it.

    Attributes:
        status: of HTTP; of an error within a stream the one that it names, or 500.
        code: the server's own name of the reason; may be empty.
        parameter: the request's field that it is about, where the server names it apart.
        is_told: whether there was an error object at all.
        retry_after_s: when to ask again, in seconds, where a busy server says so.
    """

    status: int
    problem: str
    remedy: str = ""
    code: str = ""
    parameter: str = ""
    is_told: bool = True
    retry_after_s: float = 0.0

    @property
    def is_of_the_model(self) -> bool:
        """Whether the server has no model of that name."""
        return self.status == NOT_FOUND and self.is_told

    def error(self, model: str, url: str) -> PipelineError:
        """Return what to raise for it."""
        if not self.is_told and self.status not in _NOT_US:
            remedy = "See whether LECTERN_POOL_URL is the address of a model server, and its log"
            return InferenceError(url, f"it answered {self.status}", remedy)
        if self.code.startswith("model_"):
            return ModelError(model, self.problem, self.remedy or _NAME_IT)
        if self.code in _TOO_LONG:  # by a wrong setting, so the next ones don't fit either
            return InferenceError(model, self.problem, self.remedy or _FIT_IT)
        if self.is_of_the_model:
            return InferenceError(model, self.problem, self.remedy or _NAME_IT)
        if self.status in _NOT_US:
            problem = self.problem.rstrip(". ") or "no reason is given"
            remedy = self.remedy or _NOT_US[self.status]
            return InferenceError(url, f"it answered {self.status} ({problem})", remedy)
        return RefusedError(model, self.problem, self.remedy, code=self.code)


class RefusalError(Exception):
    """The server answered, and not with a completion."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.problem)
        self.refusal = refusal


def is_answer(data: object) -> bool:
    """Tell whether this is a completion."""
    return isinstance(data, dict) and bool(data.get("choices"))


def read_refusal(status: int, data: object) -> Refusal:
    """Return what an answer without a completion says.

    OpenAI: {"error": {"message", "type", "code", "param"}}, where llama-server's code is the status
    and its type the reason; older vLLM: that object without "error" around it; Ollama and LM
    Studio may send {"error": "text"}, FastAPI {"detail": …}.
    """
    told = data if isinstance(data, dict) else {}
    error = told.get("error", told if told.get("object") == "error" else told.get("detail"))
    if isinstance(error, list) and error and isinstance(error[0], dict):  # FastAPI's 422
        where = [str(part) for part in error[0].get("loc") or ()]
        return Refusal(
            status=status,
            problem=f"{'.'.join(where)}: {error[0].get('msg')}",
            parameter=where[1] if len(where) > 1 else "",  # the first is "body"
        )
    if isinstance(error, str):
        return Refusal(status=status, problem=error)
    if not isinstance(error, dict):
        return Refusal(status=status, problem="", is_told=False)
    code = error.get("code")
    return Refusal(
        status=status,
        problem=str(error.get("problem") or error.get("message") or status),
        remedy=str(error.get("remedy") or ""),
        code=code if isinstance(code, str) else str(error.get("type") or ""),
        parameter=str(error.get("param") or ""),
    )


def read_answer(model: str, data: Json, outside: Timings) -> ChatAnswer:
    """Return a completion.

    Args:
        outside: times measured here, for what the server does not tell.
    """
    choice = data["choices"][0]
    return make_answer(
        text=(choice.get("message") or {}).get("content") or "",
        finish_reason=choice.get("finish_reason") or "",
        logprobs=token_logprobs(choice),
        told=data,
        outside=outside,
        model=model,
    )


def make_answer(
    *,
    text: str,
    finish_reason: str,
    logprobs: Sequence[float],
    told: Json,
    outside: Timings,
    model: str,
) -> ChatAnswer:
    """Return an answer from its text and what came with it.

    Args:
        told: `usage`, `timings`, `model` and `worker`, as far as the server gives them.
    """
    usage, times = told.get("usage") or {}, told.get("timings") or {}
    details = usage.get("prompt_tokens_details") or {}
    completion_tokens = usage.get("completion_tokens") or 0
    return ChatAnswer(
        text=strip_reasoning(text),
        finish_reason=finish_reason,
        usage=Usage(
            prompt_tokens=usage.get("prompt_tokens") or 0,
            cached_tokens=details.get("cached_tokens") or times.get("cache_n") or 0,
            completion_tokens=completion_tokens,
        ),
        timings=_timings(times, outside, completion_tokens),
        mean_logprob=sum(logprobs) / len(logprobs) if logprobs else None,
        model=told.get("model") or model,
        worker=told.get("worker") or "",
    )


def token_logprobs(choice: Json) -> list[float]:
    """Return the log-probabilities of a choice's tokens, or of a piece of it."""
    tokens = (choice.get("logprobs") or {}).get("content") or []
    return [token["logprob"] for token in tokens]


def _timings(told: Json, outside: Timings, completion_tokens: int) -> Timings:
    """Return what the server tells, and for the rest what was measured here."""
    names = [each.name for each in fields(Timings)]
    if any(name in told for name in names):  # our pool's: it tells all, and a None is meant
        return Timings(**{name: told.get(name) for name in names})
    inside = {name: told[key] / 1e3 for name, key in _LLAMA_SERVER_MS.items() if key in told}
    times = replace(outside, **inside)
    if completion_tokens < 2 or times.decode_s is None:
        return times
    return replace(times, tpot_s=times.decode_s / (completion_tokens - 1))
