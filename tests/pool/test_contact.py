"""Another server that is not there, not yet, or not any more: what is said of it, and how often."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from support.scripted_server import Rule, ScriptedServer

from tasks.errors import InferenceError
from tasks.pool.client import PoolClient
from tasks.pool.contact import Contact, why
from tasks.pool.lifecycle import PoolAddress
from tasks.records import Message, Sampling


def closed_port() -> int:
    """Return a port at which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def mute() -> Iterator[int]:
    """A port that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found.getsockname()[1]


def contact_to(url: str, key: str | None = None) -> tuple[Contact, list[str]]:
    told: list[str] = []
    return Contact(PoolAddress(url, key), told.append), told


def client_of(contact: Contact, patience_s: float = 60) -> PoolClient:
    return PoolClient(contact.url, None, patience_s=patience_s, contact=contact)


async def ask(client: PoolClient) -> str:
    answer = await client.chat("m", [Message("user", "hi")], Sampling(max_tokens=5))
    return answer.model


def test_a_look_at_a_closed_port_is_told_once() -> None:
    contact, told = contact_to(f"http://127.0.0.1:{closed_port()}/v1")
    contact.look()
    contact.look()

    assert contact.is_lost
    assert told == [
        f"{contact.url} does not answer (Connection refused); requests keep trying it for 60 s. "
        "See whether it runs; LECTERN_POOL_URL says where it is"
    ]


def test_a_host_that_nobody_knows_is_told() -> None:
    contact, told = contact_to("http://no-such-host.invalid:8000")
    contact.look()

    assert "http://no-such-host.invalid:8000 does not answer (" in told[0]
    assert contact.is_lost


def test_whatever_answers_is_there() -> None:
    """Be it that it refuses the key, or takes its time."""
    with ScriptedServer(api_key="right") as server, mute() as port:
        refused, told = contact_to(server.url, "wrong")
        refused.look()
        busy, told_too = contact_to(f"http://127.0.0.1:{port}")
        busy.look()

    assert (told, told_too) == ([], [])
    assert (refused.is_lost, busy.is_lost) == (False, False)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        *(("localhost:8000", None), ("http://127.0.0.1:99999", None), ("http://x:y/v1", None)),
        *(("http://", None), ("", "two\nlines"), ("", "schlüssel")),
    ],
)
def test_what_can_never_be_asked_is_not_waited_for(url: str, key: str | None) -> None:
    """And nobody gets to see the key."""
    with ScriptedServer() as server:
        contact, told = contact_to(url or server.url, key)
        with pytest.raises(InferenceError, match="no request can be sent") as caught:
            contact.look()

    assert "Set LECTERN_POOL_URL to one like http://" in str(caught.value)
    assert not key or key not in str(caught.value)
    assert told == []


def test_a_server_that_comes_up_later_is_reached_and_asked() -> None:
    port = closed_port()
    contact, told = contact_to(f"http://127.0.0.1:{port}/v1")
    contact.look()

    async def run() -> str:
        async with client_of(contact) as client:
            reached = asyncio.create_task(client.reach())
            await asyncio.sleep(0.5)
            assert not reached.done()
            with ScriptedServer(port=port):
                await reached
                return await ask(client)

    assert asyncio.run(run()) == "m"
    assert told[1:] == [f"{contact.url} answers now"]
    assert not contact.is_lost


def test_a_server_that_is_lost_amid_many_requests_is_told_once_and_found_again() -> None:
    port = closed_port()
    contact, told = contact_to(f"http://127.0.0.1:{port}/v1")

    async def run() -> None:
        async with client_of(contact) as client:
            with ScriptedServer(port=port, delay_s=5) as server:
                asked = [asyncio.create_task(ask(client)) for _ in range(5)]
                while len(server.log) < 5:
                    await asyncio.sleep(0.01)
            while not told:
                await asyncio.sleep(0.01)
            assert contact.is_lost
            with ScriptedServer(port=port):
                assert await asyncio.gather(*asked) == ["m"] * 5

    asyncio.run(run())
    assert len(told) == 2
    assert "does not answer (Connection refused)" in told[0]
    assert told[1].endswith(" answers now")


def test_a_connection_that_breaks_is_not_worth_a_word() -> None:
    with ScriptedServer(rules=[Rule("drop", times=2)]) as server:
        contact, told = contact_to(server.url)

        async def run() -> str:
            async with client_of(contact) as client:
                return await ask(client)

        assert asyncio.run(run()) == "m"
    assert told == []


@pytest.mark.parametrize("first", ["reach", "ask"])
def test_the_end_of_patience_names_the_address_and_what_to_do(first: str) -> None:
    contact, _ = contact_to(f"http://127.0.0.1:{closed_port()}")

    async def run() -> None:
        async with client_of(contact, patience_s=0.2) as client:
            await (client.reach() if first == "reach" else ask(client))

    with pytest.raises(InferenceError) as caught:
        asyncio.run(run())
    assert str(caught.value) == (
        f"{contact.url}: can't be reached for 0 s (Connection refused). See whether the model "
        "server runs, and its log; LECTERN_POOL_URL says where it is."
    )


def test_why_is_said_without_the_key() -> None:
    assert why(httpx.LocalProtocolError("Illegal header b'Bearer k'")) == (
        "no request can be made of it"
    )
    assert why(httpx.ConnectTimeout("")) == "no answer in time"
    assert why(httpx.ReadError("")) == "ReadError"
