"""Run a module as a child that ends when its parent does.

`python -m flows.child PARENT_PID MODULE [ARGUMENTS…]` is `python -m MODULE [ARGUMENTS…]`, but
gets SIGTERM once its parent is gone. A parent that is killed outright can't stop its children,
so they look for themselves.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time


def main(parent: int, module: str, arguments: list[str]) -> None:
    """Become `module`, for as long as the process `parent` lives."""
    # A shell starts background jobs with SIGINT ignored, and Prefect's worker stops itself by one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
