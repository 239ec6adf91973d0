"""The client against a server that plays tricks: busy, gone, silent, foreign."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tasks.errors import InferenceError, ModelError, RefusedError
from tasks.pool.client import PoolClient
from tasks.pool.lifecycle import PoolAddress
from tasks.pool.types import Timings
from tasks.records import Message, Sampling

ANSWER = {
    "model": "m",
    "choices": [{"message": {"content": "<think>hm</think>Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


@dataclass
class Tricks:
    """Answers in order, the last one for ever: (status, JSON), "hang up" or "silence"."""

    answers: list[tuple[int, Any] | str]
    seen: list[dict[str, Any]] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        self.seen.append({"head": head, **json.loads(await reader.readexactly(length))})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer == "silence":
            await reader.read()
            self.left.set()
        elif isinstance(answer, tuple):
            status, data = answer
            body = json.dumps(data).encode()
            start = f"HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {len(body)}"
            writer.write(f"{start}\r\n\r\n".encode() + body)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def playing(*answers: tuple[int, Any] | str) -> AsyncIterator[Tricks]:
    tricks = Tricks(list(answers))
    server = await asyncio.start_server(tricks.serve, "127.0.0.1", 0)
    tricks.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield tricks
    finally:
        server.close()


def play(body: Callable[[Tricks], Awaitable[None]], *answers: tuple[int, Any] | str) -> None:
    async def run() -> None:
        async with playing(*answers) as tricks:
            await asyncio.wait_for(body(tricks), 20)

    asyncio.run(run())


async def chat(url: str, *, run: str = "", **options: Any) -> Any:
    async with PoolClient(url, "key", **options) as client:
        return await client.chat("m", [Message("user", "hi")], Sampling(max_tokens=5), run=run)


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_a_foreign_servers_answer_is_read(suffix: str) -> None:
    """It tells no times, and its reasoning is left out. The URL may end in /v1."""

    async def body(tricks: Tricks) -> None:
        answer = await chat(tricks.url + suffix, run="r")

        assert (answer.text, answer.usage.completion_tokens) == ("Hi.", 2)
        assert (answer.timings, answer.mean_logprob) == (Timings(), None)
        assert "post /v1/chat/completions " in tricks.seen[0]["head"]
        assert "authorization: bearer key" in tricks.seen[0]["head"]
        assert "x-lectern-run: r" in tricks.seen[0]["head"]

    play(body, (200, ANSWER))


def test_busy_and_broken_connections_are_tried_again() -> None:
    async def body(tricks: Tricks) -> None:
        assert (await chat(tricks.url)).text == "Hi."
        assert len(tricks.seen) == 4

    play(body, (429, {}), (503, {}), "hang up", (200, ANSWER))


def test_a_refusal_is_not_tried_again() -> None:
    """It is about this request alone, and says so by its kind and the server's code."""
    error = {"error": {"message": "no such grammar", "code": "invalid_grammar"}}

    async def body(tricks: Tricks) -> None:
        with pytest.raises(RefusedError, match="no such grammar") as caught:
            await chat(tricks.url)
        assert caught.value.code == "invalid_grammar"
        assert len(tricks.seen) == 1

    play(body, (400, error))


def test_a_prompt_beyond_the_servers_context_is_not_about_this_request_alone() -> None:
    """A setting is wrong: as a refusal it would be on record, for ever, chunk by chunk."""
    error = {"error": {"message": "too long", "code": "context_length_exceeded"}}

    async def body(tricks: Tricks) -> None:
        with pytest.raises(InferenceError, match=r"too long\. .*LECTERN_MAX_PROMPT") as caught:
            await chat(tricks.url)
        assert type(caught.value) is InferenceError

    play(body, (400, error))


def test_another_servers_silence_is_waited_out_twice() -> None:
    async def body(tricks: Tricks) -> None:
        assert (await chat(tricks.url, answer_s=0.2)).text == "Hi."
        with pytest.raises(InferenceError, match="no answer came in time, twice"):
            await chat(tricks.url, answer_s=0.2)
        assert len(tricks.seen) == 4

    play(body, "silence", (200, ANSWER), "silence", "silence")


def test_our_pool_may_take_as_long_as_it_takes() -> None:
    """64 chunks of a large model on two cores are hours of work; a dead pool hangs up."""

    async def body(tricks: Tricks) -> None:
        call = chat(tricks.url, answer_s=0.1, reconnect=lambda: PoolAddress(tricks.url, "key"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.5)
        assert len(tricks.seen) == 1

    play(body, "silence")


def test_a_model_that_is_not_there_is_a_model_error() -> None:
    async def body(tricks: Tricks) -> None:
        with pytest.raises(ModelError, match="no such model"):
            await chat(tricks.url)

    play(body, (404, {"error": {"message": "no such model", "code": "model_not_found"}}))


def test_a_server_that_is_no_model_server_is_named() -> None:
    async def body(tricks: Tricks) -> None:
        with pytest.raises(InferenceError, match="model server"):
            await chat(tricks.url)

    play(body, (200, ["hello"]))


def test_patience_with_a_silent_address_ends() -> None:
    with pytest.raises(InferenceError, match="can't be reached"):
        asyncio.run(chat("http://127.0.0.1:9", patience_s=0.3))


def test_a_pool_that_moved_is_found_again() -> None:
    """reconnect() says where it is now; callers that fail together ask once."""

    async def body(tricks: Tricks) -> None:
        asked = []

        def reconnect() -> PoolAddress:
            asked.append(1)
            return PoolAddress(tricks.url, "key2")

        async with PoolClient("http://127.0.0.1:9", "key", reconnect=reconnect) as client:
            calls = (
                client.chat("m", [Message("user", "hi")], Sampling(max_tokens=5)) for _ in range(5)
            )
            answers = await asyncio.gather(*calls)

        assert [answer.text for answer in answers] == ["Hi."] * 5
        assert len(asked) == 1
        assert "bearer key2" in tricks.seen[0]["head"]

    play(body, (200, ANSWER))


def test_cancelling_a_call_closes_its_connection() -> None:
    async def body(tricks: Tricks) -> None:
        call = asyncio.create_task(chat(tricks.url))
        while not tricks.seen:
            await asyncio.sleep(0.01)
        call.cancel()

        await asyncio.wait_for(tricks.left.wait(), 5)
        with pytest.raises(asyncio.CancelledError):
            await call

    play(body, "silence")
