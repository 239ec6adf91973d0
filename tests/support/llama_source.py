"""llama.cpp's source as it is inside llama-cpp-python's source distribution, for what is built of
it: the programs of `make bench`, and llama-server for the tests.

So these are of the very llama.cpp that the pool runs. Knows nothing of how they are built.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.settings import PROJECT_ROOT

BUILT_WITH = PROJECT_ROOT / ".venv" / ".llama-build"
"""The version and the flags that llama-cpp-python was built with; deployments/install.sh keeps
them."""
_LOCK = PROJECT_ROOT / "requirements.lock"


class BuildError(RuntimeError):
    """A step failed; the message names its log."""


def fetch(folder: Path, log: Path) -> Path:
    """Return the archive in a folder; fetched as the lock file names it, checked by its hashes.

    Raises:
        BuildError: it can't be fetched.
    """
    archives = sorted(folder.glob("llama_cpp_python-*.tar.gz"))
    if archives:
        return archives[-1]
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "requirements.txt"
    entry = re.search(r"^llama-cpp-python==.*(?:\n .*)*", _LOCK.read_text(), re.MULTILINE)
    assert entry
    wanted.write_text(entry[0] + "\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    options = ["--no-binary", "llama-cpp-python", "--no-deps", "--require-hashes"]
    run([*pip, *options, "-r", str(wanted), "-d", str(folder)], log)
    return next(folder.glob("llama_cpp_python-*.tar.gz"))


def unpack(archive: Path) -> Path:
    """Return llama.cpp's folder in an archive, unpacked beside it."""
    folder = archive.parent / archive.name.removesuffix(".tar.gz")
    if not folder.exists():
        partial = archive.parent / "partial"
        with tarfile.open(archive) as tar:
            tar.extractall(partial, filter="data")
        (partial / folder.name).replace(folder)
    return folder / "vendor" / "llama.cpp"


def run(command: Sequence[str], log: Path, hear: Callable[[str], None] = lambda _: None) -> None:
    """Run a step to its end.

    Args:
        log: keeps its output. hear: is told it line by line.

    Raises:
        BuildError: it fails.
    """
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
