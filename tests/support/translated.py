"""A small translated document, for tests of what is landed of one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tasks.records import Coverage, Document, GlossaryEntry, Segment, Source, TranslatedLine

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
