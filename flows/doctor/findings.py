"""What a check says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from tasks.settings import Settings


class Mark(StrEnum):
    """How it is: as it should be; worth a look, but Lectern works; broken."""

    ok = "✓"
    warning = "!"
    failed = "✗"


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        subject: what was looked at, in a word or two.
        found: what is there, or what is wrong.
        mend: the command that mends it, or what else to do; "" where nothing is to be done.
    """

    mark: Mark
    subject: str
    found: str
    mend: str = ""


def ok(subject: str, found: str) -> Finding:
    return Finding(Mark.ok, subject, found)


def warning(subject: str, found: str, mend: str = "") -> Finding:
    return Finding(Mark.warning, subject, found, mend)


def failed(subject: str, found: str, mend: str = "") -> Finding:
    return Finding(Mark.failed, subject, found, mend)


Check = Callable[[Settings], Iterable[Finding]]
"""Looks at one thing; the settings say where."""


def size(n_bytes: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("bytes", "KB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB" if n_bytes < 1000 else f"{n_bytes / 1000:.1f} TB"
