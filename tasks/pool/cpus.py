"""How many processors this process may use."""

from __future__ import annotations

import sys

import psutil


def usable_cpus() -> int:
    """Return the logical processors that this process may run on."""
    if sys.platform == "linux":
        return len(psutil.Process().cpu_affinity())
    return psutil.cpu_count() or 1


def physical_cores() -> int:
    """Return the physical cores this process may use: a second thread on one only costs."""
    return max(1, min(psutil.cpu_count(logical=False) or 1, usable_cpus()))
