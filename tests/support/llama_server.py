"""A real llama-server: built beside the pool's own llama.cpp, and started on a free port.

`make llama-server` builds it, once for a version of llama-cpp-python, into .venv/llama-server/. It
takes the libraries that llama-cpp-python has built, so that it computes what the pool computes.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import httpx

sys.path.append(str(Path(__file__).parent.parent))  # it is a script too

from support.llama_source import BUILT_WITH, BuildError, fetch, run, unpack

from tasks.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / ".venv" / "llama-server"
PROGRAM = FOLDER / "llama-server"
_MADE_OF = FOLDER / "made-of"
_RECIPE = Path(__file__).parent / "llama_server_build"
_START_S = 60.0
_STOP_S = 20.0


def is_made() -> bool:
    """Tell whether the program is there, and of the llama.cpp that is installed."""
    return PROGRAM.exists() and _MADE_OF.exists() and _MADE_OF.read_text() == _source_of_it()


def make() -> None:
    """Build the program if need be: about two minutes of one core.

    Raises:
        BuildError: a step fails.
    """
    if is_made():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    source = unpack(fetch(FOLDER / "source", FOLDER / "fetch.log"))
    build, package = FOLDER / "build", find_spec("llama_cpp")
    assert package
    assert package.origin
    places = [f"-DLLAMA_CPP={source}", f"-DLIBRARIES={Path(package.origin).parent / 'lib'}"]
    run(["cmake", "-S", str(_RECIPE), "-B", str(build), *places], FOLDER / "configure.log")
    cores = str(os.cpu_count() or 1)
    run(["cmake", "--build", str(build), "-j", cores], FOLDER / "build.log")
    (build / PROGRAM.name).replace(PROGRAM)
    for folder in (build, source.parent.parent.parent):
        shutil.rmtree(folder)
    _MADE_OF.write_text(_source_of_it())


def _source_of_it() -> str:
    recipe = sha256((_RECIPE / "CMakeLists.txt").read_bytes()).hexdigest()
    return f"{BUILT_WITH.read_text() if BUILT_WITH.exists() else ''}\n{recipe}\n"


@contextmanager
def llama_server(model: Path, log: Path, *, n_seq: int, n_ctx: int) -> Iterator[str]:
    """Run llama-server; return its URL.

    Args:
        n_seq: slots. n_ctx: tokens that each of them holds.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [
        *(str(PROGRAM), "--model", str(model), "--host", "127.0.0.1", "--port", str(port)),
        *("--offline", "--jinja", "--no-context-shift", "--threads", "1"),
        *("--parallel", str(n_seq), "--ctx-size", str(n_seq * n_ctx)),
    ]
    with log.open("wb") as heard:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=heard, stderr=heard)
        try:
            _wait(process, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(url, trust_env=False).is_success:
                return
        time.sleep(0.02)
    raise AssertionError(f"llama-server does not start:\n{log.read_text(errors='replace')[-2000:]}")


if __name__ == "__main__":
    try:
        make()
    except BuildError as error:
        sys.exit(str(error))
