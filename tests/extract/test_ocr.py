"""Scanned pages: recognised where that is asked for and possible, told of where it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support.pdfs import encrypted, set_by_typst
from support.processes import running
from support.scans import scanned

from tasks.extract import extract, ocr
from tasks.settings import PROJECT_ROOT, Settings

BOOK = """
#set page(width: 320pt, height: 160pt)
= Rivers
The drill runs at forty turns a minute. #pagebreak()
The second page has text of its own, which nobody needs to recognise. #pagebreak()
Water is sold by the litre in this town."""

needs_ocr = pytest.mark.skipif(
    not (shutil.which("ocrmypdf") and shutil.which("tesseract")),
    reason="needs ocrmypdf and tesseract: `make debian` installs them",
)


@pytest.fixture
def scan(tmp_path: Path) -> str:
    """A book whose first and third pages are pictures."""
    path = tmp_path / "scan.pdf"
    path.write_bytes(scanned(set_by_typst(BOOK), {1, 3}))
    return str(path)


@needs_ocr
def test_pages_without_text_are_recognised_once(scan: str, config: Settings) -> None:
    """The others stay as they are; a second run finds what the first one kept."""
    heard: list[str] = []

    got = extract(scan, config, ocr="auto", progress=lambda text, *_: heard.append(text))
    again = extract(scan, config, ocr="auto", progress=lambda text, *_: heard.append("again"))

    assert (got.source.status, got.source.pages_without_text) == ("ok", ())
    assert {(s.page, s.text) for s in got.segments} >= {
        (1, "Rivers"),
        (2, "The second page has text of its own, which nobody needs to recognise."),
        (3, "Water is sold by the litre in this town."),
    }
    assert "recognising text: 0 of 2 pages" in heard
    assert heard.count("again") == 1
    assert got.segments == again.segments
    assert got.source.source_id != extract(scan, config, ocr="never").source.source_id
    assert [path.name for path in config.home.rglob("*") if path.is_file()] == ["1-3.pdf"]


@needs_ocr
def test_a_chinese_page_that_lay_on_its_side_is_read(tmp_path: Path, config: Settings) -> None:
    """Turned upright, and without the spaces that tesseract sets between characters."""
    sample = (PROJECT_ROOT / "data" / "samples" / "chinese-zh.pdf").read_bytes()
    path = tmp_path / "scan.pdf"
    path.write_bytes(scanned(sample, {1}, rotated=90))

    got = extract(str(path), config, ocr="auto")
    text = "".join(s.text for s in got.segments if s.page == 1)

    assert got.source.language == "zh"
    assert "第一次拿到望远镜" in text


@needs_ocr
def test_always_reads_every_page_anew_and_opens_with_the_password(
    tmp_path: Path, config: Settings
) -> None:
    """What OCR is given is a picture, so nothing of the file's own text or locks is left."""
    path = tmp_path / "locked.pdf"
    path.write_bytes(encrypted(set_by_typst(BOOK), "secret", "owner"))

    got = extract(str(path), config, password="secret", ocr="always")

    assert got.source.status == "ok"
    assert (3, "Water is sold by the litre in this town.") in {
        (s.page, s.text) for s in got.segments
    }


def test_without_the_programs_the_message_names_them(
    scan: str, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages stay listed; the command that installs what is missing stands in the line."""
    monkeypatch.setattr(ocr, "_programs", lambda: None)

    source = extract(scan, config, ocr="auto").source

    assert (source.status, source.pages_without_text) == ("partial", (1, 3))
    assert "pages 1, 3 of 3 (ocrmypdf and tesseract are not installed)" in source.error
    assert "ocrmypdf tesseract-ocr tesseract-ocr-eng" in source.error


def test_a_missing_language_is_named(
    scan: str, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own name, and by that of the package that has it."""
    programs = ocr._Programs("ocrmypdf", "tesseract 5", frozenset({"osd", "deu"}))
    monkeypatch.setattr(ocr, "_programs", lambda: programs)

    error = extract(scan, config, ocr="auto").source.error

    assert "tesseract lacks the language eng" in error
    assert "tesseract-ocr-eng" in error


class _Faulty:
    """An ocrmypdf that can be made to end with a status, without doing anything."""

    def __init__(self, folder: Path) -> None:
        self.path, self._status, self._calls = (folder / n for n in ("ocrmypdf", "status", "calls"))
        self.path.write_text(
            f"#!/bin/sh\necho x >> {self._calls}\n"
            f'[ -s {self._status} ] || exec {shutil.which("ocrmypdf")} "$@"\n'
            f"exit $(cat {self._status})\n"
        )
        self.path.chmod(0o755)
        self.ends_with("")

    def ends_with(self, status: object) -> None:
        self._status.write_text(str(status))
        self._calls.write_text("")

    @property
    def calls(self) -> int:
        return len(self._calls.read_text().split())


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Faulty:
    made = _Faulty(tmp_path)
    programs = ocr._Programs(str(made.path), "tesseract 5", frozenset({"eng"}))
    monkeypatch.setattr(ocr, "_programs", lambda: programs)
    return made


@needs_ocr
def test_a_page_that_failed_is_tried_again_when_that_may_help(
    scan: str, config: Settings, faulty: _Faulty
) -> None:
    """With another program, or when asked to; else each run would wait for it in vain."""
    faulty.ends_with(15)
    failed = extract(scan, config, ocr="auto").source
    assert (failed.status, failed.pages_without_text, faulty.calls) == ("partial", (1, 3), 3)

    faulty.ends_with(15)
    same = extract(scan, config, ocr="auto").source
    assert (same.error, same.source_id, faulty.calls) == (failed.error, failed.source_id, 0)
    assert "recognising their text failed" in same.error

    extract(scan, config, ocr="auto", again=True)
    assert faulty.calls == 3

    faulty.ends_with("")
    os.utime(faulty.path)  # an update
    read = extract(scan, config, ocr="auto").source
    assert (read.status, read.pages_without_text, faulty.calls) == ("ok", (), 1)
    assert failed.source_id != read.source_id


@needs_ocr
def test_a_full_disk_is_no_fault_of_the_pages(scan: str, config: Settings, faulty: _Faulty) -> None:
    """The next run tries again, and then what the document gives is another reading of it."""
    faulty.ends_with(5)
    failed = extract(scan, config, ocr="auto").source
    assert "took too long or failed" in failed.error

    faulty.ends_with("")
    assert extract(scan, config, ocr="auto").source.status == "ok"


def test_what_a_killed_process_left_is_removed_unless_it_is_in_use(tmp_path: Path) -> None:
    """A run that goes on elsewhere holds its folder."""
    left, used = (tmp_path / "cache" / "ocr" / name / "work" for name in ("left", "used"))
    for work in (left, used):
        work.mkdir(parents=True)
        (work / "pictures.pdf").touch()

    with ocr._locked(used.parent, None):
        ocr.tidy(tmp_path)

    assert (left.exists(), used.exists()) == (False, True)


@pytest.mark.parametrize(
    ("language", "suffers"), [("en", False), ("zh", True), ("und", True), ("eo", True)]
)
def test_a_language_that_is_not_installed_matters_to_its_own_texts(
    language: str, suffers: bool
) -> None:
    """And to those in which no language could be made out."""
    assert ocr.Recognition(lacking=frozenset({"chi_sim"})).lacks(language) is suffers


@needs_ocr
def test_what_recognises_ends_with_its_parent(scan: str, tmp_path: Path) -> None:
    """Killed in the middle, a run leaves no process and no temporary file."""
    code = (
        "import sys; from pathlib import Path; from tasks.extract import extract;"
        "from tasks.settings import Settings;"
        "extract(sys.argv[1], Settings(home=Path(sys.argv[2])), ocr='always')"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, scan, str(tmp_path / "home")], cwd=PROJECT_ROOT
    )
    root = psutil.Process(parent.pid)
    started = _wait_for(lambda: running("ocrmypdf", root.children(recursive=True)))
    group = [*started, *root.children(recursive=True)]

    parent.kill()
    parent.wait()

    assert psutil.wait_procs(group, timeout=30)[1] == []
    assert not list(tmp_path.rglob("work"))


def _wait_for(look: object) -> list[psutil.Process]:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if found := look():  # type: ignore[operator]
            return list(found)
        time.sleep(0.05)
    raise TimeoutError("no such process came up")
