"""A streamed answer, put together, with its times measured where it arrives.

Owns server-sent events as OpenAI's servers send them and the clock beside them. Makes no
connections; whoever has one passes its bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

import httpx

from tasks.pool.client_answer import (
    Json,
    Refusal,
    RefusalError,
    make_answer,
    read_refusal,
    token_logprobs,
)
from tasks.pool.types import ChatAnswer, Timings

_END = "[DONE]"
_REST_S = 1.0  # for what comes behind it, which is nothing
# Where servers put reasoning: it is left out, but the model's first token is the first of it.
_TEXT = ("content", "reasoning_content", "reasoning")
_HUNG_UP = (httpx.ReadError, httpx.RemoteProtocolError)


class CutOffError(Exception):
    """The stream ended before the answer did."""


class Gathering:
    """An answer that comes in pieces.

    Args:
        sent_at: perf_counter() when the request was sent.
        now: the clock.
    """

    def __init__(self, sent_at: float, now: Callable[[], float] = perf_counter) -> None:
        self._sent_at, self._now = sent_at, now
        self._text: list[str] = []
        self._logprobs: list[float] = []
        self._finish_reason = ""
        self._told: Json = {}
        self._arrivals: list[float] = []  # the first piece's and the last one's
        self.is_ended = False

    @property
    def is_complete(self) -> bool:
        """Whether the server said that this is all: some leave out the one way, some the other."""
        return self.is_ended or bool(self._finish_reason)

    def take(self, event: str) -> None:
        """Take the data of an event.

        Raises:
            RefusalError: it is an error.
            CutOffError: it is no JSON.
        """
        if event == _END:
            self.is_ended = True
            return
        try:
            data = json.loads(event)
        except ValueError:
            raise CutOffError from None
        if not isinstance(data, dict) or data.get("error") or data.get("object") == "error":
            raise RefusalError(_refusal(data))
        for name in ("model", "usage", "timings", "worker"):
            if data.get(name):
                self._told[name] = data[name]
        for choice in data.get("choices") or ():
            self._take_choice(choice)

    def _take_choice(self, choice: Json) -> None:
        piece = choice.get("delta") or {}
        if any(piece.get(name) for name in _TEXT):
            self._arrivals[1:] = [self._now()]
        self._text.append(piece.get("content") or "")
        self._logprobs += token_logprobs(choice)
        self._finish_reason = choice.get("finish_reason") or self._finish_reason

    def answer(self, model: str) -> ChatAnswer:
        """Return the whole answer."""
        return make_answer(
            text="".join(self._text),
            finish_reason=self._finish_reason,
            logprobs=self._logprobs,
            told=self._told,
            outside=self._times(),
            model=model,
        )

    def _times(self) -> Timings:
        """Return what can be seen from outside; an answer in one piece has no time of decoding."""
        times = self._arrivals
        return Timings(
            ttft_s=times[0] - self._sent_at if times else None,
            decode_s=times[1] - times[0] if len(times) > 1 else None,
            e2e_s=self._now() - self._sent_at,
        )


async def gather(model: str, pieces: AsyncIterator[bytes], sent_at: float) -> ChatAnswer:
    """Return the answer that a stream holds.

    Raises:
        RefusalError: the server said in the stream that it failed.
        CutOffError: it ended before the answer did.
        httpx.ReadTimeout: nothing more came in time.
    """
    gathering = Gathering(sent_at)
    with suppress(*_HUNG_UP):  # which matters only if there was more to come
        async for event in _events(pieces):
            gathering.take(event)
            if gathering.is_ended:
                break
    if not gathering.is_complete:
        raise CutOffError
    answer = gathering.answer(model)
    with suppress(TimeoutError, *_HUNG_UP):  # what is read to its end can serve the next request
        async with asyncio.timeout(_REST_S):
            async for _ in pieces:
                pass
    return answer


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield the data of server-sent events: one or more lines, and an empty one."""
    data: list[str] = []
    async for line in _lines(pieces):
        name, _, value = line.partition(":")
        if name == "data" and (text := value.strip()):
            data.append(text)
        elif name == "error":  # so llama-server told it until the middle of 2025
            yield f'{{"error": {value}}}'
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield lines. They end at a line feed alone: httpx's own also end at U+2028, which JSON may
    hold."""
    held = b""
    async for piece in pieces:
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode(errors="replace")
    yield held.decode(errors="replace")


def _refusal(data: Any) -> Refusal:
    """Return an error in a stream; its status, if it tells one, is its code."""
    told = data if isinstance(data, dict) else {}
    error = told.get("error")
    code = (error if isinstance(error, dict) else told).get("code")
    return read_refusal(code if isinstance(code, int) else 500, data)
