"""What a finished summary suffers from is read off its answers."""

from __future__ import annotations

from dataclasses import replace

from support.generating import document, request_of, sentences

from tasks.generate.flaws import Flaw, flaws
from tasks.records import Generation, Line, Request

_, SEGMENTS = document([(("A",), [sentences(2)]), (("B",), [sentences(2)])])
PAGED = {segment.n: segment for segment in SEGMENTS}


def request(key: str, first_n: int, last_n: int, level: int = 0) -> Request:
    lines = (Line(first_n, "a", 1), Line(last_n, "b", 1))
    return replace(request_of(["x"]), key=key, level=level, lines=lines)


def answer(key: str, *checks: str, ok: bool = True, error: str = "") -> Generation:
    return Generation(
        key=key, attempt=1, task="summarize", source_id="s1", first_n=1, last_n=1, level=0,
        text="", status="ok" if ok else "failed", checks=checks, error=error,
    )  # fmt: skip


def test_failures_and_cuts_are_told_with_their_pages() -> None:
    """The checks are the reason; where there was no answer, the error is."""
    requests = [
        request("good", 2, 3), request("chunk", 2, 3), request("merge", 2, 6, level=1),
        request("cut", 2, 6, level=1),
    ]  # fmt: skip
    rows = [
        answer("good"),
        answer("chunk", "empty", "truncated", ok=False, error="s1: a long line"),
        answer("merge", ok=False, error="s1: refused"),
        answer("cut", "notes_cut"),
    ]

    assert flaws(requests, {row.key: row for row in rows}, PAGED) == [
        Flaw("chunk_failed", "page", "p1", "p1", "empty, truncated"),
        Flaw("merge_failed", "page", "p1", "p2", "s1: refused"),
        Flaw("notes_cut", "page", "p1", "p2"),
    ]


def test_a_document_without_pages_names_its_paragraphs() -> None:
    plain = {n: replace(each, page=None, page_label="") for n, each in PAGED.items()}
    rows = {"a": answer("a", "loop", ok=False)}

    assert flaws([request("a", 2, 5)], rows, plain) == [
        Flaw("chunk_failed", "paragraph", "2", "4", "loop")
    ]
