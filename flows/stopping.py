"""Stopping a command before its end: Ctrl-C, SIGTERM, or a terminal that is closed.

Owns what these signals do in a command. The first raises KeyboardInterrupt, wherever the main
thread is, so that what is in flight is cancelled and everything is left in order; libraries may
turn it into an error of their own (pydantic does), so `told` counts more than the exception. A
second one ends the process on the spot: its children notice, and a run that it leaves behind is
marked by the next command (`flows.killed`).
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED = "Stopped. The same command goes on where this one was."


class Stopping:
    """The signals of one command, from its creation on."""

    def __init__(self) -> None:
        self.number: int = signal.SIGINT  # of the first that came; cancelling in the UI is like it
        self.told = False
        # What whoever started us has ignored stays so: nohup does that.
        self._taken = [each for each in _STOPPING if signal.getsignal(each) != signal.SIG_IGN]
        self.take()

    @property
    def exit_code(self) -> int:
        """Return the exit status of a command that ends by the signal."""
        return 128 + self.number

    def take(self) -> None:
        """Handle the signals from now on, whoever has taken one of them in the meantime."""
        for number in self._taken:
            signal.signal(number, self._stop)

    def check(self) -> None:
        """Raise again what was lost: Python drops exceptions in some of its own callbacks."""
        if self.told:
            raise KeyboardInterrupt

    def take_second(self) -> None:
        """Handle the signals again; the first has come."""
        self.told = True
        self.take()

    def _stop(self, number: int, frame: object) -> None:
        if self.told:
            show_cursor = "\x1b[?25h\n" if sys.stderr.isatty() else ""
            with suppress(OSError):  # the terminal may be gone
                os.write(sys.stderr.fileno(), f"{show_cursor}{STOPPED}\n".encode())
            os._exit(128 + number)
        self.told, self.number = True, number
        raise KeyboardInterrupt
