"""A child process that answers lines with lines, for work on what strangers wrote.

Owns its life: it starts with the first question, ends with this object or this process (its
standard input closes), and is started anew if it dies. Does not know what is asked.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence

from tasks.models.vocabulary import child_environment


class LineChild:
    """`python -m module arguments…`, asked by one thread at a time.

    Args:
        greeting: what it is told first, each time that it is started.
    """

    def __init__(self, module: str, *arguments: str, greeting: bytes = b"") -> None:
        self._command: Sequence[str] = (sys.executable, "-m", module, *arguments)
        self._greeting = greeting
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def ask(self, question: bytes) -> bytes:
        """Return the answer to a line; nothing if the child died twice, or used up its time."""
        with self._lock:
            answer = self._ask(question)
            if not answer and self._child and self._child.returncode != -signal.SIGPROF:
                answer = self._ask(question)
            return answer

    def _ask(self, question: bytes) -> bytes:
        if self._child is None or self._child.poll() is not None:
            self._child = self._start()
            question = self._greeting + question
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(question)
            child.stdin.flush()
            answer = child.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer.endswith(b"\n"):  # it died, perhaps while it wrote
            _end(child)
            return b""
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            start_new_session=True,  # Ctrl-C is for us; it ends with its pipe
        )
        weakref.finalize(self, _end, child)
        return child


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()  # it holds nothing
    child.wait()
    for pipe in (child.stdin, child.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except BrokenPipeError:  # what was still to be written
            continue
