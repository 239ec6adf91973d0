"""The signals that stop a command."""

from __future__ import annotations

import signal
import subprocess
import sys

from tasks.settings import PROJECT_ROOT

LOSING = """
import os, signal
from flows.stopping import Stopping

class Callback:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(100))

stopping = Stopping()
Callback()
print("it goes on", flush=True)
stopping.check()
print("it was never stopped")
"""


def test_a_signal_that_comes_in_a_callback_of_python_is_not_lost() -> None:
    """Python prints an exception there and drops it; importing has many such callbacks."""
    done = subprocess.run(
        [sys.executable, "-c", LOSING], cwd=PROJECT_ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert done.stdout == "it goes on\n"
    assert done.returncode == -signal.SIGINT
