"""Whether another server answers, told in one line whenever that changes.

Owns the first look at it, and those lines. Whoever asks it tells here how that went.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from tasks.errors import InferenceError
from tasks.models.elsewhere import authorization, base_of, is_local
from tasks.pool.lifecycle import PoolAddress

PATIENCE_S = 60.0
_LOOK_S = 2.0
_BREAK_S = 1.0  # a connection may break; a server that is gone stays away for so long
_UNFIT = (ValueError, httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_SET_IT = (
    "Set LECTERN_POOL_URL to one like http://127.0.0.1:8080/v1, and LECTERN_POOL_API_KEY to a "
    "single line"
)


class Contact:
    """The contact to one server. Its methods may be called from any thread, one at a time.

    Args:
        tell: hears that the server does not answer, and that it does again.
    """

    def __init__(self, address: PoolAddress, tell: Callable[[str], None]) -> None:
        self.url, self._key, self._tell = address.url, address.api_key, tell
        self.is_lost = False
        self._silent_since: float | None = None

    def look(self) -> None:
        """See whether the server is there, which takes about two seconds at most.

        Raises:
            InferenceError: to such an address, or with such a key, nothing can be sent.
        """
        url, headers = f"{base_of(self.url)}/models", authorization(self._key)
        try:
            _ = urlsplit(self.url).port  # httpx lets any number pass
            httpx.get(url, headers=headers, timeout=_LOOK_S, trust_env=not is_local(self.url))
        except httpx.ReadTimeout:
            pass  # it is there, and busy
        except _UNFIT as error:
            problem = "no request can be sent to this address, or with its key"
            raise InferenceError(self.url, problem, _SET_IT) from error
        except httpx.TransportError as error:
            self._lose(error)

    def failed(self, error: httpx.TransportError) -> None:
        """Hear that a request did not come through."""
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        if now - self._silent_since >= _BREAK_S:
            self._lose(error)

    def answered(self) -> None:
        """Hear that the server has answered, whatever it said."""
        self._silent_since = None
        if self.is_lost:
            self.is_lost = False
            self._tell(f"{self.url} answers now")

    def _lose(self, error: httpx.TransportError) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._tell(
                f"{self.url} does not answer ({why(error)}); requests keep trying it for "
                f"{PATIENCE_S:.0f} s. See whether it runs; LECTERN_POOL_URL says where it is"
            )


def why(error: httpx.TransportError) -> str:
    """Return why a server was not reached, in the system's own words where it said some."""
    words, cause = "", _cause(error)
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:  # of a name that is not known it is negative
            words = os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)
        cause = _cause(cause)
    if isinstance(error, httpx.TimeoutException):
        return words or "no answer in time"
    if isinstance(error, httpx.LocalProtocolError):
        return "no request can be made of it"  # its own text may hold the key
    return words or str(error).rstrip(".") or type(error).__name__


def _cause(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):  # of a host with several addresses
        return error.exceptions[0]
    return error.__cause__ or error.__context__
