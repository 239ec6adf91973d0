"""Translations land as files for readers: both languages, every doubt marked, any script."""

from __future__ import annotations

import csv
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from support.translated import LINES, SEGMENTS, document, entry, line, segment, source

from tasks.extract import Extracted
from tasks.generate.glossary_file import read_glossary
from tasks.land import land_source, read_table
from tasks.land.translations import land_translation, settled_terms
from tasks.records import GlossaryEntry, Source, Term


def land(
    results: Path, *, output: Any = "bilingual", language: str = "zh",
    glossary: Sequence[GlossaryEntry] = (),
) -> dict[str, Path]:  # fmt: skip
    """Return the files by their names."""
    landed = land_translation(
        results, source(), document(language), SEGMENTS, LINES, glossary, output
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
        assert "未翻译：模型照抄了原文、译成了别的语言" in text
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

    with files["glossary.csv"].open(encoding="utf-8-sig") as file:
        assert next(csv.reader(file)) == ["source", "target", "note"]
    assert files["glossary.csv"].read_bytes().startswith(BOM_UTF8)  # or Excel takes it for GBK
    assert read_glossary(files["glossary.csv"]) == (
        Term("drill, hand", "手钻", "old"),
        Term("bench", "工作台"),
    )


def test_what_was_found_stays_for_the_next_state_of_the_source(tmp_path: Path) -> None:
    """In the same place, languages and model; of several translations the newest."""

    here = source()

    def settled(key: str, of: Source = here, to: str = "zh", made_by: str = "m") -> list[Term]:
        return settled_terms(tmp_path, of, SEGMENTS[1:], to, made_by, key * 64)

    assert settled("e") == []
    land_source(tmp_path, Extracted(source(), SEGMENTS))
    land(tmp_path, glossary=[entry("drill", "钻机"), entry("x", "y", origin="user")])

    assert settled("e") == [Term("drill", "钻机")]
    assert settled("d") == []
    assert settled("e", to="de") == settled("e", made_by="n") == []
    assert settled("e", source("/b.pdf")) == settled("e", replace(source(), language="fr")) == []

    newer = replace(document(), document_id="e" * 64, created_at=datetime.now(UTC))
    taken = entry("drill", "电钻", document_id="e" * 64, origin="settled")
    land_translation(tmp_path, source(), newer, SEGMENTS, LINES, [taken], "target")
    for key in "ef":
        assert settled(key) == [Term("drill", "电钻")]


def test_another_document_in_the_place_of_one_takes_over_nothing(tmp_path: Path) -> None:
    land_source(tmp_path, Extracted(source(), SEGMENTS))
    land(tmp_path, glossary=[entry("drill", "钻机")])
    other = [replace(each, text=f"Else {each.n}.") for each in SEGMENTS[1:]]

    assert settled_terms(tmp_path, source(), [*other, SEGMENTS[0]], "zh", "m", "e" * 64) == []


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
