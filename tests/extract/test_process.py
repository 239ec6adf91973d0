"""The child process is held to its limits, and its end is always told."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from support.hostile_pdfs import MAKERS
from support.pdfs import drawn, paragraph, raw
from support.processes import running

from tasks.extract import Extracted, extract
from tasks.settings import PROJECT_ROOT, Settings

Read = Callable[..., Extracted]


def test_a_child_that_takes_too_long_is_stopped(config: Settings, read: Read) -> None:
    """The wall clock ends it; the row says what to raise."""
    uri = read(drawn([paragraph(["Text."])])).source.uri

    got = extract(uri, config.model_copy(update={"pdf_seconds": 0.01}))

    assert "took too long to read and was given up. Raise LECTERN_PDF_SECONDS" in got.source.error


def test_a_decompression_bomb_ends_in_the_child(config: Settings, read: Read) -> None:
    """A small file that unpacks to 300 MB fails by itself, and takes nothing along."""
    uri = read(raw([b" " * 300_000_000], rounds=2)).source.uri

    got = extract(uri, config.model_copy(update={"pdf_memory_mb": 256}))

    assert got.source.status == "failed"
    assert "Raise LECTERN_PDF_MEMORY_MB" in got.source.error or "blank" in got.source.error


def test_a_crash_of_the_parser_is_told_as_one(config: Settings, read: Read) -> None:
    """PDFium's stack overflows in a loop of page labels: more memory would not help."""
    got = read(MAKERS["page-labels-that-loop"]())

    assert got.source.status == "failed"
    assert "crashes the parser (Segmentation fault)" in got.source.error
    assert "LECTERN_PDF_MEMORY_MB" not in got.source.error


def test_want_of_memory_is_told_as_that(config: Settings, read: Read) -> None:
    """Ten gigabytes that a font's small stream would unpack to: PDFium gives up."""
    got = read(MAKERS["font-of-gigabytes"]())

    assert "memory" in got.source.error
    assert "Raise LECTERN_PDF_MEMORY_MB" in got.source.remedy


def test_an_unforeseen_error_of_the_child_names_itself(
    config: Settings, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its type and place, to report: nothing that one could set would mend it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import tasks.extract.quality\n"
        "tasks.extract.quality.is_plausible = lambda text: {}['nothing']\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{PROJECT_ROOT}")

    got = read(drawn([paragraph(["Text that stands on this page."])]))

    assert "unforeseen error (KeyError in sitecustomize.py, line 2)" in got.source.error
    assert "report it" in got.source.remedy


def test_an_interrupt_at_the_terminal_does_not_reach_it(config: Settings, tmp_path: Path) -> None:
    """Ctrl-C goes to all of a terminal's group; read as the child's own end, it would be landed.

    The child has a group of its own, and still ends with its parent.
    """
    path = tmp_path / "slow.pdf"
    path.write_bytes(raw([b" " * 300_000_000], rounds=2))
    parent = subprocess.Popen(
        [sys.executable, "-c", "import sys; from tasks.extract import extract;"
         "from tasks.settings import settings; extract(sys.argv[1], settings())", str(path)],
        cwd=PROJECT_ROOT, start_new_session=True,
    )  # fmt: skip
    child = _child_of(psutil.Process(parent.pid))

    assert os.getpgid(child.pid) != os.getpgid(parent.pid)
    parent.kill()
    parent.wait()
    assert psutil.wait_procs([child], timeout=60)[1] == []


def _child_of(parent: psutil.Process) -> psutil.Process:
    """Wait for a child that runs its own program: before, it is a copy of its parent."""
    while True:
        if begun := running("tasks.extract.child", parent.children()):
            return begun[0]
        time.sleep(0.01)


def test_the_childs_output_is_not_ours(read: Read, capfd: object) -> None:
    """Warnings of the libraries about damaged files reach no terminal."""
    read(b"%PDF-1.7\n1 0 obj << /Broken")

    assert tuple(capfd.readouterr()) == ("", "")  # type: ignore[attr-defined]
