"""Memory for speech: a pool that nobody asks gives back what its model takes."""

from __future__ import annotations

import logging

import psutil

from tasks.pool.lifecycle import pool_status, stop_pool
from tasks.settings import Settings

_ROOM = 5 << 30  # bytes: the largest Whisper, its batch, and some for the system

log = logging.getLogger(__name__)


def make_room(settings: Settings) -> None:
    """Stop an idle pool if there may not be enough memory beside it; it starts again when needed.

    Raises:
        InferenceError: it does not end.
    """
    if settings.pool_url or psutil.virtual_memory().available >= _ROOM:
        return
    pool = pool_status(settings)
    if pool and not pool.in_use:
        log.info("the model server is stopped: recognising speech may need its memory")
        stop_pool(settings)
