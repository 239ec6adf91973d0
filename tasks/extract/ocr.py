"""Recognising the text of scanned pages by ocrmypdf and tesseract, where they are installed.

Owns when it is done, for which languages, what is kept of it, and what to say where it can't be
done. The work itself is a child process's: `tasks.extract.ocr_child`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tasks.extract.process import Child
from tasks.files import make_folder

if TYPE_CHECKING:
    from tasks.settings import Settings

_POLL_S = 0.5
_TESSERACT = {  # ISO 639-1 to tesseract's; Chinese and Japanese texts hold Latin words
    "zh": "chi_sim+eng", "ja": "jpn+eng", "ko": "kor+eng", "en": "eng", "de": "deu", "fr": "fra",
    "es": "spa", "it": "ita", "pt": "por", "nl": "nld", "pl": "pol", "ru": "rus+eng", "sv": "swe",
    "da": "dan", "nb": "nor", "no": "nor", "fi": "fin", "cs": "ces", "sk": "slk", "hu": "hun",
    "ro": "ron", "tr": "tur", "el": "ell+eng", "uk": "ukr+eng", "ar": "ara+eng", "he": "heb+eng",
    "hi": "hin+eng", "th": "tha+eng", "vi": "vie", "la": "lat", "ca": "cat", "hr": "hrv",
}  # fmt: skip

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Part:
    """A PDF that holds the text of some pages of a document, in their order."""

    path: str
    pages: list[int]


@dataclass(frozen=True)
class Recognition:
    """What came of it.

    Attributes:
        identity: what the text depends on besides the document; "" where nothing was done.
        obstacle, remedy: why not all could be done, and what to do; else "".
        lacking: languages that should have been looked for too; the obstacle names them.
    """

    parts: tuple[Part, ...] = ()
    identity: str = ""
    obstacle: str = ""
    remedy: str = ""
    lacking: frozenset[str] = frozenset()

    def lacks(self, language: str) -> bool:
        """Say whether a text that turned out to be in `language` suffers from what is lacking."""
        own = _TESSERACT.get(language)
        return bool(self.lacking) and (not own or not self.lacking.isdisjoint(own.split("+")))


@dataclass(frozen=True)
class OcrRequest:
    """What the parent asks for.

    Attributes:
        document, progress: descriptors of the PDF, and of where the number of pages done goes.
        pages: to be recognised, from 1; n_all: their number with those that were before.
        folder: gets the parts, of at most `part_pages` pages; work is for everything else.
        lock: a descriptor that is held as long as this process lives.
    """

    document: int
    progress: int
    lock: int
    password: str | None
    pages: list[int]
    n_all: int
    part_pages: int
    folder: str
    work: str
    program: str
    languages: str
    jobs: int
    rotate: bool
    memory_mb: int
    seconds: int


@dataclass(frozen=True)
class _Programs:
    """ocrmypdf's path, what tesseract calls itself, and the languages it has."""

    ocrmypdf: str
    engine: str
    languages: frozenset[str]


def recognise(
    document: IO[bytes],
    digest: str,
    pages: Sequence[int],
    language: str,
    settings: Settings,
    password: str | None,
    progress: Progress | None,
    *,
    again: bool = False,
) -> Recognition:
    """Recognise the text of pages of an open PDF.

    Args:
        digest: of the document's content.
        language: the document's, an ISO 639-1 code, or "und".
        again: also of pages at which the same programs have failed before.

    Raises:
        StorageError: the folder for it can't be made.
    """
    wanted = (_TESSERACT.get(language) or settings.ocr_languages).split("+")
    programs = _programs()
    if programs is None:
        remedy = f"To have their text recognised, install ocrmypdf: {_install(wanted)}"
        return Recognition(obstacle="ocrmypdf and tesseract are not installed", remedy=remedy)
    languages = [each for each in wanted if each in programs.languages]
    lacking = [each for each in wanted if each not in programs.languages]
    obstacle = f"tesseract lacks the language {' and '.join(lacking)}" if lacking else ""
    remedy = f"Install it: {_install(lacking)}" if lacking else ""
    if not languages:
        return Recognition(obstacle=obstacle, remedy=remedy, lacking=frozenset(lacking))
    identity = f"ocr {programs.engine} {'+'.join(languages)} {list(pages)}"
    folder = settings.home / "cache" / "ocr" / _key(digest, identity)
    request = _request(document, pages, folder, programs, languages, settings, password)
    with _locked(folder, progress) as lock, tempfile.TemporaryFile() as done:
        if again:
            _forget_failures(folder)
        ended = _run(request, lock, done, progress)
        parts = tuple(_parts(folder, pages))
        failed = _failed(request)
    if failed:
        lacking = []
        obstacle = "recognising their text failed"
        remedy = (
            "Look at them; `lectern summarize --again` tries once more, as does an update of OCR"
        )
    if not ended:
        lacking = []
        obstacle = "recognising their text took too long or failed"
        remedy = "Run again to go on with it; raise LECTERN_OCR_SECONDS if it takes too long"
    found = sorted(_covered(parts))
    identity = f"{identity} {found}" if found else ""
    return Recognition(parts, identity, obstacle, remedy, frozenset(lacking))


def means() -> str:
    """Return what text can be recognised by: the program and its languages; "" by none."""
    programs = _programs()
    return f"{programs.engine} {sorted(programs.languages)}" if programs else ""


def part_path(folder: Path, pages: Sequence[int]) -> Path:
    """Return where the text of these pages is kept: the name says which they are."""
    return folder / f"{'-'.join(map(str, pages))}.pdf"


def failure_path(folder: Path, program: str, page: int) -> Path:
    """Return the file that says that a program, as it is installed now, fails at a page."""
    return folder / f"{page}-{Path(program).stat().st_mtime_ns}.failed"


def _failed(request: OcrRequest) -> set[int]:
    """Return the pages that are not worth another try by this program."""
    folder, program = Path(request.folder), request.program
    return {page for page in request.pages if failure_path(folder, program, page).exists()}


def _forget_failures(folder: Path) -> None:
    for path in folder.glob("*.failed"):
        path.unlink()


def tidy(home: Path) -> None:
    """Remove what processes that were killed while they recognised text have left."""
    for work in (home / "cache" / "ocr").glob("*/work"):
        descriptor = os.open(work.parent, os.O_RDONLY)
        try:
            if _try_lock(descriptor):  # else it is in use
                shutil.rmtree(work, ignore_errors=True)
        finally:
            os.close(descriptor)


def _key(digest: str, identity: str) -> str:
    return hashlib.sha256(f"{digest} {identity}".encode()).hexdigest()


def _request(
    document: IO[bytes],
    pages: Sequence[int],
    folder: Path,
    programs: _Programs,
    languages: Sequence[str],
    settings: Settings,
    password: str | None,
) -> OcrRequest:
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return OcrRequest(
        document=document.fileno(),
        progress=-1,
        lock=-1,
        password=password,
        pages=list(pages),
        n_all=len(pages),
        part_pages=8,
        folder=str(folder),
        work=str(folder / "work"),
        program=programs.ocrmypdf,
        languages="+".join(languages),
        jobs=jobs,
        rotate="osd" in programs.languages,
        memory_mb=settings.pdf_memory_mb,
        seconds=int(settings.ocr_seconds * len(pages)) + 60,
    )


def _run(request: OcrRequest, lock: int, done: IO[bytes], progress: Progress | None) -> bool:
    """Run the child for what is not there yet; return whether it did all."""
    work, total = Path(request.work), request.n_all
    covered = _covered(_parts(work.parent, request.pages))
    left = [page for page in request.pages if page not in covered | _failed(request)]
    if not left:
        return True
    shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
    make_folder(work)
    request = replace(request, lock=lock, progress=done.fileno(), pages=left)
    os.lseek(request.document, 0, os.SEEK_SET)
    os.pwrite(request.progress, str(len(covered)).encode(), 0)
    try:
        environment = {"TMPDIR": str(work), "OMP_THREAD_LIMIT": "1"}
        descriptors = (request.document, request.progress, lock)
        with (
            _locked(work.parent.parent, progress),  # all cores are one document's at a time
            Child("tasks.extract.ocr_child", request, descriptors, environment) as child,
        ):
            waited = 0.0
            while (code := child.wait(_POLL_S)) is None and waited < request.seconds:
                waited += _POLL_S
                if progress:
                    text = os.pread(done.fileno(), 20, 0)
                    n_done = int(text) if text.isdigit() else 0
                    progress(f"recognising text: {n_done} of {total} pages", 0, 0)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return code == 0


def _parts(folder: Path, pages: Sequence[int]) -> Iterator[Part]:
    """Yield what is kept of these pages."""
    for path in sorted(folder.glob("*.pdf")):
        held = [int(number) for number in path.stem.split("-")]
        if set(held) <= set(pages):
            yield Part(str(path), held)


def _covered(parts: Iterable[Part]) -> set[int]:
    return {page for part in parts for page in part.pages}


@contextmanager
def _locked(folder: Path, progress: Progress | None) -> Iterator[int]:
    """Hold a folder: two readers of one document, here or elsewhere, do the work once."""
    make_folder(folder)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        while not _try_lock(descriptor):
            if progress:
                progress("waiting for another document's text to be recognised", 0, 0)
            time.sleep(_POLL_S)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@cache
def _programs() -> _Programs | None:
    """Find the programs; None where one is missing or does not run."""
    ocrmypdf, tesseract = shutil.which("ocrmypdf"), shutil.which("tesseract")
    if not ocrmypdf or not tesseract:
        return None
    try:
        version = _output(tesseract, "--version").split("\n")[0].strip()
        languages = frozenset(_output(tesseract, "--list-langs").split("\n")[1:])
    except (OSError, subprocess.SubprocessError):
        return None
    return _Programs(ocrmypdf, version, languages)


def _output(*command: str) -> str:
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60
    )
    return ended.stdout.strip()


def _install(languages: Sequence[str]) -> str:
    """Return the command that installs the programs with these languages."""
    if shutil.which("brew"):
        return "`brew install ocrmypdf tesseract-lang`"
    packs = " ".join(f"tesseract-ocr-{each.replace('_', '-')}" for each in languages)
    return f"`apt-get install ocrmypdf tesseract-ocr {packs}`".replace(" `", "`")
