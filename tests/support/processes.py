"""Processes as tests look for them: others begin and end while they are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import psutil


def running(program: str, processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those of some processes that live and run a program or module, by its name."""
    found = []
    for each in processes:
        with suppress(psutil.Error):  # it has ended meanwhile
            is_it = any(part.rpartition("/")[2] == program for part in each.cmdline())
            if is_it and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found
