"""Answers on their way to a client that may go away, from a worker that may die.

Owns server-sent events and the watch for a closed connection. Knows no routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tasks.pool.api import ApiError
from tasks.pool.protocol import Done, Refused, Text
from tasks.pool.tickets import Restarted, Ticket

Result = TypeVar("Result")


async def unbroken(ticket: Ticket) -> AsyncIterator[Text | Done | Refused]:
    """Yield a streamed answer's events, each text once, even if its worker died in between.

    The new worker repeats the answer from its start. What is already sent is left out, and
    if it does not come out the same (sampling without a seed), the stream ends in an error.
    """
    sent = again = ""
    async for event in ticket.events():
        if isinstance(event, Restarted):
            again = ""
            continue
        if isinstance(event, Refused):
            yield event
            return
        again += event.text
        if not (sent.startswith(again) or again.startswith(sent)):
            problem = "the worker crashed, and the answer could not be continued"
            yield Refused(id=event.id, code="worker_crashed", problem=problem)
            return
        fresh, sent = again[len(sent) :], max(sent, again, key=len)
        repeated = len(again) < len(sent)
        yield replace(event, text=fresh, logprobs=[] if repeated else event.logprobs)


class Stream(Response):
    """Server-sent events that stop when the client goes."""

    def __init__(self, parts: AsyncIterator[bytes], close: Callable[[], None]) -> None:
        self._parts = parts
        self._close = close
        super().__init__(media_type="text/event-stream", headers={"cache-control": "no-cache"})
        del self.headers["content-length"]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await unless_gone(receive, self._send(send))
        finally:
            self._close()

    async def _send(self, send: Send) -> None:
        head: Message = {"type": "http.response.start", "status": 200}
        await send({**head, "headers": self.raw_headers})
        async for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def unless_gone(receive: Receive, work: Coroutine[None, None, Result]) -> Result | None:
    """Await work; give it up and return None when the client has gone."""

    async def disconnected() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(disconnected())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for waiting in (task, gone):
            waiting.cancel()
            with suppress(asyncio.CancelledError, ApiError):
                await waiting
