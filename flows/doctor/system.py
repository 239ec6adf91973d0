"""The system's own words: how its programs are asked, and how packages are installed on it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache

PATIENCE_S = 4.0

# What a package is called, by the program that installs it.
_PACKAGES: Mapping[str, Mapping[str, str]] = {
    "compiler": {
        "apt-get": "build-essential", "dnf": "gcc-c++ make", "pacman": "base-devel", "brew": "llvm",
    },
    "make": {"apt-get": "make", "dnf": "make", "pacman": "make", "brew": "make"},
    "cmake": {"apt-get": "cmake", "dnf": "cmake", "pacman": "cmake", "brew": "cmake"},
    "ocrmypdf": {
        "apt-get": "ocrmypdf", "dnf": "ocrmypdf", "pacman": "ocrmypdf", "brew": "ocrmypdf",
    },
    "tesseract": {
        "apt-get": "tesseract-ocr", "dnf": "tesseract", "pacman": "tesseract", "brew": "tesseract",
    },
    "pandoc": {"apt-get": "pandoc", "dnf": "pandoc", "pacman": "pandoc-cli", "brew": "pandoc"},
}  # fmt: skip
_FAMILIES = {"debian": "apt-get", "ubuntu": "apt-get", "fedora": "dnf", "rhel": "dnf",
             "arch": "pacman"}  # fmt: skip
_INSTALL = {"apt-get": "sudo apt-get install", "dnf": "sudo dnf install",
            "pacman": "sudo pacman -S", "brew": "brew install"}  # fmt: skip


def install_command(*things: str) -> str:
    """Return the command that installs things on this system, by their names in _PACKAGES."""
    installer = package_manager()
    if installer is None:
        return f"install {' and '.join(things)}"
    return f"{_INSTALL[installer]} {' '.join(_PACKAGES[thing][installer] for thing in things)}"


def language_command(languages: Sequence[str]) -> str:
    """Return the command that installs language packs of tesseract, by tesseract's names."""
    installer = package_manager()
    match installer:
        case "apt-get":
            names = [f"tesseract-ocr-{each.lower().replace('_', '-')}" for each in languages]
        case "dnf":
            names = [f"tesseract-langpack-{each}" for each in languages]
        case "pacman":
            names = [f"tesseract-data-{each}" for each in languages]
        case "brew":
            names = ["tesseract-lang"]
        case _:
            return f"install tesseract's languages {' '.join(languages)}"
    return f"{_INSTALL[installer]} {' '.join(names)}"


@cache
def package_manager() -> str | None:
    """Return the program that installs packages here, if it is one we know."""
    if sys.platform == "darwin":
        return "brew"
    try:
        about = platform.freedesktop_os_release()
    except OSError:
        return None
    families = [about.get("ID", ""), *about.get("ID_LIKE", "").split()]
    return next((_FAMILIES[each] for each in families if each in _FAMILIES), None)


def ask(*command: str, patience_s: float = PATIENCE_S) -> str | None:
    """Return what a program says on stdout; None where it is missing, fails or takes too long."""
    program = shutil.which(command[0])
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:]], capture_output=True, text=True, errors="replace",
            timeout=patience_s, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (subprocess.TimeoutExpired, OSError):
        return None
    return done.stdout if done.returncode == 0 else None
