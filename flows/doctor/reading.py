"""The programs that recognise text and make books, and those that only the tests need."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from flows.doctor.findings import Finding, ok, warning
from flows.doctor.system import ask, install_command, language_command
from tasks.settings import Settings

_FOR_TESTS = ("chromium", "strace", "systemd-analyze")


def ocr(settings: Settings) -> Iterator[Finding]:
    """OCRmyPDF, tesseract and its languages."""
    missing = [name for name in ("ocrmypdf", "tesseract") if shutil.which(name) is None]
    if missing:
        found = f"{' and '.join(missing)} not found: scanned pages stay without text"
        yield warning("OCR", found, install_command(*missing))
        return
    version = (ask("tesseract", "--version") or "tesseract").splitlines()[0]
    languages = set((ask("tesseract", "--list-langs") or "").split()[1:])
    wanted = settings.ocr_languages.split("+")
    lacking = [each for each in wanted if each not in languages]
    if lacking:
        found = f"{version}, without {', '.join(lacking)}"
        yield warning("OCR", found, language_command(lacking))
    else:
        yield ok("OCR", f"{version}, {', '.join(wanted)}")


def books(settings: Settings) -> Iterator[Finding]:
    """Pandoc, by which translations become EPUBs."""
    said = ask("pandoc", "--version")
    found = said.splitlines()[0] if said else f"no pandoc, so none: {install_command('pandoc')}"
    yield ok("EPUB", found)


def optional(settings: Settings) -> Iterator[Finding]:
    """What only the tests want."""
    there = {name: shutil.which(name) is not None for name in _FOR_TESTS}
    said = ", ".join(name if found else f"no {name}" for name, found in there.items())
    mend = "" if all(there.values()) else " (make debian)"
    yield ok("for the tests", f"{said}{mend}")
