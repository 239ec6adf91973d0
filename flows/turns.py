"""Speech and the language model take turns: both want the whole memory, and all processors.

Knows nothing of either. Speech goes first, since everything else waits for what was said.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOK_EVERY_S = 0.5


class Turns:
    """Who may work now; every method may be called from any thread.

    Args:
        go_on: asked while somebody waits; raises where nobody should wait any longer.
        make_room: called before speech begins, once nobody asks.
    """

    def __init__(
        self,
        go_on: Callable[[], None] = lambda: None,
        make_room: Callable[[], None] = lambda: None,
    ) -> None:
        self._go_on, self._make_room = go_on, make_room
        self._changed = threading.Condition()
        self._speaking = False
        self._wanting = self._asking = 0

    @contextmanager
    def speech(self) -> Iterator[None]:
        """Recognise speech in this block: alone, after what is being asked."""
        with self._changed:
            self._wanting += 1
            try:
                self._wait(lambda: not (self._speaking or self._asking))
                self._speaking = True
            finally:
                self._wanting -= 1
                self._changed.notify_all()
        try:
            self._make_room()
            yield
        finally:
            with self._changed:
                self._speaking = False
                self._changed.notify_all()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask the language model in this block: with others, while there is no speech."""
        with self._changed:
            self._wait(lambda: not (self._speaking or self._wanting))
            self._asking += 1
        try:
            yield
        finally:
            with self._changed:
                self._asking -= 1
                self._changed.notify_all()

    def _wait(self, is_free: Callable[[], bool]) -> None:
        while not is_free():
            self._go_on()
            self._changed.wait(_LOOK_EVERY_S)
