"""The flows' way to a model: any OpenAI-compatible server, ours first of all.

Owns retries, the request's headers and the reading of answers. Knows nothing of how the
server works; what only our pool tells (times, cached tokens) is None or 0 for others.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from tasks.errors import InferenceError, ModelError, RefusedError
from tasks.pool.answer_text import strip_reasoning
from tasks.pool.lifecycle import PoolAddress
from tasks.pool.types import ChatAnswer, Timings, Usage
from tasks.records import Message, Sampling

_MAX_CONNECTIONS = 256  # beyond it requests wait here, without a file descriptor each
_CONNECT_S = 10.0
_FOREIGN_ANSWER_S = 3600.0
_BUSY_S = 3600.0  # a server that only ever says that it is busy is asked for so long
_RETRY_STATUS = frozenset({429, 502, 503, 504})
_NOT_US = frozenset({401, 403, 404, 405})  # a wrong key or address: no request will fare better
_NAME_IT = "Set LECTERN_POOL_MODEL to the model's name at the server"
_FIT_IT = "Lower LECTERN_MAX_PROMPT_TOKENS, or give the server's model a larger context"


class PoolClient:
    """Ask a model server. Cancelling a call closes its connection, which ends it there.

    Args:
        url: with or without the trailing /v1.
        patience_s: how long a server that can't be reached is tried again.
        reconnect: returns where the pool is now; called when it can't be reached. With it, an
            answer may take as long as it takes: a pool that dies closes its connections, and
            watches its worker itself.
        answer_s: another server's answer may take this long, waiting in its queue included;
            then it is asked once more.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        patience_s: float = 60,
        reconnect: Callable[[], PoolAddress] | None = None,
        answer_s: float = _FOREIGN_ANSWER_S,
    ) -> None:
        self._address = PoolAddress(url, api_key)
        self._patience_s = patience_s
        self._reconnect = reconnect
        self._reconnecting = asyncio.Lock()
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=_CONNECT_S, read=None if reconnect else answer_s),
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS),
            # A proxy from the environment is for the world, not for this machine.
            trust_env=urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"),
        )

    async def __aenter__(self) -> PoolClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def chat(
        self,
        model: str,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        run: str = "",
        interactive: bool = False,
        logprobs: bool = True,
    ) -> ChatAnswer:
        """Return the model's answer.

        Args:
            run: whose request this is; our pool takes turns between runs.
            interactive: before the requests of runs that nobody waits for.

        Raises:
            ModelError: the server can't find or load the model.
            RefusedError: it refuses this request, or fails at it.
            InferenceError: it stays unreachable, or lets nobody in.
        """
        body = {
            "model": model,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "frequency_penalty": sampling.frequency_penalty,
            "seed": sampling.seed,
            "logprobs": logprobs,
        }
        headers = {"x-lectern-run": run} if run else {}
        if interactive:
            headers["x-lectern-priority"] = "interactive"
        return _read_answer(model, await self._post(model, body, headers))

    async def _post(self, model: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        """Post until there is an answer, an error that stays, or patience ends."""
        busy_since: float | None = None
        silent_since: float | None = None
        timed_out = False
        attempt = 0
        while True:
            attempt += 1
            address = self._address
            try:
                response = await self._send(address, body, headers)
            except httpx.ReadTimeout as error:
                if timed_out:
                    raise self._failed("no answer came in time, twice") from error
                timed_out = True
            except httpx.TransportError as error:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > self._patience_s:
                    raise self._failed(f"can't be reached ({type(error).__name__})") from error
                await self._find_again(address)
            else:
                if response.status_code not in _RETRY_STATUS:
                    return _checked(model, address.url, response)
                silent_since = None
                busy_since = busy_since or time.monotonic()
                if time.monotonic() - busy_since > _BUSY_S:
                    raise self._failed(f"busy for {_BUSY_S:.0f} s")
            await asyncio.sleep(_pause(attempt))

    async def _send(
        self, address: PoolAddress, body: dict[str, Any], headers: dict[str, str]
    ) -> httpx.Response:
        if address.api_key:
            headers = {**headers, "authorization": f"Bearer {address.api_key}"}
        base = address.url.rstrip("/").removesuffix("/v1")
        return await self._http.post(f"{base}/v1/chat/completions", json=body, headers=headers)

    async def _find_again(self, failed: PoolAddress) -> None:
        """Ask where the server is now; one caller asks for all that failed at once."""
        if self._reconnect is None:
            return
        async with self._reconnecting:
            if self._address == failed:
                self._address = await asyncio.to_thread(self._reconnect)

    def _failed(self, problem: str) -> InferenceError:
        remedy = "See whether the model server runs, and its log"
        return InferenceError(self._address.url, problem, remedy)


def _pause(attempt: int) -> float:
    """Return seconds to wait: growing to 5, spread so that many clients don't meet."""
    return min(5.0, 0.1 * 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1.0)


def _checked(model: str, url: str, response: httpx.Response) -> Any:
    """Return the answer's JSON.

    Raises:
        ModelError, RefusedError, InferenceError: the server says what is wrong.
    """
    try:
        data = response.json()
    except ValueError:
        data = {}
    if response.is_success and isinstance(data, dict) and data.get("choices"):
        return data
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        raise InferenceError(url, f"it answered {response.status_code}", "Is this a model server")
    problem = str(error.get("problem") or error.get("message") or response.status_code)
    code, remedy = str(error.get("code") or ""), str(error.get("remedy") or "")
    if code.startswith("model_"):
        raise ModelError(model, problem, remedy or _NAME_IT)
    if code == "context_length_exceeded":  # by a wrong setting, so the next ones don't fit either
        raise InferenceError(model, problem, remedy or _FIT_IT)
    if response.status_code in _NOT_US:
        raise InferenceError(model, problem, remedy)
    raise RefusedError(model, problem, remedy, code=code)


def _read_answer(model: str, data: dict[str, Any]) -> ChatAnswer:
    choice = data["choices"][0]
    usage = data.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    times = data.get("timings") or {}
    tokens = (choice.get("logprobs") or {}).get("content") or []
    return ChatAnswer(
        text=strip_reasoning(choice["message"].get("content") or ""),
        finish_reason=choice.get("finish_reason") or "",
        usage=Usage(
            prompt_tokens=usage.get("prompt_tokens", 0),
            cached_tokens=details.get("cached_tokens") or 0,
            completion_tokens=usage.get("completion_tokens", 0),
        ),
        timings=Timings(**{f.name: times.get(f.name) for f in fields(Timings)}),
        mean_logprob=sum(t["logprob"] for t in tokens) / len(tokens) if tokens else None,
        model=data.get("model") or model,
        worker=data.get("worker") or "",
    )
