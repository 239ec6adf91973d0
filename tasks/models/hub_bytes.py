"""The bytes of files on a hub, over as many connections and questions as it takes.

Owns when a hub is asked again: where a connection breaks, and where it is busy (Retry-After is
heeded). Knows no names and no cache.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar, cast

import httpx
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    parse_ratelimit_headers,
)

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

TRIES = 5  # in a row, that bring nothing
_BUSY = (
    httpx.codes.TOO_MANY_REQUESTS,
    httpx.codes.BAD_GATEWAY,
    httpx.codes.SERVICE_UNAVAILABLE,
    httpx.codes.GATEWAY_TIMEOUT,
)
_LONGEST_WAIT_S = 60


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Return what a question to the hub gives; while it is busy, ask again, TRIES times in all.

    A hub that can't be reached is not asked again.
    """
    for n_tried in range(1, TRIES):
        try:
            return ask()
        except OSError as error:  # as huggingface_hub's are
            if (wait_s := _wait_s(error, n_tried)) is None:
                raise
            log.warning("the hub is busy (%s); asking again in %d s", error, wait_s)
            time.sleep(wait_s)
    return ask()


def pieces(url: str, start: int, stop: int | None, size: int) -> Iterator[bytes]:
    """Yield the bytes of a file from start up to stop, as they come.

    Args:
        stop: None: to its end.
        size: of the file.

    Raises:
        OSError: TRIES connections in a row brought nothing.
        httpx.HTTPError: the hub refuses.
    """
    n_idle = 0
    while start < (stop or size):
        before, wait_s = start, 1.0
        try:
            for piece in _connection(url, start, stop, size):
                start += len(piece)
                yield piece
        except httpx.TransportError as error:
            level = logging.INFO if start > before else logging.WARNING
            log.log(level, "fetching %s: %s; going on from byte %d", url, error, start)
        except httpx.HTTPStatusError as error:
            asked_s = _wait_s(error, n_idle + 1)
            if asked_s is None or n_idle + 1 == TRIES:
                raise
            wait_s = asked_s
        n_idle = n_idle + 1 if start == before else 0
        if n_idle == TRIES:
            raise OSError(f"the connection broke {TRIES} times")
        if n_idle:
            time.sleep(wait_s)


def answer_of(error: BaseException | None) -> httpx.Response | None:
    """Return the answer that an error tells of, or the one behind it."""
    while error is not None:
        if (answer := getattr(error, "response", None)) is not None:
            return cast("httpx.Response", answer)  # or httpx2's, which is the same
        error = error.__cause__
    return None


def retry_after_s(answer: httpx.Response) -> float | None:
    """Return how long a hub asks to wait, in either header; None: it does not say."""
    limit = parse_ratelimit_headers(answer.headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    asked = str(answer.headers.get("Retry-After", ""))
    return float(asked) if asked.isdecimal() else None


def _connection(url: str, start: int, stop: int | None, size: int) -> Iterator[bytes]:
    """Yield what one connection brings of the bytes from start up to stop."""
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    headers["Range"] = f"bytes={start}-{stop - 1 if stop else ''}"
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=30) as answer:
        answer.raise_for_status()
        known = start if answer.status_code != httpx.codes.PARTIAL_CONTENT else 0
        missing = (stop or size) - start
        for piece in answer.iter_bytes():  # of no given size: those would be lost by a break
            new = piece[known:][:missing]  # a server that knows no ranges sends the whole
            known -= min(known, len(piece))
            missing -= len(new)
            if new:
                yield new
            if missing == 0:
                break


def _wait_s(error: Exception, n_tried: int) -> float | None:
    """Return how long to wait before a hub is asked again; None: that would not help."""
    answer = answer_of(error)
    if answer is None or answer.status_code not in _BUSY:
        return None
    asked_s = retry_after_s(answer)
    wait_s = 2.0 ** (n_tried - 1) if asked_s is None else asked_s
    return wait_s if wait_s <= _LONGEST_WAIT_S else None
