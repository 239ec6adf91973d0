"""The user's systemd: is there one, and what it is told of the units.

Owns the folder of a user's units and the calls of systemctl and loginctl.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import PipelineError

_ALTERNATIVE = (
    "Keep `lectern up` running instead: in tmux, or with `nohup .venv/bin/lectern up &`; on macOS "
    "a launchd agent can run it at login"
)
_PATIENCE_S = 330.0  # longer than any unit takes to start


def units_folder() -> Path:
    """Return where a user's own units are, whether or not it exists."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base else Path.home() / ".config") / "systemd" / "user"


def require_systemd() -> None:
    """Make sure that a systemd of this user answers.

    Raises:
        PipelineError: it doesn't; the message says what to do instead.
    """
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
        raise PipelineError("the service", "this system does not run systemd", _ALTERNATIVE)
    done = _run("systemctl", "--user", "show-environment")
    if done.returncode != 0:
        raise PipelineError(
            "the service",
            f"your own systemd does not answer ({_last_line(done)})",
            "Log in afresh, not by su or sudo, so that XDG_RUNTIME_DIR is set, or "
            f"{_ALTERNATIVE[0].lower()}{_ALTERNATIVE[1:]}",
        )


def version() -> int:
    """Return systemd's version; 0 where it is not known."""
    if shutil.which("systemctl") is None:
        return 0
    match = re.match(r"systemd (\d+)", _run("systemctl", "--version").stdout)
    return int(match[1]) if match else 0


def systemctl(*arguments: str) -> str:
    """Run `systemctl --user`, and return what it says.

    Raises:
        PipelineError: it failed; the message holds its last line.
    """
    done = _run("systemctl", "--user", *arguments)
    if done.returncode != 0:
        raise PipelineError(
            f"systemctl --user {' '.join(arguments)}",
            _last_line(done),
            "`journalctl --user -e` says more",
        )
    return done.stdout


def states(units: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return what systemd knows of each unit, by the names of its properties."""
    wanted = "Id,LoadState,UnitFileState,ActiveState,SubState,MainPID,NRestarts,Result"
    said = systemctl("show", f"--property={wanted}", *units)
    found = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
             for block in said.strip().split("\n\n")]  # fmt: skip
    return {each["Id"]: each for each in found}


def lingers() -> bool:
    """Tell whether this user's units run without a login, from when the machine starts."""
    if shutil.which("loginctl") is None:
        return False
    done = _run("loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value")
    return done.stdout.strip() == "yes"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired as error:
        raise PipelineError(" ".join(command), "no answer", "`systemctl --user status`") from error


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()[
        -1
    ]
