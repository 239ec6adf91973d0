"""Streams over a worker's death: each text once, or an honest error."""

from __future__ import annotations

import asyncio

from tasks.pool.protocol import Done, EngineRequest, Refused, Text, WorkerConfig
from tasks.pool.streaming import unbroken
from tasks.pool.tickets import PoolModel, Restarted, Ticket


def text(part: str) -> Text:
    return Text(id=0, text=part, logprobs=[])


def done(part: str) -> Done:
    counts = {"prompt_tokens": 1, "cached_tokens": 0, "completion_tokens": 1}
    times = {"queue_s": 0.0, "prefill_s": 0.0, "decode_s": 0.0}
    return Done(id=0, text=part, logprobs=[], finish_reason="stop", **counts, **times)


def streamed(*events: Text | Done | Refused | Restarted) -> list[str]:
    """Return the texts that a client gets; for a refusal, its code."""

    async def play() -> list[str]:
        model = PoolModel("m", "m", WorkerConfig(model_path="m", n_ctx=1))
        ticket = Ticket(model, EngineRequest(id=0, prompt=[1], max_tokens=1), 0.0)
        for event in events:
            ticket.inbox.put_nowait(event)
        return [e.code if isinstance(e, Refused) else e.text async for e in unbroken(ticket)]

    return asyncio.run(play())


def test_a_repeated_answer_continues_where_the_first_one_broke_off() -> None:
    events = [text("one "), text("two"), Restarted(), text("one"), text(" two th"), done("ree")]

    assert "".join(streamed(*events)) == "one two three"


def test_an_answer_that_comes_out_differently_ends_in_an_error() -> None:
    events = [text("one "), Restarted(), text("on"), text("ce")]

    assert streamed(*events) == ["one ", "", "worker_crashed"]


def test_an_undisturbed_stream_is_passed_on_as_it_is() -> None:
    assert streamed(text("a"), text("b"), done("c")) == ["a", "b", "c"]
