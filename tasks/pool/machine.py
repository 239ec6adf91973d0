"""What a measured speed depends on, beside the model: this machine and this build of llama.cpp.

Owns telling them from others by a hash, without importing llama.cpp: the flows ask too.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from tasks.pool.cpus import usable_cpus

_TOLD = ("model name", "flags", "Features", "CPU part")  # of /proc/cpuinfo: x86 and arm


@cache
def machine() -> str:
    """Return a hash that changes with processor, usable cores, GPUs and llama.cpp's build."""
    parts = [platform.machine(), _processor(), str(usable_cpus()), *_gpus(), _build()]
    return sha256("\0".join(parts).encode()).hexdigest()


def _processor() -> str:
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return platform.processor()
    return "\n".join(line for line in first.splitlines() if line.startswith(_TOLD))


def _gpus() -> list[str]:
    """Return what tells the GPUs; a machine that names none in these places has none, or one."""
    found = [*Path("/sys/class/drm").glob("card*/device/device")]
    found += Path("/proc/driver/nvidia/gpus").glob("*/information")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return [*(path.read_text(errors="replace") for path in sorted(found)), visible]


def _build() -> str:
    """Return pip's list of the package's files, which has the hashes of the built libraries."""
    package = metadata.distribution("llama_cpp_python")
    return package.version + (package.read_text("RECORD") or "")
