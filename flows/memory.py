"""Memory for speech: a pool that nobody asks gives back what its model takes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from tasks.media.whisper_models import SpeechModel, free_mb
from tasks.pool.lifecycle import pool_status, stop_pool
from tasks.settings import Settings

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


def make_room(settings: Settings, model: SpeechModel, go_on: Callable[[], None]) -> None:
    """Stop the pool if a speech model has not enough memory beside it; wait while other runs use
    it. It starts again when it is needed.

    Args:
        go_on: called again and again while waiting; may raise to end it.

    Raises:
        InferenceError: it does not end.
    """
    while free_mb(model.device) < model.need_mb:
        pool = None if settings.pool_url else pool_status(settings)
        if pool is None:
            return  # somebody else has the memory; whoever loads the model says so
        if not pool.in_use:
            log.info("the model server is stopped: recognising speech needs its memory")
            stop_pool(settings, go_on=go_on)
            return
        go_on()
        time.sleep(_LOOK_EVERY_S)
