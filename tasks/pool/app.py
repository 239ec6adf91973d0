"""The pool's HTTP server: its routes, what stands before them, and how errors are told.

What the routes do is in tasks.pool.front; who may ask, in tasks.pool.guard.
"""

from __future__ import annotations

from collections.abc import Iterator
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
        Route("/v1/models/{name:path}", front.model),
        Route("/metrics", front.metrics),
        Route("/health", front.health),
    ]
    handlers = {ApiError: _error, HTTPException: _error}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), key, activity)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: tasks.pool.server ends things in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(front: Front, key: str, activity: Activity) -> uvicorn.Server:
    """Return a server of the app, to be given its sockets."""
    return _Server(
        uvicorn.Config(
            create_app(front, key, activity),
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_keep_alive=75,  # longer than clients keep theirs, so none meets a closed one
            timeout_graceful_shutdown=_SHUTDOWN_S,
        )
    )
