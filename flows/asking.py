"""One client of the model server for all batches of a run, on an event loop of its own.

Batches run in threads; their requests meet here, and share the seats at the server. The pool is
started, or found, only when a batch first has something to ask; until the first answer comes,
what it does is told; of another server, that it is waited for, whenever it is. Leaving the block
cancels what is in flight, here and in the pool, also the start of a pool. Knows nothing of Prefect.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import PurePath
from types import TracebackType
from typing import Any, Self, TypeVar

from tasks.generate.ask import RunContext, ask
from tasks.models.elsewhere import name_there
from tasks.pool.client import PoolClient
from tasks.pool.contact import Contact
from tasks.pool.lifecycle import PoolAddress, PoolStatus, ensure_pool, pool_status, reconnector
from tasks.records import Generation, Request
from tasks.settings import Settings

T = TypeVar("T")

_LOOK_EVERY_S = 1.0


class Asker:
    """Asks batches of requests, from any thread, through one client.

    Args:
        at_once: requests with the server; of our pool, for each of its workers.
        say: hears what is waited for, and then "".
        contact: to another server than our pool.
    """

    def __init__(
        self,
        settings: Settings,
        at_once: int,
        say: Callable[[str], None] = lambda text: None,
        contact: Contact | None = None,
    ) -> None:
        self._settings, self._say, self._contact = settings, say, contact
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connecting = threading.Lock()
        self._starting = threading.Lock()
        self._closed = False
        self._client: PoolClient | None = None
        self._names: dict[str, str] = {}  # of models at another server
        self._answered = asyncio.Event()
        # For all batches together: what waits here has not begun, and can't time out.
        self._seats = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._n_workers = 1  # that there are seats for
        self._workers: set[str] = set()  # that have answered
        self._making_room: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._starting:
            self._closed = True
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ask(
        self,
        requests: Sequence[Request],
        model: str,
        record: Callable[[Generation], None],
        context: RunContext,
        on_done: Callable[[Generation], None],
        go_on: Callable[[], bool] = lambda: True,
    ) -> list[Generation]:
        """Return when every request has an answer, or a failure, on record, but for those that are
        not begun since `go_on` says no; see tasks.generate.ask.

        Raises:
            InferenceError, ModelError: the model can't be asked at all.
        """

        def done(generation: Generation) -> None:
            self._answered.set()
            self._answered_by(generation.worker)
            on_done(generation)

        client = self._connected()
        return self._run(
            ask(
                requests,
                client,
                self._name_there(client, model),
                record,
                context=context,
                seats=self._seats,
                on_done=done,
                go_on=go_on,
            )
        )

    def _name_there(self, client: PoolClient, model: str) -> str:
        """Return the model's name at the server: another one's may differ from the local file's.
        It is known when that one is reached."""
        if not self._settings.pool_url:
            return model
        with self._connecting:
            if model not in self._names:
                self._run(client.reach())
                self._names[model] = name_there(self._settings, model)
            return self._names[model]

    def _connected(self) -> PoolClient:
        with self._connecting:
            if self._client is None:
                if not self._settings.pool_url:
                    self._say("starting the model server")
                address = ensure_pool(self._settings, self._go_on)
                self._client = self._run(self._open(address))
                tell = self._tell_of(self._contact) if self._contact else self._tell()
                asyncio.run_coroutine_threadsafe(tell, self._loop)
            return self._client

    def _go_on(self) -> None:
        """Let a thread go on that waits for the pool, unless nobody waits for the answers."""
        if self._closed:
            raise CancelledError

    async def _tell(self) -> None:
        """Say what the pool does until the first answer is there; another server does not tell."""
        while not (self._answered.is_set() or self._settings.pool_url):
            self._say(in_words(await asyncio.to_thread(pool_status, self._settings)))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._answered.wait(), _LOOK_EVERY_S)
        self._say("")

    async def _tell_of(self, contact: Contact) -> None:
        """Say when another server is waited for."""
        while True:
            self._say(f"waiting for {contact.url}" if contact.is_lost else "")
            await asyncio.sleep(_LOOK_EVERY_S)

    def _answered_by(self, worker: str) -> None:
        """Note who has answered; see that another worker of our pool has as much to do."""
        if self._workers and worker not in self._workers and not self._settings.pool_url:
            self._making_room = asyncio.ensure_future(self._make_room())
        self._workers.add(worker)

    async def _make_room(self) -> None:
        """Send so many more requests as there are further workers: they come one after another, and
        the pool alone knows how many there will be."""
        pool = await asyncio.to_thread(pool_status, self._settings)
        n_workers = len(pool.workers) if pool else 0
        while self._n_workers < n_workers:
            self._n_workers += 1
            for _ in range(self._at_once):
                self._seats.release()

    async def _open(self, address: PoolAddress) -> PoolClient:
        again = reconnector(self._settings, self._go_on)
        client = PoolClient(address.url, address.api_key, reconnect=again, contact=self._contact)
        return await client.__aenter__()

    async def _close(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._client is not None:
            await self._client.__aexit__(None, None, None)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._starting:  # what starts before the end is cancelled by it; nothing starts after
            if self._closed:
                work.close()
                raise CancelledError
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()


def in_words(pool: PoolStatus | None) -> str:
    """Return what is waited for: "loading demo, 42%"; "" where nothing but the answer is."""
    if pool is None or pool.state == "idle":
        return "starting the model"
    name = PurePath(pool.model).name
    return f"loading {name}, {pool.progress:.0%}" if pool.state == "loading" else ""
