"""The pool's front process. `python -m tasks.pool.server`

Owns the process's life: one for a home folder, gone after pool_idle_s without requests, on
SIGTERM and on Ctrl-C. The routes are in tasks.pool.front.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tasks.pool.api import ApiError
from tasks.pool.front import Front
from tasks.pool.guard import Activity, Guard
from tasks.pool.idle_tuning import IdleTuning
from tasks.pool.lifecycle import FOREVER, PoolFiles, hold_lock
from tasks.pool.supervisor import Supervisor
from tasks.settings import Settings, settings

log = logging.getLogger(__name__)

_RETRY_AFTER_S = 2
_SHUTDOWN_S = 5


async def _error(_request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = ApiError(error.status_code, "invalid_request", error.detail)
    assert isinstance(error, ApiError)
    headers = {"retry-after": str(_RETRY_AFTER_S)} if error.status in (429, 503) else None
    return JSONResponse(error.json(), error.status, headers=headers)


def create_app(front: Front, key: str, activity: Activity) -> Guard:
    """Return the whole ASGI app."""
    routes = [
        Route("/v1/chat/completions", front.chat, methods=["POST"]),
        Route("/v1/completions", front.completions, methods=["POST"]),
        Route("/tokenize", front.tokenize, methods=["POST"]),
        Route("/v1/models", front.models),
        Route("/metrics", front.metrics),
        Route("/health", front.health),
    ]
    handlers = {ApiError: _error, HTTPException: _error}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), key, activity)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: serve() has an order in which things end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(config: Settings, files: PoolFiles) -> None:
    """Serve until a signal comes, or nobody has asked for pool_idle_s."""
    key, activity = files.read_key(), Activity()
    supervisor = Supervisor(config.pool_queue_max)
    app = create_app(Front(config, key, supervisor), key, activity)
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_keep_alive=75,  # longer than clients keep theirs, so none meets a closed one
            timeout_graceful_shutdown=_SHUTDOWN_S,
        )
    )

    def end() -> None:
        supervisor.refuse_all("shutting_down", "the pool is stopping")
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    supervisor.start()
    watch = asyncio.create_task(_end_when_idle(config.pool_idle_s, activity, supervisor, end))
    tuning = asyncio.create_task(IdleTuning(config, activity, supervisor).run())
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    files.write_state(url, config)
    log.info("serving at %s", url)
    try:
        await server.serve(sockets=[listener])
    finally:
        files.remove_state()
        watch.cancel()
        tuning.cancel()
        await supervisor.stop()


async def _end_when_idle(
    idle_s: float, activity: Activity, supervisor: Supervisor, end: Callable[[], None]
) -> None:
    """Call end() when the pool is no longer used, or can no longer be."""
    assert supervisor.task is not None
    while activity.idle_s < idle_s and not supervisor.task.done():
        await asyncio.wait({supervisor.task}, timeout=max(0.05, idle_s - activity.idle_s))
    if supervisor.task.done():
        log.error("the supervisor failed", exc_info=supervisor.task.exception())
    end()


def main(*, wait: bool = False) -> int:
    """Run the pool in the foreground.

    Args:
        wait: for as long as another pool has this home; else the answer is then 1.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # until serve() has its own
    config = settings()
    files = PoolFiles(config.home)
    files.prepare()
    lock = hold_lock(files, FOREVER) if wait else hold_lock(files)
    if lock is None:
        print(f"Another pool runs with {files.home}; see `lectern pool status`.", file=sys.stderr)
        return 1
    asyncio.run(serve(config, files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
