"""A translation's EPUB: what pandoc makes of it, and what becomes of it where pandoc fails."""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from support.translated import LINES, SEGMENTS, document, line, segment, source

from tasks.land.books import epub_of
from tasks.land.translations import land_translation
from tasks.records import Segment, Source

needs_pandoc = pytest.mark.skipif(which("pandoc") is None, reason="needs pandoc: make debian")
TARGETS = [f"译文{n:02}。" for n in range(1, 17)]


def book_segments() -> list[Segment]:
    """Return a book's title, and five chapters of two sentences, each on a page of its own."""
    segments = [segment(1, "Tools", 1, 1, kind="heading")]
    for n in range(1, 6):
        path = ("Tools", f"Chapter {n}")
        segments += [
            segment(3 * n - 1, path[1], n, 3 * n, kind="heading", heading_path=path),
            segment(3 * n, f"It runs {n}.", n, 3 * n + 1, heading_path=path),
            segment(3 * n + 1, f"It {n} costs \x08 $x$.", n, 3 * n + 1, heading_path=path),
        ]
    return segments


def land_book(
    results: Path, language: str = "zh", output: Any = "bilingual", of: Source | None = None
) -> dict[str, str]:
    """Return the texts of the EPUB's files, by their names."""
    lines = [line(n, text) for n, text in enumerate(TARGETS, start=1)]
    lines[4] = replace(lines[4], status="failed", reason="figures")
    of = of or replace(source(), status="partial", pages_without_text=(9,))
    landed = land_translation(results, of, document(language), book_segments(), lines, [], output)
    with zipfile.ZipFile(next(path for path in landed.paths if path.endswith(".epub"))) as book:
        assert book.testzip() is None
        assert {each.date_time for each in book.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert book.read("mimetype") == b"application/epub+zip"
        return {name: book.read(name).decode() for name in book.namelist()}


def chapters(book: dict[str, str]) -> list[str]:
    return [text for name, text in sorted(book.items()) if re.search(r"/ch\d+\.xhtml$", name)]


@needs_pandoc
def test_each_chapter_is_a_file_with_its_lines_in_order(tmp_path: Path) -> None:
    """Also below a title; before them is what comes first, after them what is said of it all."""
    found = chapters(land_book(tmp_path))

    assert len(found) == 8
    text = "".join(found)
    assert re.findall(r"译文\d\d。", text) == TARGETS
    assert re.findall(r"Chapter \d", text) == [f"Chapter {n}" for n in range(1, 6)]
    for n, chapter in enumerate(found[2:7]):
        assert f"Chapter {n + 1}" in chapter
        assert TARGETS[3 * n + 1] in chapter


@needs_pandoc
def test_what_is_said_of_a_translation_stands_in_its_book(tmp_path: Path) -> None:
    text = "".join(chapters(land_book(tmp_path)))

    assert "5 段中已核对 5 段" in text
    assert "PDF 的以下各页没有文字" in text
    assert '<span class="doubted">' not in text  # of a heading, it stands below
    assert "存疑：缺少数字" in text
    assert re.search(r'<span id="page-4" class="page">第 L4 页</span>', text)


@needs_pandoc
def test_originals_are_told_from_translations(tmp_path: Path) -> None:
    both = land_book(tmp_path)
    alone = "".join(chapters(land_book(tmp_path / "target", output="target")))

    text = "".join(chapters(both))
    assert re.search(r'<div class="original" lang="en" dir="ltr">\s*<p>It runs 1\.', text)
    assert text.count('class="original"') == 11
    assert all(".original {" in each for each in chapters(both))
    assert "It runs" not in alone


@needs_pandoc
def test_a_book_from_right_to_left_is_one_throughout(tmp_path: Path) -> None:
    book = land_book(tmp_path, "ar")

    package = next(text for name, text in book.items() if name.endswith(".opf"))
    assert 'page-progression-direction="rtl"' in package
    for chapter in chapters(book):
        assert 'dir="rtl"' in chapter
    assert re.search(r'<h3[^>]* dir="rtl"', "".join(chapters(book)))
    assert 'dir="rtl"' not in "".join(land_book(tmp_path / "zh").values())


@needs_pandoc
def test_a_book_names_no_file_of_the_user(tmp_path: Path) -> None:
    of = replace(source(), status="partial", error=f"{source().uri}: its end is missing")
    book = land_book(tmp_path, of=of)
    assert not [name for name, text in book.items() if re.search("file:|/books", text)]
    assert "来源只读出了一部分：its end is missing" in "".join(chapters(book))

    of = source("https://example.org/a.pdf")
    text = "".join(chapters(land_book(tmp_path / "url", of=of)))
    assert 'href="https://example.org/a.pdf"' in text


@needs_pandoc
def test_a_book_is_well_formed_and_the_same_each_time(tmp_path: Path) -> None:
    book = land_book(tmp_path)
    for name, text in book.items():
        if name.endswith((".xhtml", ".opf", ".ncx")):
            ET.fromstring(text)
    assert book == land_book(tmp_path / "again")


Program = Callable[[str], None]


@pytest.fixture
def pandoc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Returns what puts another program in pandoc's place."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def put(script: str) -> None:
        (folder / "pandoc").write_text(script)
        (folder / "pandoc").chmod(0o755)

    return put


MAKES = f"""#!/bin/sh
echo "$@" >> "$0.log"
case "$*" in *--version) echo "pandoc 3.9"; exit;; esac
while [ "$1" != --output ]; do shift; done
{sys.executable} -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1], "w")' "$2"
"""


def make_book() -> bytes | None:
    return epub_of(b"<p>x</p>", "d" * 64, "p {}", split_level=3, right_to_left=False)


def test_pandoc_is_bounded(pandoc: Program, tmp_path: Path) -> None:
    pandoc(MAKES)

    assert make_book()
    called = (tmp_path / "bin" / "pandoc.log").read_text().splitlines()[-1]
    assert "+RTS -M2g -RTS --sandbox --split-level 3" in called


@pytest.mark.parametrize(
    "script",
    ["#!/nowhere", "#!/bin/sh\nexit 3\n", "#!/bin/sh\n[ $# -lt 9 ] && echo pandoc 2.9; exit 0\n"],
)
def test_a_pandoc_that_fails_costs_a_line(
    script: str, pandoc: Program, caplog: pytest.LogCaptureFixture
) -> None:
    pandoc(script)

    assert make_book() is None
    assert "pandoc made no EPUB" in caplog.text


def test_a_full_disk_costs_a_line(
    pandoc: Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pandoc(MAKES)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")

    assert make_book() is None
    assert "pandoc made no EPUB" in caplog.text


def test_an_earlier_book_goes_where_none_is_made(pandoc: Program, tmp_path: Path) -> None:
    """It would show an earlier translation. What the user has put there stays."""

    def land() -> set[str]:
        landed = land_translation(tmp_path, source(), document(), SEGMENTS, LINES, [], "bilingual")
        assert all(Path(path).is_file() for path in landed.paths)
        return {path.name for path in Path(landed.paths[0]).parent.iterdir()}

    pandoc(MAKES)
    assert land() == {"translation.md", "translation.html", "translation.epub"}
    next(tmp_path.glob("documents/*/translation.epub")).with_name("notes.txt").touch()

    pandoc("#!/bin/sh\nexit 3\n")
    assert land() == {"translation.md", "translation.html", "notes.txt"}
