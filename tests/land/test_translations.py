"""Translations land as files for readers: both languages, every doubt marked, any script."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import StorageError
from tasks.extract import Extracted
from tasks.generate.glossary import read_glossary
from tasks.land import land_source, read_table
from tasks.land.translations import land_translation, settled_terms
from tasks.records import (
    Coverage,
    Document,
    GlossaryEntry,
    Segment,
    Source,
    Term,
    TranslatedLine,
)

HOSTILE = 'a <script>alert(1)</script> [x](javascript:alert(1)) &amp; `c` *b* _i_ | # "q"'
ID = "5" * 64
BOOK = "/books/a (b).pdf"


def segment(n: int, text: str, page: int, paragraph: int, **changes: Any) -> Segment:
    plain = Segment(
        source_id=ID, n=n, text=text, kind="sentence", page=page, page_label=f"L{page}",
        paragraph=paragraph, heading_path=("Tools",),
    )  # fmt: skip
    return replace(plain, **changes)


SEGMENTS = (
    segment(1, "Tools", 2, 1, kind="heading"),
    segment(2, "The drill runs.", 2, 2),
    segment(3, "It costs 40 euros.", 2, 2),
    segment(4, HOSTILE, 4, 3),
    segment(5, "$ make install", 4, 4),
)
TEXTS = ("工具", "钻机在运转。", "它值钱。", "原样", "$ make install")


def line(n: int, text: str, status: Any = "ok", reason: str = "", key: str = "k") -> TranslatedLine:
    return TranslatedLine(
        document_id="d" * 64, source_id=ID, n=n, text=text, status=status, reason=reason, key=key
    )


LINES = (
    line(1, "工具"),
    line(2, "钻机在运转。", "repaired"),
    line(3, "它值钱。", "failed", "figures"),
    line(4, HOSTILE, "kept", "untranslated, wrong_language"),
    line(5, "$ make install", "kept", "code", ""),
)


def document(language: str = "zh") -> Document:
    return Document(
        document_id="d" * 64, source_id=ID, kind="translation", language=language, length="",
        model="demo", title="Tools", sections=(),
        coverage=Coverage(ok=1, repaired=1, kept=2, failed=1),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def source(uri: str = BOOK) -> Source:
    return Source(
        source_id=ID, uri=uri, title="Tools", language="en", n_pages=4, n_segments=len(SEGMENTS)
    )


def entry(term: str, rendering: str, **changes: Any) -> GlossaryEntry:
    plain = GlossaryEntry(
        document_id="d" * 64, source_id=ID, uri=BOOK, language="en", to="zh",
        term=term, rendering=rendering, note="", origin="found", count=3, made_by="m",
    )  # fmt: skip
    return replace(plain, **changes)


def land(
    results: Path, *, output: Any = "bilingual", language: str = "zh", uri: str = BOOK,
    glossary: Sequence[GlossaryEntry] = (), beside: bool = False,
) -> dict[str, Path]:  # fmt: skip
    """Return the files by their names."""
    landed = land_translation(
        results, source(uri), document(language), SEGMENTS, LINES, glossary, output, beside=beside
    )
    return {Path(path).name: Path(path) for path in landed.paths}


def text_of(files: dict[str, Path], name: str) -> str:
    return files[name].read_text(encoding="utf-8")


def test_every_segment_stands_there_with_its_translation_and_its_doubt(tmp_path: Path) -> None:
    files = land(tmp_path)
    for name in ("translation.md", "translation.html"):
        text = text_of(files, name)
        places = [text.index(each) for each in ("工具", "钻机在运转。", "它值钱。", "make install")]
        assert places == sorted(places)
        assert "The drill runs." in text
        assert "存疑：缺少数字" in text
        assert "未翻译：原文未译、译成了别的语言" in text
        assert "5 段中已核对 5 段：正常 1、修复 1、保留原文 2、有误 1" in text
        assert "code" not in text.replace("`c`", "")  # kept by rule is no doubt


def test_the_translation_alone_has_no_source_text(tmp_path: Path) -> None:
    files = land(tmp_path, output="target")

    for name in ("translation.md", "translation.html"):
        assert "The drill runs." not in text_of(files, name)
        assert "钻机在运转。" in text_of(files, name)


def test_pages_are_anchors_that_lead_to_the_source(tmp_path: Path) -> None:
    html = text_of(land(tmp_path), "translation.html")

    assert 'id="page-2"' in html
    assert 'href="file:///books/a%20%28b%29.pdf#page=4">第 L4 页</a>' in html
    assert html.index('id="page-2"') < html.index('id="page-4"')


def test_text_of_documents_is_never_markup(tmp_path: Path) -> None:
    html = text_of(land(tmp_path), "translation.html")

    assert "<script" not in html
    assert "default-src 'none'" in html


def test_the_direction_is_the_languages_own(tmp_path: Path) -> None:
    html = text_of(land(tmp_path, language="ar"), "translation.html")

    assert '<html lang="ar" dir="rtl">' in html
    assert '<p class="original" lang="en" dir="ltr">' in html


def test_the_rows_are_there_before_the_document(tmp_path: Path) -> None:
    land(tmp_path, glossary=[entry("drill", "钻机")])

    lines = read_table(tmp_path, "lines").collect()
    assert lines["text"].to_list() == [each.text for each in LINES]
    assert lines["status"].to_list() == ["ok", "repaired", "failed", "kept", "kept"]
    assert read_table(tmp_path, "glossary").collect()["rendering"].to_list() == ["钻机"]


def test_a_glossary_is_a_file_that_the_next_run_takes(tmp_path: Path) -> None:
    entries = [entry("drill, hand", "手钻", note="old", origin="user"), entry("bench", "工作台")]
    files = land(tmp_path, glossary=entries)

    with files["glossary.csv"].open(encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["source", "target", "note"]
    assert read_glossary(files["glossary.csv"]) == (
        Term("drill, hand", "手钻", "old"),
        Term("bench", "工作台"),
    )


def test_what_was_found_stays_for_the_next_state_of_the_source(tmp_path: Path) -> None:
    """In the same place, language and model; of several translations the newest."""
    assert settled_terms(tmp_path, BOOK, "zh", "m", "e" * 64) == []
    land(tmp_path, glossary=[entry("drill", "钻机"), entry("x", "y", origin="user")])

    assert settled_terms(tmp_path, BOOK, "zh", "m", "e" * 64) == [Term("drill", "钻机")]
    assert settled_terms(tmp_path, BOOK, "zh", "m", document().document_id) == []
    for other in (("/b.pdf", "zh", "m"), (BOOK, "de", "m"), (BOOK, "zh", "n")):
        assert settled_terms(tmp_path, *other, "e" * 64) == []

    newer = replace(document(), document_id="e" * 64, created_at=datetime.now(UTC))
    taken = entry("drill", "电钻", document_id="e" * 64, origin="settled")
    land_translation(tmp_path, source(), newer, SEGMENTS, LINES, [taken], "target")
    for document_id in ("e" * 64, "f" * 64):
        assert settled_terms(tmp_path, BOOK, "zh", "m", document_id) == [Term("drill", "电钻")]


def test_beside_the_source_nobody_elses_file_is_replaced(tmp_path: Path) -> None:
    uri = str(tmp_path / "book.pdf")
    results = tmp_path / "results"
    mine = tmp_path / "book.zh.md"
    mine.write_text("my own")
    with pytest.raises(StorageError, match="another file of that name"):
        land(results, uri=uri, beside=True)
    assert mine.read_text() == "my own"
    mine.unlink()

    assert {"book.zh.md", "book.zh.html", "translation.md"} <= land(
        results, uri=uri, beside=True
    ).keys()
    land_source(results, Extracted(source(uri), SEGMENTS))
    files = land(results, uri=uri, beside=True, output="target")
    assert files["book.zh.html"].read_bytes() == files["translation.html"].read_bytes()
    assert "book.zh.md" not in land(results, uri="https://example.org/book.pdf", beside=True)


@pytest.mark.skipif(shutil.which("pandoc") is None, reason="needs pandoc: make debian")
def test_a_book_is_one_that_readers_open(tmp_path: Path) -> None:
    data = land(tmp_path)["translation.epub"].read_bytes()

    with zipfile.ZipFile(BytesIO(data)) as book:
        assert book.testzip() is None
        assert book.read("mimetype") == b"application/epub+zip"
        pages = b"".join(book.read(name) for name in book.namelist() if name.endswith(".xhtml"))
    assert "钻机在运转。" in pages.decode()
    assert b"<script" not in pages
    assert data == land(tmp_path / "again")["translation.epub"].read_bytes()


def test_a_listing_stands_there_once_as_it_is(tmp_path: Path) -> None:
    rows = ["def f(x):", "    return `x` < 3  # ```"]
    segments = [segment(n, row, 2, 1, kind="code") for n, row in enumerate(rows, start=1)]
    lines = [line(n, row, "kept", "code", "") for n, row in enumerate(rows, start=1)]
    landed = land_translation(tmp_path, source(), document(), segments, lines, [], "bilingual")
    files = {Path(path).name: Path(path) for path in landed.paths}

    code = "\n".join(rows)
    assert f"````\n{code}\n````\n" in text_of(files, "translation.md")
    html = text_of(files, "translation.html")
    assert f'<pre dir="ltr"><code>{escape(code, quote=False)}</code></pre>' in html
    assert html.count("def f(x):") == 1
