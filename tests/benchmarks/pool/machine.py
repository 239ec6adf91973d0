"""What the machine is, and what else it did while something was measured."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil

from tasks.pool.cpus import physical_cores

_CPU_INFO = Path("/proc/cpuinfo")
_KINDS = ("amx_int8", "avx512_vnni", "avx512f", "avx_vnni", "avx2", "i8mm", "asimddp")


def describe() -> dict[str, str]:
    """Say what figures depend on; nothing that tells whose machine it is."""
    memory = psutil.virtual_memory().total / 2**30
    return {
        "CPU": f"{_cpu_model()}, {physical_cores()} cores ({', '.join(_features())})",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "llama-cpp-python": version("llama-cpp-python"),
    }


def _cpu_model() -> str:
    return _cpu_field("model name") or platform.processor() or platform.machine()


def _features() -> list[str]:
    flags = (_cpu_field("flags") or _cpu_field("Features")).split()
    return [kind for kind in _KINDS if kind in flags] or ["features not known"]


def _cpu_field(name: str) -> str:
    if not _CPU_INFO.exists():
        return ""
    lines = (line.partition(":") for line in _CPU_INFO.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


@dataclass
class Disturbance:
    """Shares of the machine's processor time.

    Attributes:
        others: taken by processes that are not ours.
        stolen: that the host gave to other machines.
        load: the load average when the measurement began.
        own_s: seconds of the processor that we had.
        pids: ours, with their children; the seconds of the processor that each had before.
    """

    others: float = 0.0
    stolen: float = 0.0
    load: float = 0.0
    own_s: float = 0.0
    pids: dict[int, float] = field(default_factory=dict)


@contextmanager
def watched(*pids: int) -> Iterator[Disturbance]:
    """Fill in a Disturbance at the end of a block.

    Args:
        pids: of processes that are ours beside this one and the children that end meanwhile. Those
            that the block starts it adds to the Disturbance's, with 0 seconds.
    """
    seen = Disturbance(load=os.getloadavg()[0], pids={pid: _cpu_of(pid) for pid in pids})
    before, ours = psutil.cpu_times(), _own_cpu()
    yield seen
    after = psutil.cpu_times()
    total = sum(after) - sum(before)
    ours = _own_cpu() - ours + sum(_cpu_of(pid) - had for pid, had in seen.pids.items())
    seen.own_s = ours
    if total > 0:
        idle = _idle(after) - _idle(before)
        seen.stolen = (getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)) / total
        seen.others = max(0.0, 1 - seen.stolen - (idle + ours) / total)


def _idle(times: object) -> float:
    return sum(getattr(times, name, 0.0) for name in ("idle", "iowait"))


def _own_cpu() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _cpu_of(pid: int) -> float:
    """Return the seconds that a process and its children have had."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)
