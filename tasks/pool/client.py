"""The flows' way to a model: any OpenAI-compatible server, ours first of all.

Owns retries and the request's headers. Knows nothing of how the server works. Our pool tells its
times with the whole answer; another server is asked for a stream, since what it does not tell is
then measured as it arrives. What neither tells is None, or 0 tokens.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any

import httpx

from tasks.errors import InferenceError, PipelineError, RefusedError
from tasks.models.elsewhere import authorization, base_of, is_local, not_served, read_models
from tasks.pool.client_answer import (
    Json,
    Refusal,
    RefusalError,
    is_answer,
    read_answer,
    read_refusal,
)
from tasks.pool.client_stream import CutOffError, gather
from tasks.pool.contact import PATIENCE_S, Contact, why
from tasks.pool.dialect import Dialect, spared
from tasks.pool.lifecycle import PoolAddress
from tasks.pool.types import ChatAnswer, Timings
from tasks.records import Message, Sampling

_MAX_CONNECTIONS = 256  # beyond it requests wait here, without a file descriptor each
_CONNECT_S = 10.0
_FOREIGN_ANSWER_S = 3600.0
_BUSY_S = 3600.0  # a server that only ever says that it is busy is asked for so long
_MOST_CUT_OFF = 3  # answers that break off, of one request
_BUSY_STATUS = frozenset({429, 502, 503, 504})
_MOST_RETRY_AFTER_S = 60.0

log = logging.getLogger(__name__)


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
        contact: hears whether another server answers.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        patience_s: float = PATIENCE_S,
        reconnect: Callable[[], PoolAddress] | None = None,
        answer_s: float = _FOREIGN_ANSWER_S,
        contact: Contact | None = None,
    ) -> None:
        self._address = PoolAddress(url, api_key)
        self._patience_s = patience_s
        self._contact = contact
        self._reconnect = reconnect
        self._reconnecting = asyncio.Lock()
        self._is_ours = reconnect is not None
        self._dialect = Dialect()
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=_CONNECT_S, read=None if reconnect else answer_s),
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS),
            trust_env=not is_local(url),
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

    async def reach(self) -> None:
        """Wait until the server answers, whatever it says.

        Raises:
            InferenceError: patience has ended.
        """
        attempt, silent_since = 0, time.monotonic()
        url, headers = base_of(self._address.url), authorization(self._address.api_key)
        while True:
            attempt += 1
            try:
                await self._http.get(f"{url}/models", headers=headers, timeout=_CONNECT_S)
            except httpx.ReadTimeout:
                return  # it is there, and busy
            except httpx.TransportError as error:
                self._not_reached(error, silent_since)
            else:
                self._answered()
                return
            await asyncio.sleep(_pause(attempt))

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
        body: Json = {
            "model": model,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "frequency_penalty": sampling.frequency_penalty,
            "seed": sampling.seed,
            "logprobs": logprobs,
        }
        if not self._is_ours:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
            body |= {"top_logprobs": 1} if logprobs else {}  # llama-server would send twenty
        headers = {"x-lectern-run": run} if run else {}
        if interactive:
            headers["x-lectern-priority"] = "interactive"
        return await self._put(model, body, headers)

    async def _put(self, model: str, body: Json, headers: dict[str, str]) -> ChatAnswer:
        """Ask until there is an answer, or a refusal of what can't be done without."""
        dialect, learned = self._dialect, dict[str, str]()
        while True:
            said = dialect.put(body)
            try:
                answer = await self._ask(model, said, headers)
            except RefusalError as error:
                refusal = error.refusal
            else:
                self._keep(dialect, learned)
                return answer
            name = spared(said, refusal)
            if not name:
                raise await self._final(model, refusal)
            dialect = dialect.without(name, said)
            learned[name] = refusal.problem

    def _keep(self, dialect: Dialect, learned: Mapping[str, str]) -> None:
        """Put the next requests in the way of one that was answered.

        Args:
            learned: what it learned to go without, and why.
        """
        known, self._dialect = self._dialect, self._dialect | dialect
        if self._dialect == known:
            return
        for name, problem in learned.items():
            log.warning("%s refuses %s (%s): it is asked without", self._address.url, name, problem)

    async def _ask(self, model: str, body: Json, headers: dict[str, str]) -> ChatAnswer:
        """Ask until there is an answer, an error that stays, or patience ends.

        Raises:
            RefusalError: the server says something else.
            RefusedError, InferenceError: its answers break off, or patience has ended.
        """
        busy_since: float | None = None
        silent_since: float | None = None
        timed_out = False
        attempt = cut_off = 0
        while True:
            attempt += 1
            pause_s = _pause(attempt)
            address = self._address
            try:
                answer = await self._send(address, model, body, headers)
                self._answered()
                return answer
            except RefusalError as error:
                self._answered()
                if error.refusal.status not in _BUSY_STATUS:
                    raise
                silent_since = None
                busy_since = busy_since or time.monotonic()
                if time.monotonic() - busy_since > _BUSY_S:
                    raise self._failed(f"busy for {_BUSY_S:.0f} s") from error
                pause_s = max(pause_s, error.refusal.retry_after_s)
            except httpx.ReadTimeout as error:
                if timed_out:
                    raise self._failed("no answer came in time, twice") from error
                timed_out = True
            except CutOffError as error:
                cut_off += 1
                if cut_off == _MOST_CUT_OFF:
                    raise RefusedError(model, f"its answer broke off {cut_off} times") from error
            except httpx.TransportError as error:
                silent_since = silent_since or time.monotonic()
                self._not_reached(error, silent_since)
                await self._find_again(address)
            await asyncio.sleep(pause_s)

    async def _send(
        self, address: PoolAddress, model: str, body: Json, headers: dict[str, str]
    ) -> ChatAnswer:
        """Ask once.

        Raises:
            RefusalError: the server says something else.
            CutOffError: it stopped amid the answer.
            httpx.TransportError: it does not answer.
        """
        url, sent_at = f"{base_of(address.url)}/chat/completions", time.perf_counter()
        headers = headers | authorization(address.api_key)
        async with self._http.stream("POST", url, json=body, headers=headers) as response:
            kind = response.headers.get("content-type", "")
            if response.is_success and kind.startswith("text/event-stream"):
                return await gather(model, response.aiter_bytes(), sent_at)
            await response.aread()
        data = _json(response)
        if not (response.is_success and is_answer(data)):
            refusal = read_refusal(response.status_code, data)
            raise RefusalError(replace(refusal, retry_after_s=_retry_after(response)))
        e2e_s = time.perf_counter() - sent_at
        return read_answer(model, data, Timings() if self._is_ours else Timings(e2e_s=e2e_s))

    async def _final(self, model: str, refusal: Refusal) -> PipelineError:
        """Return what to raise for a refusal; of an unknown model with those that are served."""
        error = refusal.error(model, self._address.url)
        if refusal.remedy or not refusal.is_of_the_model:  # our own pool says what to do itself
            return error
        with suppress(httpx.HTTPError):
            url, headers = base_of(self._address.url), authorization(self._address.api_key)
            response = await self._http.get(f"{url}/models", headers=headers, timeout=_CONNECT_S)
            if names := [each.name for each in read_models(_json(response))]:
                return not_served(model, refusal.problem, names)
        return error

    async def _find_again(self, failed: PoolAddress) -> None:
        """Ask where the server is now; one caller asks for all that failed at once."""
        if self._reconnect is None:
            return
        async with self._reconnecting:
            if self._address == failed:
                self._address = await asyncio.to_thread(self._reconnect)

    def _answered(self) -> None:
        if self._contact:
            self._contact.answered()

    def _not_reached(self, error: httpx.TransportError, silent_since: float) -> None:
        """Hear that a request did not come through.

        Raises:
            InferenceError: patience has ended.
        """
        if self._contact:
            self._contact.failed(error)
        if time.monotonic() - silent_since > self._patience_s:
            problem = f"can't be reached for {self._patience_s:.0f} s ({why(error)})"
            raise self._failed(problem) from error

    def _failed(self, problem: str) -> InferenceError:
        remedy = "See whether the model server runs, and its log"
        if self._reconnect is None:  # it is not ours
            remedy = f"{remedy}; LECTERN_POOL_URL says where it is"
        return InferenceError(self._address.url, problem, remedy)


def _pause(attempt: int) -> float:
    """Return seconds to wait: growing to 5, spread so that many clients don't meet."""
    return min(5.0, 0.1 * 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1.0)


def _retry_after(response: httpx.Response) -> float:
    """Return the seconds after which a server wants to be asked again, 0 where it does not say so;
    a date (RFC 9110, 10.2.3) is not heeded."""
    told = response.headers.get("retry-after", "")
    return min(float(told), _MOST_RETRY_AFTER_S) if told.isdecimal() else 0.0


def _json(response: httpx.Response) -> Any:
    """Return what a response holds; None if it is no JSON."""
    try:
        return response.json()
    except ValueError:
        return None
