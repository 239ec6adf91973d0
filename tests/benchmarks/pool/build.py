"""Build llama-server and llama-batched-bench from llama-cpp-python's own source distribution.

So the peers are of the very llama.cpp that the pool runs, built with the same flags
(deployments/install.sh keeps them in .venv/.llama-build). What is there is not made again; a
build that was interrupted goes on where it was. The tests build their llama-server faster, and
slower at work: see support.llama_server.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from support.llama_source import BUILT_WITH, fetch, run, unpack

from .places import Places

SERVER, BATCHED_BENCH = "llama-server", "llama-batched-bench"
PROGRAMS = (SERVER, BATCHED_BENCH)
_WITHOUT = ("LLAMA_BUILD_UI", "LLAMA_USE_PREBUILT_UI", "LLAMA_CURL", "LLAMA_OPENSSL")
_PERCENT = re.compile(r"^\[ *(\d+)%\]")
Progress = Callable[[str, float], None]
"""progress(what, share done)"""


def build_programs(places: Places, progress: Progress) -> None:
    """Make the programs that are not there: about eight minutes on two cores.

    Raises:
        BuildError: a step fails.
    """
    if all(places.program(name).exists() for name in PROGRAMS):
        return
    progress("fetching llama-cpp-python's source", 0)
    archive = fetch(places.source, places.log("fetch"))
    progress("unpacking it", 0)
    run(_configure(unpack(archive), places.build), places.log("configure"))
    cores = str(os.cpu_count() or 1)
    command = ["cmake", "--build", str(places.build), "--config", "Release", "-j", cores]
    what = f"building {' and '.join(PROGRAMS)}"

    def hear(line: str) -> None:
        if at := _PERCENT.match(line):
            progress(what, int(at[1]) / 100)

    run([*command, "--target", *PROGRAMS], places.log("build"), hear)


def _configure(source: Path, build: Path) -> list[str]:
    _, _, flags = BUILT_WITH.read_text().partition(" ") if BUILT_WITH.exists() else ("", "", "")
    return [
        *("cmake", "-S", str(source), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release"),
        *(f"-D{name}=OFF" for name in _WITHOUT),
        *shlex.split(flags),
    ]
