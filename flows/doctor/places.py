"""The folders that Lectern writes to: are they writable, and is there room."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from flows.doctor.findings import Finding, failed, ok, size, warning
from tasks.settings import PROJECT_ROOT, Settings

_LITTLE, _TOO_LITTLE = 5_000_000_000, 200_000_000
_SHARED = ("nfs", "nfs4", "cifs", "smb3", "9p", "drvfs", "fuse.sshfs", "fuse.rclone")


def places(settings: Settings) -> Iterator[Finding]:
    """Results, state, and the project itself, where `lectern up` leaves its address."""
    yield _folder("results", settings.results, "LECTERN_RESULTS")
    yield _folder("state", settings.home, "LECTERN_HOME")
    if not os.access(PROJECT_ROOT, os.W_OK):
        found = f"{PROJECT_ROOT} can't be written: `lectern up` can't leave its address there"
        yield warning("project", found, f"sudo chown -R $(id -un) {PROJECT_ROOT}")


def temporary(settings: Settings) -> Iterator[Finding]:
    """The folder of temporary files."""
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        yield failed("temporary files", str(error), "export TMPDIR=/a/folder/you/can/write")
        return
    found = _folder("temporary files", folder, "TMPDIR")
    yield found
    if os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 8):
        what = f"{folder} lets no program run: llama.cpp may not build there"
        yield warning("temporary files", what, "TMPDIR=$HOME/tmp make install")


def _folder(name: str, folder: Path, variable: str) -> Finding:
    """Look at a folder, or at the one it would be made in."""
    there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    elsewhere = f"or set {variable} to another folder"
    if not there.is_dir():
        what = "leads nowhere" if there.is_symlink() else "is no folder"
        return failed(name, f"{there} {what}", f"mv {there} {there}.old, {elsewhere}")
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        found = f"{there} can't be written ({error.strerror})"
        return failed(name, found, f"sudo chown -R $(id -un) {there}, {elsewhere}")
    free = psutil.disk_usage(str(there)).free
    text = f"{folder}, {size(free)} free" + ("" if there == folder else " (made when needed)")
    if free < _TOO_LITTLE:
        return failed(name, f"{text}: too little", f"lectern clean, {elsewhere}")
    if free < _LITTLE:
        return warning(name, f"{text}: little", f"lectern clean, {elsewhere}")
    kind = _filesystem(there)
    if kind in _SHARED:
        found = f"{text}, on a shared folder ({kind}), where locks may not hold"
        return warning(name, found, f"set {variable} to a folder on a disk of this machine")
    return ok(name, text)


def _filesystem(folder: Path) -> str:
    """Return the kind of file system that a folder is on; "" where the system does not tell."""
    mounts = [each for each in psutil.disk_partitions(all=True)
              if folder.resolve().is_relative_to(each.mountpoint)]  # fmt: skip
    return max(mounts, key=lambda each: len(each.mountpoint)).fstype if mounts else ""
