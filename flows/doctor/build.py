"""The compiler, the CPU, the GPU, and whether the built llama.cpp makes use of them."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from flows.doctor.findings import Finding, failed, ok, warning
from flows.doctor.system import ask, install_command
from tasks.settings import PROJECT_ROOT, Settings

_REBUILD = f"rm -f {PROJECT_ROOT}/.venv/.llama-build && make install"
# Features as llama.cpp calls them, by what the system calls them; AMX at 3.9 times the speed.
_FEATURES: Mapping[str, str] = {
    "avx2": "AVX2", "fma": "FMA", "f16c": "F16C", "avx512f": "AVX512", "avx512_vnni": "AVX512_VNNI",
    "avx512_bf16": "AVX512_BF16", "amx_int8": "AMX_INT8",
    "asimd": "NEON", "asimddp": "DOTPROD", "i8mm": "MATMUL_INT8", "sve": "SVE",
}  # fmt: skip
_PROBE_S = 15  # on a busy machine; half a second on another
_TOO_SLOW = 124  # timeout(1)'s status
_DEMO = PROJECT_ROOT / "data" / "models" / "lectern-demo-q8_0.gguf"
_probing = threading.Lock()


def compiler(settings: Settings) -> Iterator[Finding]:
    """The programs that build llama.cpp; once it is built, they are needed for updates alone."""
    needed = failed if _llama_version() is None else warning
    for program, package in (("c++", "compiler"), ("cmake", "cmake"), ("make", "make")):
        said = ask(program, "--version")
        if said is None:
            yield needed(program, "not found: llama.cpp can't be built", install_command(package))
        else:
            yield ok(program, said.splitlines()[0])


def llama(settings: Settings) -> Iterator[Finding]:
    """Whether llama.cpp is there, was built for this CPU, and computes."""
    cpu = cpu_features()
    known = [name for flag, name in _FEATURES.items() if flag in cpu]
    yield ok("CPU", f"{_cpu_name()}: {', '.join(known) or 'nothing that llama.cpp makes use of'}")
    installed = _llama_version()
    if installed is None:
        yield failed("llama.cpp", "llama-cpp-python is not installed", "make install")
        return
    status, lines, error = _probe()
    if status == _TOO_SLOW and not lines:
        yield warning("llama.cpp", f"{installed}, not tried: the machine is too busy, or it hangs")
        return
    if not lines:
        yield failed("llama.cpp", f"{installed}, but it can't be loaded: {error}", _REBUILD)
        return
    about = json.loads(lines[0])
    built = set(re.findall(r"(\w+) = 1", about["features"]))
    yield _built_for(cpu, built, about["version"])
    if len(lines) > 1:
        yield ok("computing", "a token of the demo model")
    elif _DEMO.exists():
        yield _does_not_compute(status, error, cpu, built)
    else:
        yield warning("computing", "not tried: the demo model is missing", f"git checkout {_DEMO}")


def gpu(settings: Settings) -> Iterator[Finding]:
    """Whether there is a GPU, and the build makes use of it."""
    found, flag = _gpu()
    lines = _probe()[1]
    offloads = bool(lines) and json.loads(lines[0])["gpu"]
    if found and lines and not offloads:
        yield warning(
            "GPU", f"{found}, but llama.cpp was built without it", f"CMAKE_ARGS={flag} make install"
        )
    elif found:
        yield ok("GPU", f"{found}, used by llama.cpp" if offloads else found)
    elif offloads:
        yield warning("GPU", "llama.cpp was built for one, but none is found", "nvidia-smi")
    else:
        yield ok("GPU", "none found; the CPU does the work")


def cpu_features() -> set[str]:
    """Return the CPU's features by the names that Linux has for them."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ask("sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features") or ""
        if platform.machine() == "arm64":  # Apple's all have these
            return {"asimd", "asimddp"}
        return set(text.lower().replace("avx1.0", "avx").split())
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return set(found[1].split()) if found else set()


def _built_for(cpu: set[str], built: set[str], version: str) -> Finding:
    missing = [name for flag, name in _FEATURES.items() if flag in cpu and name not in built]
    foreign = [name for flag, name in _FEATURES.items() if flag not in cpu and name in built]
    used = [name for name in _FEATURES.values() if name in built]
    what = f"{version}, built with {', '.join(used) or 'no CPU features'}"
    if foreign and not missing:
        problem = f"{what}; this CPU has no {', '.join(foreign)}: it was built on another machine"
        return failed("llama.cpp", problem, _REBUILD)
    if missing:
        problem = f"{what}; this CPU also has {', '.join(missing)}: it may read far quicker"
        return warning("llama.cpp", problem, _REBUILD)
    return ok("llama.cpp", what)


def _does_not_compute(status: int, error: str, cpu: set[str], built: set[str]) -> Finding:
    if status == -signal.SIGILL and "AMX_INT8" in built and "amx_int8" in cpu:
        problem = "llama.cpp dies: gcc before 13 has miscompiled its AMX code"
        return failed("computing", problem, f"{_REBUILD}   (it works around that)")
    if status == -signal.SIGILL:
        problem = "llama.cpp dies of an instruction that this CPU lacks"
        return failed("computing", problem, f"CMAKE_ARGS=-DGGML_NATIVE=OFF sh -c '{_REBUILD}'")
    if status == _TOO_SLOW:
        return warning("computing", f"not within {_PROBE_S:.0f} s: the machine is busy, or stuck")
    return failed("computing", f"llama.cpp fails: {error or f'status {status}'}", _REBUILD)


def _probe() -> tuple[int, list[str], str]:
    """Return the exit status of the probe, its lines, and the last line of what went wrong."""
    with _probing:  # else the cache lets two begin at once
        return _probed()


@cache
def _probed() -> tuple[int, list[str], str]:
    command = [sys.executable, "-m", "tasks.pool.build", *([str(_DEMO)] if _DEMO.exists() else [])]
    try:
        done = subprocess.run(
            command, cwd=PROJECT_ROOT, capture_output=True, timeout=_PROBE_S, check=False
        )
    except subprocess.TimeoutExpired as slow:
        return _TOO_SLOW, (slow.stdout or b"").decode().splitlines(), "it takes too long"
    error = done.stderr.decode(errors="replace").strip().splitlines()
    return done.returncode, done.stdout.decode().splitlines(), error[-1] if error else ""


def _gpu() -> tuple[str, str]:
    """Return the GPU that is found and what llama.cpp's build calls it; "" for none."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "Apple's, by Metal", "-DGGML_METAL=on"
    cards = (ask("nvidia-smi", "-L") or "").strip().splitlines()
    if cards:
        return re.sub(r" \(UUID.*", "", cards[0]), "-DGGML_CUDA=on"
    if Path("/dev/nvidia0").exists():
        return "NVIDIA's (nvidia-smi does not answer)", "-DGGML_CUDA=on"
    if Path("/dev/kfd").exists():
        return "AMD's, by ROCm", "-DGGML_HIP=on"
    if Path("/dev/dri/renderD128").exists() and shutil.which("vulkaninfo"):
        return "one that Vulkan may use", "-DGGML_VULKAN=on"
    return "", ""


def _llama_version() -> str | None:
    try:
        return importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return (ask("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()).strip()
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()
