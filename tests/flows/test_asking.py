"""Many batches, one client: how much is with the server at once, and what is said meanwhile."""

from __future__ import annotations

import socket
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.crashing import wait_until
from support.scripted_server import ScriptedServer

from flows import asking
from flows.asking import Asker, in_words
from tasks.generate.ask import RunContext
from tasks.pool.contact import Contact
from tasks.pool.lifecycle import PoolAddress, PoolStatus
from tasks.records import Generation, Line, Message, PromptRef, Request, Sampling
from tasks.settings import Settings

SOURCE = "<source>\n[1] A line to say again.\n</source>"
REQUEST = Request(
    key="k", task="summarize", source_id="s", level=0, messages=(Message("user", SOURCE),),
    prompt_tokens=10, sampling=Sampling(max_tokens=50), lines=(Line(1, "A line to say again.", 1),),
    prompt=PromptRef(name="summarize", version=1, language="en", hash=""),
)  # fmt: skip


def _requests(start: int, n: int) -> list[Request]:
    return [replace(REQUEST, key=f"k{number}") for number in range(start, start + n)]


def test_all_batches_together_have_so_many_requests_at_the_server(config: Settings) -> None:
    """More would wait there, and for a slow model longer than any client should."""
    rows: list[Generation] = []
    with ScriptedServer(delay_s=0.02) as server, ThreadPoolExecutor(4) as threads:
        settings = config.model_copy(update={"pool_url": server.url})
        with Asker(settings, at_once=4) as asker:
            batches = [
                threads.submit(
                    asker.ask, _requests(10 * n, 10), "m", rows.append, RunContext(), lambda _: None
                )
                for n in range(4)
            ]
            for batch in batches:
                batch.result()

    assert len(rows) == 40
    assert max(entry.open for entry in server.log) == 4


def test_each_worker_of_the_pool_has_as_much_to_do(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many there are turns out when the second one answers."""
    pool = PoolStatus("", 1, "ready", "m", 1.0, 0, 0, 1, workers=[1, 2, 3])
    monkeypatch.setattr(asking, "pool_status", lambda _: pool)
    with ScriptedServer(delay_s=0.05, workers=("one", "other")) as server:
        monkeypatch.setattr(asking, "ensure_pool", lambda *_: PoolAddress(server.url, None))
        with Asker(config, at_once=2) as asker:
            asker.ask(_requests(0, 30), "m", lambda _: None, RunContext(), lambda _: None)

    assert max(entry.open for entry in server.log) == 3 * 2


@pytest.mark.parametrize(("name", "expected"), [(None, "scripted"), ("there", "there")])
def test_another_server_is_asked_by_its_own_name_of_the_model(
    config: Settings, name: str | None, expected: str
) -> None:
    """Which is the only one that it serves, unless it is set."""
    with ScriptedServer() as server:
        settings = config.model_copy(update={"pool_url": server.url, "pool_model": name})
        with Asker(settings, at_once=1) as asker:
            asker.ask([REQUEST], "here.gguf", lambda _: None, RunContext(), lambda _: None)

    assert [entry.model for entry in server.log] == [expected]


def test_another_server_that_comes_up_later_is_waited_for_and_then_asked_its_name(
    config: Settings,
) -> None:
    told: list[str] = []
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    settings = config.model_copy(update={"pool_url": url})
    contact = Contact(PoolAddress(url, None), told.append)
    contact.look()
    with ThreadPoolExecutor(1) as threads, Asker(settings, 1, said.append, contact) as asker:
        batch = threads.submit(
            asker.ask, [REQUEST], "here.gguf", lambda _: None, RunContext(), lambda _: None
        )
        wait_until(lambda: f"waiting for {url}" in said)
        with ScriptedServer(port=port) as server:
            batch.result()
            wait_until(lambda: said[-1] == "")

    assert [entry.model for entry in server.log] == ["scripted"]
    assert [line.partition(" (")[0] for line in told] == [f"{url} does not answer",
                                                          f"{url} answers now"]  # fmt: skip


def test_who_waits_for_another_server_can_be_stopped(config: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        url = f"http://127.0.0.1:{found.getsockname()[1]}/v1"
    settings = config.model_copy(update={"pool_url": url})
    contact = Contact(PoolAddress(url, None), lambda _: None)
    with ThreadPoolExecutor(1) as threads:
        with Asker(settings, 1, contact=contact) as asker:
            batch = threads.submit(
                asker.ask, [REQUEST], "m", lambda _: None, RunContext(), lambda _: None
            )
            wait_until(lambda: contact.is_lost)
        with pytest.raises(CancelledError):
            batch.result(timeout=5)


def test_what_is_waited_for_is_told_until_it_is_loaded() -> None:
    loading = PoolStatus("", 1, "loading", "/models/big.gguf", 0.42, 0, 16, 2)

    assert in_words(None) == "starting the model"
    assert in_words(replace(loading, state="idle")) == "starting the model"
    assert in_words(loading) == "loading big.gguf, 42%"
    assert in_words(replace(loading, state="ready")) == ""
