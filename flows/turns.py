"""Speech and the language model take turns: both want the whole memory, and all processors.

Knows nothing of either. Speech goes before what is asked later, since everything else waits for
what was said; but what waited during one recording is asked before the next one begins.
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
    """

    def __init__(self, go_on: Callable[[], None] = lambda: None) -> None:
        self._go_on = go_on
        self._changed = threading.Condition()
        self._speaking = False
        self._wanting = self._asking = 0
        self._waiting = 0  # who want to ask
        self._let_in = 0  # of those, who may before anybody speaks again

    @contextmanager
    def speech(self, make_room: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Recognise speech in this block: alone, after what is being asked.

        Args:
            make_room: called first, when nobody asks any more.
        """
        with self._changed:
            self._wanting += 1
            try:
                self._wait(lambda: not (self._speaking or self._asking or self._let_in))
                self._speaking = True
            finally:
                self._wanting -= 1
                self._changed.notify_all()
        try:
            make_room()
            yield
        finally:
            with self._changed:
                self._speaking = False
                self._let_in = self._waiting
                self._changed.notify_all()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask the language model in this block: with others, while there is no speech."""
        with self._changed:
            self._waiting += 1
            try:
                self._wait(lambda: not self._speaking and (self._let_in or not self._wanting))
                self._asking += 1
            finally:
                self._waiting -= 1
                self._let_in = max(0, self._let_in - 1)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._asking -= 1
                self._changed.notify_all()

    def _wait(self, is_free: Callable[[], object]) -> None:
        while not is_free():
            self._go_on()
            self._changed.wait(_LOOK_EVERY_S)
