"""The client against a server that plays tricks: busy, gone, silent, foreign."""

from __future__ import annotations

import asyncio
import json
import re
import time
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


Answer = tuple[int, Any] | tuple[int, Any, str] | bytes | str


@dataclass
class Tricks:
    """Answers in order, the last one for ever: (status, JSON), perhaps with a header, the bytes of
    a stream that may end in one of the following, "hang up" or "silence". Lists its models."""

    answers: list[Answer]
    seen: list[dict[str, Any]] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    serving: set[asyncio.Task[Any]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self.serving.add(task)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if head.startswith("get"):
            await self.send(writer, 200, {"data": [{"id": "minimal"}, {"id": "mistral"}]})
            return
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        self.seen.append({"head": head, **json.loads(await reader.readexactly(length))})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer == "silence":
            await reader.read()
            self.left.set()
        elif isinstance(answer, tuple):
            await self.send(writer, *answer)
        elif isinstance(answer, bytes):
            await self.stream(writer, answer)
            if answer.endswith(b"silence"):
                await reader.read()
        writer.close()

    async def send(
        self, writer: asyncio.StreamWriter, status: int, data: Any, header: str = "x: y"
    ) -> None:
        body = json.dumps(data).encode()
        start = f"HTTP/1.1 {status} x\r\n{header}\r\nconnection: close"
        start += f"\r\ncontent-length: {len(body)}"
        writer.write(f"{start}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async def stream(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        head = "HTTP/1.1 200 x\r\nconnection: close\r\ncontent-type: text/event-stream"
        if body.endswith(b"hang up"):
            head += f"\r\ncontent-length: {2 * len(body)}"
        writer.write(f"{head}\r\n\r\n".encode())
        for n in range(0, len(body), 64):  # events are cut anywhere
            writer.write(body[n : n + 64])
            await writer.drain()
            await asyncio.sleep(0.001)


@asynccontextmanager
async def playing(*answers: Answer) -> AsyncIterator[Tricks]:
    tricks = Tricks(list(answers))
    server = await asyncio.start_server(tricks.serve, "127.0.0.1", 0)
    tricks.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield tricks
    finally:
        server.close()
        await asyncio.gather(*tricks.serving, return_exceptions=True)


def play(body: Callable[[Tricks], Awaitable[None]], *answers: Answer) -> None:
    async def run() -> None:
        async with playing(*answers) as tricks:
            await asyncio.wait_for(body(tricks), 20)

    asyncio.run(run())


async def chat(url: str, *, run: str = "", **options: Any) -> Any:
    async with PoolClient(url, "key", **options) as client:
        return await client.chat("m", [Message("user", "hi")], Sampling(max_tokens=5), run=run)


def piece(text: str, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """Return an event with a piece of an answer."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason, **more}
    return {"model": "m", "choices": [choice]}


def stream(*events: dict[str, Any], end: str = "data: [DONE]\n\n") -> bytes:
    lines = (f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events)
    return "".join([": keep-alive\n\n", *lines, end]).encode()


def used(completion_tokens: int, **more: Any) -> dict[str, Any]:
    """Return the event with which a stream tells what it used."""
    usage = {"prompt_tokens": 9, "completion_tokens": completion_tokens, **more}
    return {"choices": [], "usage": usage}


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_a_foreign_servers_answer_is_read(suffix: str) -> None:
    """It does not stream, and tells no times; its reasoning is left out. The URL may end in /v1."""

    async def body(tricks: Tricks) -> None:
        answer = await chat(tricks.url + suffix, run="r")

        assert (answer.text, answer.usage.completion_tokens) == ("Hi.", 2)
        assert answer.timings == Timings(e2e_s=answer.timings.e2e_s)
        assert answer.timings.e2e_s
        assert answer.mean_logprob is None
        assert "post /v1/chat/completions " in tricks.seen[0]["head"]
        assert "authorization: bearer key" in tricks.seen[0]["head"]
        assert "x-lectern-run: r" in tricks.seen[0]["head"]

    play(body, (200, ANSWER))


def test_busy_and_broken_connections_are_tried_again() -> None:
    async def body(tricks: Tricks) -> None:
        assert (await chat(tricks.url)).text == "Hi."
        assert len(tricks.seen) == 4

    play(body, (429, {}), (503, {}), "hang up", (200, ANSWER))


def test_a_busy_server_is_asked_again_when_it_wants_to_be() -> None:
    async def body(tricks: Tricks) -> None:
        began = time.monotonic()
        assert (await chat(tricks.url)).text == "Hi."
        assert time.monotonic() - began >= 1

    play(body, (429, {}, "retry-after: 1"), (200, ANSWER))


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


def test_a_stream_is_put_together_and_its_times_are_measured() -> None:
    """Text may hold what other readers take for an end of line."""
    token = {"logprobs": {"content": [{"token": "", "logprob": -0.5}]}}
    events = [piece("<think>hm</think>\u2028A", **token), piece(" b", **token), piece("", "stop")]

    async def body(tricks: Tricks) -> None:
        answer = await chat(tricks.url)

        assert (answer.text, answer.finish_reason) == ("A b", "stop")
        assert answer.mean_logprob == -0.5
        assert (answer.usage.prompt_tokens, answer.usage.cached_tokens) == (9, 4)
        times = answer.timings
        assert times.ttft_s
        assert times.decode_s
        assert times.e2e_s
        assert times.ttft_s + times.decode_s <= times.e2e_s
        assert times.tpot_s == times.decode_s / 2
        assert (times.queue_s, times.prefill_s) == (None, None)
        asked = tricks.seen[0]
        assert (asked["stream"], asked["stream_options"]) == (True, {"include_usage": True})

    cached = {"prompt_tokens_details": {"cached_tokens": 4}}
    play(body, stream(*events, used(3, **cached)))


def test_what_llama_server_measured_itself_is_taken() -> None:
    told = {"prompt_ms": 250.0, "predicted_ms": 80.0, "prompt_n": 5, "predicted_n": 5, "cache_n": 4}

    async def body(tricks: Tricks) -> None:
        answer = await chat(tricks.url)

        assert (answer.timings.prefill_s, answer.timings.decode_s) == (0.25, 0.08)
        assert answer.timings.tpot_s == pytest.approx(0.02)
        assert answer.timings.ttft_s
        assert answer.usage.cached_tokens == 4

    play(body, stream(piece("A"), piece("B", "stop"), used(5) | {"timings": told}))


def test_a_stream_that_tells_nothing_but_text_is_an_answer() -> None:
    """No usage, no reason to finish; in one piece, so that nothing says how long it was decoded."""

    async def body(tricks: Tricks) -> None:
        answer = await chat(tricks.url)

        assert (answer.text, answer.finish_reason) == ("Hi.", "")
        assert answer.usage.completion_tokens == 0
        assert (answer.timings.decode_s, answer.timings.tpot_s) == (None, None)

    play(body, stream(piece("Hi.")))


def test_reasoning_apart_from_the_answer_is_left_out() -> None:
    """But the model's first token is the first of it."""
    thought = {"choices": [{"delta": {"reasoning_content": "Well"}}]}

    async def body(tricks: Tricks) -> None:
        answer = await chat(tricks.url)

        assert answer.text == "Hi."
        assert answer.timings.decode_s

    play(body, stream(thought, piece("Hi.", "stop")))


@pytest.mark.parametrize("end", ["", 'data: {"choices": [{"del'])
def test_a_stream_that_breaks_off_is_asked_for_again(end: str) -> None:
    async def body(tricks: Tricks) -> None:
        assert (await chat(tricks.url)).text == "Hi."
        assert len(tricks.seen) == 2

    play(body, stream(piece("Hel"), end=end), stream(piece("Hi.", "stop"), end=""))


def test_a_server_that_keeps_the_line_open_after_the_end_has_answered() -> None:
    async def body(tricks: Tricks) -> None:
        assert (await chat(tricks.url, answer_s=10)).text == "Hi."

    play(body, stream(piece("Hi.", "stop"), end="data: [DONE]\n\nsilence"))


@pytest.mark.parametrize("end", ["data: [DONE]\n\nhang up", "hang up"])
def test_a_server_that_hangs_up_after_the_end_has_answered(end: str) -> None:
    async def body(tricks: Tricks) -> None:
        assert (await chat(tricks.url)).text == "Hi."
        assert len(tricks.seen) == 1

    play(body, stream(piece("Hi.", "stop"), end=end))


def test_events_are_read_as_the_standard_has_them() -> None:
    """Lines may end in CRLF, fields come without a space, data take several lines."""
    lines = [
        *(": comment", "", "retry: 5", "id: 1", 'data:{"choices": [{"delta":', "event: message"),
        *('data: {"content": "H"}}]}', "", "data:", "", f"data:{json.dumps(piece('i.'))}", ""),
        *("data: [DONE]", ""),
    ]

    async def body(tricks: Tricks) -> None:
        assert (await chat(tricks.url)).text == "Hi."
        assert len(tricks.seen) == 1

    play(body, "\r\n".join(lines).encode())


def test_a_request_whose_answers_all_break_off_is_given_up_alone() -> None:
    async def body(tricks: Tricks) -> None:
        with pytest.raises(RefusedError, match="broke off 3 times"):
            await chat(tricks.url)

    play(body, stream(piece("Hel"), end=""))


def test_an_error_amid_a_stream_is_one() -> None:
    error = {"error": {"message": "out of memory", "code": 500, "type": "server_error"}}

    async def body(tricks: Tricks) -> None:
        with pytest.raises(RefusedError, match="out of memory"):
            await chat(tricks.url)

    play(body, stream(piece("Hel"), error))


def test_an_error_that_an_older_llama_server_streams_is_one() -> None:
    """In a field of its own; behind it comes the end, as if there had been an answer."""
    error = {"code": 400, "message": "too long", "type": "exceed_context_size_error"}

    async def body(tricks: Tricks) -> None:
        with pytest.raises(InferenceError, match=r"too long\. .*LECTERN_MAX_PROMPT"):
            await chat(tricks.url)

    play(body, f"error: {json.dumps(error)}\n\ndata: [DONE]\n\n".encode())


def test_a_server_that_is_busy_amid_a_stream_is_asked_again() -> None:
    error = {"error": {"message": "rate limit exceeded", "code": 429}}

    async def body(tricks: Tricks) -> None:
        assert (await chat(tricks.url)).text == "Hi."

    play(body, stream(error), stream(piece("Hi.", "stop")))


OPENAI = {
    "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    "'max_completion_tokens' instead.",
    "param": "max_tokens", "code": "unsupported_parameter",
}  # fmt: skip
FASTAPI = [{"loc": ["body", "stream_options", "include_usage"], "msg": "Extra inputs are not"}]


@pytest.mark.parametrize(
    ("status", "refusal", "gone", "instead"),
    [
        (400, {"error": OPENAI}, "max_tokens", {"max_completion_tokens": 5}),
        (422, {"detail": FASTAPI}, "stream_options", {"stream": True}),
        (400, {"error": "stream is not supported"}, "stream", {}),
        (400, {"error": {"message": "logprobs: not here"}}, "top_logprobs", {"seed": 0}),
        (400, {"object": "error", "message": "unknown field `seed`"}, "seed", {"logprobs": True}),
    ],
)
def test_what_a_server_refuses_it_is_asked_without(
    status: int, refusal: Any, gone: str, instead: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It learns so once, whatever form the server's errors have, and says so once."""

    async def body(tricks: Tricks) -> None:
        async with PoolClient(tricks.url, None) as client:
            for _ in range(2):
                await client.chat("m", [Message("user", "hi")], Sampling(max_tokens=5))

        first, *others = tricks.seen
        assert gone in first
        assert len(others) == 2
        assert all(gone not in each and instead.items() <= each.items() for each in others)
        assert len([r for r in caplog.records if "it is asked without" in r.message]) == 1

    play(body, (status, refusal), (200, ANSWER))


def test_only_the_value_that_is_refused_is_left_out() -> None:
    """A server may take a temperature of 0.3, but none of 0."""
    error = {"error": {"message": "'temperature' must not be 0", "param": "temperature"}}

    async def body(tricks: Tricks) -> None:
        async with PoolClient(tricks.url, None) as client:
            for temperature in (0.0, 0.3):
                sampling = Sampling(max_tokens=5, temperature=temperature)
                await client.chat("m", [Message("user", "hi")], sampling)

        assert [each.get("temperature") for each in tricks.seen] == [0.0, None, 0.3]

    play(body, (400, error), (200, ANSWER))


def test_nothing_is_learned_of_a_request_that_is_refused_to_the_end() -> None:
    """Its refusal may show all that was sent, and be about the rest."""
    told = "bad message in {'max_tokens': 5, 'temperature': 0.0, 'seed': 0}"
    refusal = 400, {"error": {"message": told}}

    async def body(tricks: Tricks) -> None:
        async with PoolClient(tricks.url, None) as client:
            with pytest.raises(RefusedError, match="bad message"):
                await client.chat("m", [Message("user", "bad")], Sampling(max_tokens=5))
            await client.chat("m", [Message("user", "hi")], Sampling(max_tokens=5))

        first, *_, last = ({**each, "head": "", "messages": []} for each in tricks.seen)
        assert first == last

    play(body, *[refusal] * 4, (200, ANSWER))


def test_a_refusal_that_stays_is_told() -> None:
    async def body(tricks: Tricks) -> None:
        with pytest.raises(RefusedError, match="max_tokens is too large"):
            await chat(tricks.url)
        assert len(tricks.seen) == 2

    play(body, (400, {"error": {"message": "max_tokens is too large", "type": "BadRequestError"}}))


def test_a_prompt_that_llama_server_finds_too_long_is_told_as_such() -> None:
    """Its code is the status; its type says what is wrong."""
    error = {"code": 400, "message": "exceeds the size", "type": "exceed_context_size_error"}

    async def body(tricks: Tricks) -> None:
        with pytest.raises(InferenceError, match=r"LECTERN_MAX_PROMPT") as caught:
            await chat(tricks.url)
        assert type(caught.value) is InferenceError

    play(body, (400, {"error": error}))


@pytest.mark.parametrize(
    ("status", "said", "line"),
    [
        (401, {"error": {"message": "Invalid API Key"}}, r"401 \(Invalid API Key\)\. .*API_KEY"),
        (403, {}, r"403 \(no reason is given\)\. .*API_KEY"),
        (402, {"error": {"message": "Insufficient Balance."}}, r"402 \(Insufficient Bal.*account"),
        (404, {}, r"404 \(no reason is given\)\. .*LECTERN_POOL_URL"),
        (501, {}, r"501\. .*LECTERN_POOL_URL"),
    ],
)
def test_a_server_that_lets_nobody_in_is_named_with_what_to_do(
    status: int, said: Any, line: str
) -> None:
    """No request would fare better, so it is no refusal of this one."""

    async def body(tricks: Tricks) -> None:
        with pytest.raises(InferenceError, match=f"^{re.escape(tricks.url)}: it answered {line}"):
            await chat(tricks.url)

    play(body, (status, said))


def test_a_name_that_is_not_served_is_told_with_the_nearest_ones() -> None:
    error = {"error": {"message": 'model "m" not found, try pulling it first', "code": None}}

    async def body(tricks: Tricks) -> None:
        with pytest.raises(ModelError, match=r"LECTERN_POOL_MODEL .*: minimal, mistral"):
            await chat(tricks.url)

    play(body, (404, error))
