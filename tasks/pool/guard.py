"""What stands before every route: who may ask, from where, and how much.

Pure ASGI, so that it sees every byte. Refuses foreign Host headers (a web page whose name
was pointed at 127.0.0.1), missing keys and large bodies; and counts what is going on, for
the idle time. Knows nothing of models.
"""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.pool.api import ApiError

MAX_BODY_BYTES = 16 << 20
_HOSTS = frozenset({"127.0.0.1", "localhost"})
_OPEN_PATHS = frozenset({"/health"})
_IDLE_PATHS = frozenset({"/health", "/metrics"})  # looking at it does not keep it alive


@dataclass
class Activity:
    """How many requests are open, and when there was last one."""

    open: int = 0
    last: float = field(default_factory=time.monotonic)

    @property
    def idle_s(self) -> float:
        return 0.0 if self.open else time.monotonic() - self.last


class Guard:
    """Let through what is allowed; answer the rest with an error."""

    def __init__(self, app: ASGIApp, key: str, activity: Activity) -> None:
        self._app = app
        self._key = key.encode()
        self._activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        counted = scope["path"] not in _IDLE_PATHS
        self._activity.open += counted
        try:
            self._check(scope["path"], Headers(scope=scope))
            await self._app(scope, _limited(receive), send)
        except ApiError as error:
            await JSONResponse(error.json(), error.status)(scope, receive, send)
        finally:
            self._activity.open -= counted
            if counted:
                self._activity.last = time.monotonic()

    def _check(self, path: str, headers: Headers) -> None:
        if headers.get("host", "").rsplit(":", 1)[0].lower() not in _HOSTS:
            raise ApiError(403, "invalid_host", "only 127.0.0.1 and localhost are served")
        given = headers.get("authorization", "").removeprefix("Bearer ").encode()
        if path not in _OPEN_PATHS and not hmac.compare_digest(given, self._key):
            raise ApiError(401, "invalid_api_key", "the key is missing or wrong")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            raise _too_large()


def _limited(receive: Receive) -> Receive:
    """Count a body's bytes as they come: a chunked one does not say its length."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            raise _too_large()
        return message

    return counted


def _too_large() -> ApiError:
    return ApiError(413, "too_large", f"a request may have {MAX_BODY_BYTES >> 20} MiB")
