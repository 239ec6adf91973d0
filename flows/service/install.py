"""Put the units in place, take them away, and tell how they are.

Owns which files are Lectern's to write and to remove: those that it wrote, for this project.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from flows.server import known_server
from flows.service.systemd import lingers, require_systemd, states, systemctl, units_folder, version
from flows.service.units import Part, belongs_to, kept_environment, parts, unit_text
from tasks.errors import PipelineError, StorageError
from tasks.files import write_private
from tasks.settings import PROJECT_ROOT, Settings

_NAMES = tuple(part.unit for part in parts(0))
LINGER = "loginctl enable-linger"


@dataclass(frozen=True)
class UnitState:
    """How a unit is; `enabled` and `active` as systemd calls it."""

    unit: str
    enabled: str
    active: str
    pid: int
    restarts: int

    @property
    def works(self) -> bool:
        return self.active.startswith("active")


def planned(settings: Settings, port: int) -> list[tuple[Path, str]]:
    """Return the files that `install` would write, secrets masked.

    Raises:
        PipelineError: a path can't stand in a unit.
    """
    known = version()
    return [
        (units_folder() / part.unit, unit_text(part, os.environ, systemd=known, masked=True))
        for part in _parts(settings, port)
    ]


def install(settings: Settings, port: int, say: Callable[[str], None]) -> None:
    """Write the units, and start them now and whenever the user's systemd starts.

    Raises:
        PipelineError: there is no systemd, a file is not ours, or a unit does not start.
    """
    chosen = _parts(settings, port)
    known = version()
    texts = {part.unit: unit_text(part, os.environ, systemd=known) for part in chosen}
    _refuse_others()
    require_systemd()
    installed = [name for name in _NAMES if (units_folder() / name).exists()]
    if not installed:
        _refuse_running_up(settings)
    _write(texts, say)
    gone = [name for name in installed if name not in texts]
    if gone:
        _remove(gone, say)
    systemctl("daemon-reload")
    systemctl("enable", *texts)
    say("starting: this takes up to a minute")
    systemctl("restart", *texts)
    names = ", ".join(sorted(kept_environment(os.environ)))
    say(f"Taken over from this shell: {names}")


def uninstall(say: Callable[[str], None]) -> bool:
    """Stop and remove the units; return whether there were any.

    Raises:
        PipelineError: there is no systemd, or a file is not ours.
    """
    _refuse_others()
    there = [name for name in _NAMES if (units_folder() / name).exists()]
    if there:
        require_systemd()
        _remove(there, say)
        systemctl("daemon-reload")
    return bool(there)


def unit_states() -> list[UnitState]:
    """Return how the installed units are, in the order in which they start.

    Raises:
        PipelineError: there is no systemd.
    """
    there = [name for name in _NAMES if (units_folder() / name).exists()]
    if not there:
        return []
    require_systemd()
    found = states(there)
    return [
        UnitState(
            name,
            found[name]["UnitFileState"],
            f"{found[name]['ActiveState']} ({found[name]['SubState']})",
            int(found[name]["MainPID"]),
            int(found[name]["NRestarts"]),
        )
        for name in there
    ]


def advice() -> list[str]:
    """Return what a user should know beside: how to look, and what is still to do."""
    lines = [
        "Look: systemctl --user status 'lectern-*'",
        "Logs: journalctl --user -u lectern-worker -e   (and .lectern/logs/)",
    ]
    if address := known_server():
        lines.insert(0, f"Runs: {address.ui}")
    if not lingers():
        lines.append(f"To run without a login, from when the machine starts: {LINGER}")
    return lines


def _parts(settings: Settings, port: int) -> tuple[Part, ...]:
    return parts(port, own_pool=settings.pool_url is None)


def _write(texts: dict[str, str], say: Callable[[str], None]) -> None:
    folder = units_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(str(folder), error.strerror or str(error), "Make it writable") from error
    for name, text in texts.items():
        write_private(folder / name, text)  # it may hold a key
        say(f"wrote {folder / name}")


def _remove(names: list[str], say: Callable[[str], None]) -> None:
    systemctl("disable", "--now", *names)
    for name in names:
        (units_folder() / name).unlink(missing_ok=True)
        say(f"stopped and removed {units_folder() / name}")


def _refuse_others() -> None:
    """Leave alone what another project, or the user, has put there."""
    for path in (units_folder() / name for name in _NAMES):
        if not path.exists():
            continue
        owner = belongs_to(path.read_text(encoding="utf-8", errors="replace"))
        if owner != str(PROJECT_ROOT):
            what = f"it is of the project in {owner}" if owner else "it is not Lectern's"
            remedy = f"Run `lectern service uninstall` in {owner}" if owner else "Move it away"
            raise PipelineError(str(path), what, remedy)


def _refuse_running_up(settings: Settings) -> None:
    lock = FileLock(settings.home / "up.lock")
    if not settings.home.is_dir():
        return
    try:
        with lock.acquire(timeout=0):
            return
    except Timeout:
        raise PipelineError("`lectern up`", "it runs here", "Stop it first, by Ctrl-C") from None
