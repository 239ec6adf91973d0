"""Python and its packages, memory, language and clock."""

from __future__ import annotations

import importlib.metadata
import locale
import os
import platform
import re
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psutil
from packaging.requirements import Requirement

from flows.doctor.findings import Finding, failed, ok, size, warning
from flows.doctor.system import ask
from tasks.pool.cgroups import memory_groups
from tasks.settings import PROJECT_ROOT, Settings

_INSTALL = "make install"
_SET_CLOCK = "sudo timedatectl set-ntp true"
_UNLIMITED = 1 << 60
_RELEASED = datetime(2026, 1, 1, tzinfo=UTC)


def python(settings: Settings) -> Iterator[Finding]:
    """The interpreter, and that it is the project's own."""
    version = f"{platform.python_version()}, {sys.executable}"
    if sys.prefix == sys.base_prefix:
        yield warning("Python", f"{version}: not in a virtual environment", _INSTALL)
    else:
        yield ok("Python", version)


def packages(settings: Settings) -> Iterator[Finding]:
    """What pyproject.toml wants, and what requirements.lock was tested with."""
    try:
        wanted = importlib.metadata.requires("lectern") or []
    except importlib.metadata.PackageNotFoundError:
        yield failed("packages", "Lectern itself is not installed here", _INSTALL)
        return
    needed = [one for one in map(Requirement, wanted) if _applies(one)]
    unfit = [problem for one in needed if (problem := _unfit(one))]
    if unfit:
        yield failed("packages", "; ".join(unfit), _INSTALL)
        return
    others = [problem for one in _locked() if (problem := _unfit(one))]
    if others:
        shown = "; ".join(others[:3]) + ("; …" if len(others) > 3 else "")
        found = f"{len(others)} are not as requirements.lock has them: {shown}"
        yield warning("packages", found, _INSTALL)
    else:
        yield ok("packages", f"{len(needed)} and theirs, as requirements.lock has them")


def memory(settings: Settings) -> Iterator[Finding]:
    """What there is, what is free, and what holds us below that."""
    found = psutil.virtual_memory()
    swap = psutil.swap_memory()
    text = f"{size(found.total)}, {size(found.available)} free; swap {size(swap.total)}"
    if found.available < 1e9:
        yield warning("memory", f"{text}: little for a model", "End other programs")
    else:
        yield ok("memory", text)
    limit = memory_limit()
    if limit < found.total:
        text = f"{size(limit)} for this process and its children (a container's, or ulimit -v)"
        yield (ok if limit > 2e9 else warning)("memory limit", text)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files < 1024:
        yield warning("open files", f"{files} at most: too few for many runs", "ulimit -n 4096")


def memory_limit() -> int:
    """Return how much memory the system lets us have; a huge number where it sets no limit."""
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    found = [limit for limit in limits if limit != resource.RLIM_INFINITY]
    return min([*found, *(group.limit for group in memory_groups()), _UNLIMITED])


def locale_(settings: Settings) -> Iterator[Finding]:
    """Whether names and texts of all scripts can be written."""
    encoding = locale.getpreferredencoding(False)
    names = sys.getfilesystemencoding()
    if encoding.lower().replace("-", "") == names.lower().replace("-", "") == "utf8":
        language = os.environ.get("LC_ALL") or os.environ.get("LANG") or "C"
        yield ok("locale", f"{language}, {encoding}")
    else:
        found = f"texts are {encoding}, file names {names}: Chinese can't be shown"
        yield warning("locale", found, "export LC_ALL=C.UTF-8")


def clock(settings: Settings) -> Iterator[Finding]:
    """Whether schedules and ages can be believed."""
    now = datetime.now(UTC)
    zone = time.strftime("%Z (UTC%z)")
    if now < _RELEASED:
        yield failed("clock", f"{now:%Y-%m-%d}: before Lectern was made", _SET_CLOCK)
    elif (ask("timedatectl", "show", "-p", "NTPSynchronized", "--value") or "").strip() == "no":
        found = f"{now:%Y-%m-%d %H:%M} UTC, not set by the network"
        yield warning("clock", found, _SET_CLOCK)
    else:
        yield ok("clock", f"{datetime.now():%Y-%m-%d %H:%M} {zone}")


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _unfit(requirement: Requirement) -> str:
    try:
        installed = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(installed, prereleases=True):
        return ""
    return f"{requirement.name} is {installed}, wanted {requirement.specifier}"


def _locked() -> Iterator[Requirement]:
    try:
        text = (PROJECT_ROOT / "requirements.lock").read_text()
    except OSError:
        return
    for line in re.findall(r"^([\w.\[\],-]+==[^\\\n]+)", text, re.MULTILINE):
        requirement = Requirement(line.strip())
        if _applies(requirement):
            yield requirement
