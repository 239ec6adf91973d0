"""What the control groups of this process leave it of memory, on Linux, in versions 1 and 2.

Owns where the kernel says so (https://docs.kernel.org/admin-guide/cgroup-v2.html and
.../cgroup-v1/memory.html). Elsewhere, and where nothing can be read, there are no groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TREE = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A group with a limit, in bytes; `cached` is what it holds of files and can give up."""

    limit: int
    used: int
    cached: int

    @property
    def left(self) -> int:
        return self.limit - self.used + self.cached


def memory_groups(own: Path = _OWN, tree: Path = _TREE) -> Iterator[MemoryGroup]:
    """Yield the groups with a limit that this process is in, the innermost first."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            root = tree / "memory" if controllers else tree
            inner = root / group.lstrip("/")
            for folder in (inner, *inner.parents):
                if folder.is_relative_to(root) and (found := _read(folder, bool(controllers))):
                    yield found


def _read(folder: Path, is_v1: bool) -> MemoryGroup | None:
    names = ("limit_in_bytes", "usage_in_bytes") if is_v1 else ("max", "current")
    try:
        limit, used = (int((folder / f"memory.{name}").read_text()) for name in names)
        statistics = (folder / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # no limit, or no such group from within a container
        return None
    key = "total_cache" if is_v1 else "file"
    cached = sum(
        int(n) for name, _, n in (line.partition(" ") for line in statistics) if name == key
    )
    return MemoryGroup(limit, used, cached)
