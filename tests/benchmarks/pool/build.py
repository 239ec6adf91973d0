"""Build llama-server and llama-batched-bench from llama-cpp-python's own source distribution.

So the peers are of the very llama.cpp that the pool runs, built with the same flags
(deployments/install.sh keeps them in .venv/.llama-build). What is there is not made again; a
build that was interrupted goes on where it was.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.settings import PROJECT_ROOT

from .places import Places

SERVER, BATCHED_BENCH = "llama-server", "llama-batched-bench"
PROGRAMS = (SERVER, BATCHED_BENCH)
_BUILT_WITH = PROJECT_ROOT / ".venv" / ".llama-build"
_LOCK = PROJECT_ROOT / "requirements.lock"
_WITHOUT = ("LLAMA_BUILD_UI", "LLAMA_USE_PREBUILT_UI", "LLAMA_CURL", "LLAMA_OPENSSL")
_PERCENT = re.compile(r"^\[ *(\d+)%\]")
Progress = Callable[[str, float], None]
"""progress(what, share done)"""


class BuildError(RuntimeError):
    """A step failed; the message names its log."""


def build_programs(places: Places, progress: Progress) -> None:
    """Make the programs that are not there: about eight minutes on two cores.

    Raises:
        BuildError: a step fails.
    """
    if all(places.program(name).exists() for name in PROGRAMS):
        return
    source = _unpack(_fetch(places, progress), progress)
    _run(places, "configure", _configure(source, places.build))
    cores = str(os.cpu_count() or 1)
    command = ["cmake", "--build", str(places.build), "--config", "Release", "-j", cores]
    what = f"building {' and '.join(PROGRAMS)}"

    def hear(line: str) -> None:
        if at := _PERCENT.match(line):
            progress(what, int(at[1]) / 100)

    _run(places, "build", [*command, "--target", *PROGRAMS], hear)


def _fetch(places: Places, progress: Progress) -> Path:
    """Return the source distribution, as the lock file names it and checked by its hashes."""
    archives = sorted(places.source.glob("llama_cpp_python-*.tar.gz"))
    if archives:
        return archives[-1]
    progress("fetching llama-cpp-python's source", 0)
    places.source.mkdir(parents=True, exist_ok=True)
    wanted = places.source / "requirements.txt"
    entry = re.search(r"^llama-cpp-python==.*(?:\n .*)*", _LOCK.read_text(), re.MULTILINE)
    assert entry
    wanted.write_text(entry[0] + "\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    options = ["--no-binary", "llama-cpp-python", "--no-deps", "--require-hashes"]
    _run(places, "fetch", [*pip, *options, "-r", str(wanted), "-d", str(places.source)])
    return next(places.source.glob("llama_cpp_python-*.tar.gz"))


def _unpack(archive: Path, progress: Progress) -> Path:
    """Return llama.cpp's folder in it."""
    folder = archive.parent / archive.name.removesuffix(".tar.gz")
    if not folder.exists():
        progress("unpacking it", 0)
        partial = archive.parent / "partial"
        with tarfile.open(archive) as tar:
            tar.extractall(partial, filter="data")
        (partial / folder.name).replace(folder)
    return folder / "vendor" / "llama.cpp"


def _configure(source: Path, build: Path) -> list[str]:
    _, _, flags = _BUILT_WITH.read_text().partition(" ") if _BUILT_WITH.exists() else ("", "", "")
    return [
        *("cmake", "-S", str(source), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release"),
        *(f"-D{name}=OFF" for name in _WITHOUT),
        *shlex.split(flags),
    ]


def _run(
    places: Places,
    name: str,
    command: Sequence[str],
    hear: Callable[[str], None] = lambda _: None,
) -> None:
    log = places.log(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as kept,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            kept.write(line)
            hear(line)
    if process.returncode:
        raise BuildError(f"{shlex.join(command[:3])} ended with {process.returncode}: see {log}")
