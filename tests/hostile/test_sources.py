"""Documents that are broken, hostile or oddly named: a row and a line each; the others go on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import psutil
import pytest
from support.command import Lectern
from support.hostile_pdfs import MAKERS
from support.pdfs import drawn, encrypted, paragraph, raw
from support.scripted_server import ScriptedServer

from tasks.errors import SourceError
from tasks.extract import extract
from tasks.extract.copying import Copy, copy_file
from tasks.naming import path_of
from tasks.settings import PROJECT_ROOT, Settings

SOAK = bool(os.environ.get("LECTERN_SOAK"))
PAPER = PROJECT_ROOT / "data" / "samples" / "two-columns-en.pdf"
HELLO = drawn([paragraph(["Hello to all who read this page.", "It has two sentences."])])
# Made with little work, and read with little; `make soak` takes all.
QUICK = (
    "count-of-two-billion", "negative-count", "page-tree-that-loops", "xref-that-loops",
    "nested-arrays", "outline-that-loops", "page-labels-that-loop", "title-with-controls",
    "title-with-markup", "content-with-markup", "text-of-controls", "huge-page",
    "stream-in-a-hundred-filters", "image-of-gigabytes", "image-of-impossible-size",
    "jpx-of-gigabytes", "type3-font-that-shows-itself", "font-of-gigabytes",
)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0 if SOAK else 600)]


@contextmanager
def leaving_nothing(folder: Path) -> Iterator[dict[str, str]]:
    """Yield an environment whose temporary files and processes must be gone in the end."""
    temporary = folder / "temporary"
    temporary.mkdir()
    yield {"TMPDIR": str(temporary)}
    until = time.monotonic() + 60
    while (left := _processes_with(str(temporary))) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == []
    assert list(temporary.iterdir()) == []


def _processes_with(value: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == value:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def write_bad_ones(folder: Path) -> set[str]:
    """Fill a folder; return the names of what can't be summarised whatever one does."""
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "page.pdf").write_bytes(b"<html>404: Not Found</html>")
    (folder / "secret.pdf").write_bytes(encrypted(HELLO, "secret", "owner"))
    (folder / "cut.pdf").write_bytes(PAPER.read_bytes()[:9000])
    (folder / "scan.pdf").write_bytes(raw([b"q 9 0 0 9 60 600 cm 0 0 1 rg 0 0 1 1 re f Q"]))
    (folder / "gone.pdf").symlink_to(folder / "nowhere")
    (folder / "loop.pdf").symlink_to(folder / "loop.pdf")
    (folder / "zero.pdf").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.pdf")
    return {each.name for each in folder.iterdir()}


def write_odd_ones(folder: Path) -> set[str]:
    """Fill a folder with what can be summarised for all its oddity; return the names."""
    names = [
        "x" * 251 + ".pdf", "two\nlines.pdf", "\x1b[31mred\x07\u202efdp.pdf", "a|b`c](d).pdf",
        "<script>alert(1)<\u2215script>.pdf", "{{ 7*7 }} %s \\ ' \".pdf",
    ]  # fmt: skip
    for name in names:
        text = [
            "A sentence that stands in this file alone, and nowhere else.",
            f"It is {len(name)}.",
        ]
        (folder / name).write_bytes(drawn([paragraph(text), paragraph([f"Name {name!a}."])]))
    shutil.copy(PAPER, folder / "paper.pdf")
    shutil.copy(PAPER, folder / "the same paper.pdf")
    return set(names)


@pytest.mark.soak
@pytest.mark.usefixtures("prefect_server")
def test_bad_sources_get_a_row_and_a_line_and_the_others_go_on(
    lectern: Lectern, tiny_model: Path, tmp_path: Path, config: Settings
) -> None:
    """All in one run of the command: the good ones are summarised, exit status 2, no traceback."""
    folder = tmp_path / "books"
    folder.mkdir()
    bad, good = write_bad_ones(folder), write_odd_ones(folder)
    hostile = sorted(MAKERS) if SOAK else QUICK
    for name in hostile:
        (folder / f"{name}.pdf").write_bytes(MAKERS[name]())
    with ScriptedServer() as server, leaving_nothing(tmp_path) as environment:
        answer = lectern(
            "summarize", str(folder), str(folder / "missing.pdf"), "--model", str(tiny_model),
            timeout=3000, LECTERN_POOL_URL=server.url, **environment,
        )  # fmt: skip

    said = answer.stdout + answer.stderr
    assert answer.returncode == 2, said
    assert "Traceback" not in said
    assert all(line.isprintable() for line in said.splitlines())
    rows = pl.read_parquet(config.results / "sources" / "*.parquet")
    by_name = {
        path_of(uri).name: row for uri, row in zip(rows["uri"], rows.rows(named=True), strict=True)
    }
    every = {*bad, *good, "missing.pdf", *(f"{name}.pdf" for name in hostile)}
    assert rows.height == len(by_name)
    assert set(by_name) - every in ({"paper.pdf"}, {"the same paper.pdf"})
    assert every <= set(by_name)
    assert {by_name[name]["status"] for name in [*bad, "missing.pdf"]} == {"failed"}
    assert {by_name[name]["status"] for name in good} == {"ok"}
    for row in rows.filter(pl.col("status") != "ok").iter_rows(named=True):
        assert len(row["error"].splitlines()) == 1
        assert path_of(row["uri"]).name.split("\n")[0] in row["error"]
        assert row["error"].count(". ") >= 1  # a remedy follows the problem
    assert "same content as" in answer.stdout
    pages = "".join(path.read_text() for path in config.results.rglob("summary.html"))
    assert "<script>alert" not in pages
    assert "<img src=x" not in pages


@pytest.mark.usefixtures("prefect_server")
def test_a_results_folder_that_cannot_be_written_is_told_in_a_line(
    lectern: Lectern, tiny_model: Path, tmp_path: Path
) -> None:
    """/proc can't be written by anyone. The line names the folder and the setting."""
    with ScriptedServer() as server, leaving_nothing(tmp_path) as environment:
        answer = lectern(
            "summarize", str(PAPER), "--model", str(tiny_model),
            timeout=500, LECTERN_POOL_URL=server.url, LECTERN_RESULTS="/proc/results",
            **environment,
        )  # fmt: skip

    assert answer.returncode == 1
    assert "Traceback" not in answer.stdout + answer.stderr
    assert "/proc/results" in answer.stderr
    assert "LECTERN_RESULTS" in answer.stderr


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system there that has room for a few small files, for as long as the block."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=64", "lectern-test", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        (folder / "ballast").write_bytes(bytes(40_000))
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("where", ["LECTERN_RESULTS", "TMPDIR"])
def test_a_full_disk_is_told_in_a_line(
    lectern: Lectern, tiny_model: Path, tmp_path: Path, where: str
) -> None:
    """Results, or the copy of a document, find no room: it says which folder, and what to set."""
    with full_disk(tmp_path / "disk") as disk, ScriptedServer() as server:
        answer = lectern(
            "summarize", str(PAPER), "--model", str(tiny_model),
            timeout=500, LECTERN_POOL_URL=server.url, **{where: str(disk)},
        )  # fmt: skip
        left = {path.name for path in disk.rglob("*.tmp")}

    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr
    assert str(disk) in answer.stderr
    assert where in answer.stderr
    assert left == set()


def test_a_full_disk_under_the_state_is_told_in_a_line(
    lectern: Lectern, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command's own server finds no room for its database, nor for a log to say so."""
    for name in [name for name in os.environ if name.startswith("PREFECT")]:
        monkeypatch.delenv(name)
    with full_disk(tmp_path / "disk") as disk:
        answer = lectern("summarize", str(PAPER), timeout=500, LECTERN_HOME=str(disk))

    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1), answer.stderr
    assert f"{disk}: no space is left" in answer.stderr
    assert "LECTERN_HOME" in answer.stderr


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """What was read of it is half the one and half the other."""
    path = tmp_path / "changing.pdf"
    path.write_bytes(bytes(3 << 20))

    class Interrupted(Copy):
        def write(self, data: bytes) -> None:
            super().write(data)
            path.write_bytes(b"1" * (3 << 20))

    with Interrupted() as copy, pytest.raises(SourceError, match="changes while it is read"):
        copy_file(path, copy, str(path))


def test_a_file_that_is_written_all_the_time_is_read_whole_or_refused(
    tmp_path: Path, config: Settings
) -> None:
    """It is read as it was at one moment, or told to be damaged or in change."""
    path, stop = tmp_path / "changing.pdf", threading.Event()
    path.write_bytes(HELLO)
    other = drawn([paragraph(["Another text altogether stands here."])] * 3)

    def rewrite() -> None:
        while not stop.is_set():
            for data in (other, HELLO[:200], b"", HELLO):
                path.write_bytes(data)
                stop.wait(0.01)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        found = [extract(str(path), config) for _ in range(10)]
    finally:
        stop.set()
        writer.join()

    for each in found:
        assert (each.source.status == "ok") == (not each.source.error)
        assert len(each.source.error.splitlines()) <= 1
        assert each.segments == () or each.segments[0].text.startswith(("Hello", "Another"))


def test_two_thousand_pages_are_read(tmp_path: Path, config: Settings) -> None:
    """All of them, in the time and memory that grow with their number."""
    path = tmp_path / "long.pdf"
    words = ["".join(chr(97 + int(digit)) for digit in str(n * 7919 + 10**8)) for n in range(4000)]
    pages = (
        paragraph([f"The {words[n]} of this page meets", f"a {words[-n - 1]} and goes on."])
        for n in range(2000)
    )
    path.write_bytes(drawn(list(pages)))

    got = extract(str(path), config)

    assert (got.source.status, got.source.n_pages) == ("ok", 2000)
    assert len({segment.page for segment in got.segments}) == 2000


def test_a_child_that_is_killed_is_told_and_leaves_nothing(
    tmp_path: Path, config: Settings
) -> None:
    """Whoever kills it, the parent has a row, and no zombie."""
    path = tmp_path / "slow.pdf"
    path.write_bytes(MAKERS["form-that-draws-itself"]())
    before = set(psutil.Process().children())

    def kill() -> None:
        while not (children := set(psutil.Process().children()) - before):
            time.sleep(0.01)
        for child in children:
            child.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    got = extract(str(path), config)
    killer.join()

    assert "its reader was killed" in got.source.error
    assert set(psutil.Process().children()) == before
