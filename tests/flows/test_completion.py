"""Completion in the shells that are there, installed as the README says, tried as a user does."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.crashing import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PROMPT = "What now?"
# Where each has its settings, how its prompt is set there, and what is pressed: the first tab only
# loads what typer has written for zsh.
SHELLS = {
    "bash": (".bashrc", f"PS1='{PROMPT} '", "\t"),
    "zsh": (".zshrc", f"PROMPT='{PROMPT} '", "\t\t"),
    "fish": (".config/fish/config.fish", f"function fish_prompt; echo -n '{PROMPT} '; end", "\t"),
}


@contextmanager
def terminal(shell: str, folder: Path, environment: dict[str, str]) -> Iterator[int]:
    """Run a shell as in a terminal; give the end that a person sits at."""
    person, machine = os.openpty()
    process = subprocess.Popen(
        [shell, "-i"], stdin=machine, stdout=machine, stderr=machine, cwd=folder, env=environment,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(machine)
    try:
        yield person
    finally:
        process.kill()
        process.wait()
        os.close(person)


def read_until(person: int, text: str, patience_s: float = 30) -> None:
    seen, deadline = b"", time.monotonic() + patience_s
    while text.encode() not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([person], [], [], 0.2)[0]:
            seen += os.read(person, 4096)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_after_the_installation(shell: str, tmp_path: Path) -> None:
    """What follows the tab belongs to the command that it has completed."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    environment = os.environ | {
        "HOME": str(tmp_path), "TERM": "xterm",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    environment.pop("XDG_CONFIG_HOME", None)
    subprocess.run(
        [shell, "-c", "lectern --install-completion; exit 0"],
        env=environment, cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    name, prompt, tabs = SHELLS[shell]
    with (tmp_path / name).open("a") as settings:
        settings.write(f"\n{prompt}\n")

    with terminal(shell, tmp_path, environment) as person:
        read_until(person, PROMPT)
        os.write(person, f"lectern summ{tabs}--help > said\n".encode())
        said = tmp_path / "said"
        wait_until(lambda: said.exists() and "Usage: lectern summarize" in said.read_text(), 30)
