"""The tables on a run's page: readable, complete, and honest where nothing failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.cells import cell_len

from flows.artifacts import for_a_web_page
from flows.rounds import Outcome
from flows.run_tables import (
    accounted_for,
    as_markdown,
    coverage_table,
    failure_table,
    latency_table,
    token_table,
)
from tasks.generate.flaws import Flaw
from tasks.land import Ledger, statistics
from tasks.records import Coverage, Document, Generation, Source

CHUNK = Flaw("chunk_failed", "page", "3", "7", "empty, truncated")
MERGE = Flaw("merge_failed", "page", "iv", "iv", "loop")
CUT = Flaw("notes_cut", "page", "1", "9")


def document(**coverage: int) -> Document:
    return Document(
        document_id="d", source_id="s", kind="summary", language="en", length="short",
        model="m", title="T", sections=(), coverage=Coverage(**coverage),
    )  # fmt: skip


def source(**changes: object) -> Source:
    return Source(source_id="s", uri="/books/a.pdf", **changes)  # type: ignore[arg-type]


def test_each_failure_has_its_remedy_beside_it() -> None:
    """The problem without the path before it and the remedy after it; those have columns."""
    lost = source(
        status="partial",
        error="/books/a.pdf: no text on page 2. Run ocrmypdf.",
        remedy="Run ocrmypdf",
    )
    outcomes = [
        Outcome("/x/b.pdf", error="/x/b.pdf: does not exist. Check the path.",
                remedy="Check the path"),
        Outcome("/books/a.pdf", lost, document(failed=1), flaws=(CHUNK, MERGE, CUT, CUT)),
    ]  # fmt: skip

    rows = [tuple(row.values()) for row in failure_table(outcomes)]

    assert rows[0] == ("b.pdf", "does not exist", "Check the path")
    assert rows[1] == ("a.pdf", "no text on page 2", "Run ocrmypdf")
    assert [each[1].replace("\n", " ") for each in rows[2:]] == [
        "no usable notes on pages 3–7 (empty, truncated)",
        "the notes on page iv stand unmerged (loop)",
        "2 of the merges saw only a part of the notes",
    ]
    assert all(remedy for _, _, remedy in rows)


def test_a_cell_is_never_wider_than_its_column() -> None:
    """The UI breaks no line; a command stays in one, so that it can be copied."""
    name = "/books/用小望远镜看星空：给没有赤道仪的爱好者的入门指南（第二版，修订）.pdf"
    remedy = "Get a fresh copy of it, or try `qpdf in.pdf out.pdf` and use out.pdf"
    outcome = Outcome(name, error=f"{name}: is no text at all{'!' * 50}. {remedy}.", remedy=remedy)

    [row] = failure_table([outcome])
    lines = {column: cell.split("\n") for column, cell in row.items()}

    assert max(map(cell_len, lines.pop("source"))) <= 20
    assert max(cell_len(line) for each in lines.values() for line in each) <= 34
    assert any("`qpdf in.pdf out.pdf`" in line for line in lines["what to do"])
    assert " ".join(lines["what to do"]) == remedy


def test_a_run_without_failures_says_so() -> None:
    [row] = failure_table([Outcome("/books/a.pdf", source(), document(ok=3))])

    assert row["what happened"] == "nothing failed and nothing was left out"


def test_coverage_names_how_each_source_ended() -> None:
    """Twins and failures have no segments of their own; all rows have the same columns."""
    outcomes = [
        Outcome("/books/a.pdf", source(), document(ok=1234, kept=6), asked=50),
        Outcome("/books/b.pdf", source(), twin="/books/a.pdf"),
        Outcome("/books/c.pdf", error="/books/c.pdf: is empty"),
        Outcome("/books/d.pdf", source(status="partial"), document(ok=1)),
        Outcome("/books/e.pdf", source(), document(ok=1), flaws=(MERGE,)),
        Outcome("/books/f.pdf", source(), twin="/books/c.pdf", error="same content as c.pdf: …"),
    ]

    rows = coverage_table(outcomes)

    assert [row["result"] for row in rows] == [
        "ok", "same as\na.pdf", "failed", "with warnings", "with warnings", "failed",
    ]  # fmt: skip
    assert (rows[0]["summarised"], rows[0]["left out"]) == ("1,234", "6")
    assert len({tuple(row) for row in rows}) == 1
    assert [row["source"] for row in rows] == [f"{name}.pdf" for name in "abcdef"]


def test_tokens_and_latencies_are_told_by_task(tmp_path: Path) -> None:
    """p50 and p95 each in a column; a dash where the server does not tell."""
    for n in range(20):
        Ledger(tmp_path).record(
            Generation(
                key=str(n), attempt=1, task="merge" if n == 19 else "summarize", source_id="s",
                first_n=1, last_n=1, level=0, text="", status="ok", prompt_tokens=1000,
                completion_tokens=50, e2e_s=float(n + 1), flow_run_id="run",
                started_at=datetime(2026, 11, 20, tzinfo=UTC),
            )
        )  # fmt: skip
    found = statistics(tmp_path, "run")

    tokens = {row["task"]: row for row in token_table(found)}
    latencies = {row["seconds"]: row for row in latency_table(found)}

    assert tokens["all"]["prompt"] == "20,000"
    assert (tokens["summarize"]["calls"], tokens["merge"]["calls"]) == ("19", "1")
    assert latencies["in all"]["summarize, p50"] == "10.00"
    assert latencies["in all"]["summarize, p95"] == "18.10"
    assert latencies["in the queue"]["merge, p50"] == "–"


def test_a_web_page_gets_paths_in_place_of_links_to_files() -> None:
    """A browser follows no file: link from a web page; one to the web it does."""
    text = "- It runs \\[1\\]. ([p. \\[3\\]](file:///a%20b.pdf#page=3), [p. 4](https://x/y.pdf#page=4))"

    shown = for_a_web_page(text, ["/results/my_summary.md"])

    assert "(p. \\[3\\], [p. 4](https://x/y.pdf#page=4))" in shown
    assert "file:" not in shown
    assert "- /results/my\\_summary.md" in shown


def test_a_name_is_shown_as_it_is_and_not_as_markup() -> None:
    """Prefect's UI takes cells for Markdown; a command stays one that can be copied."""
    row = {"source": "<b>*a*</b> [x](javascript:y).pdf", "do": "Run `lectern doctor` *now*\n# 1"}

    assert as_markdown([row]) == [
        {
            "source": r"\<b>\*a\*\</b> \[x\](javascript:y).pdf",
            "do": "Run `lectern doctor` \\*now\\*\n\\# 1",
        }
    ]


def test_of_translations_it_says_how_the_lines_ended() -> None:
    kept = [Flaw("line_kept", "page", str(n), str(n), "untranslated") for n in (3, 3, 7)]
    failed = Flaw("line_failed", "page", "9", "9", "figures")
    made = replace(document(ok=400, repaired=6, kept=5, failed=1), kind="translation")
    outcomes = [
        Outcome("/a.pdf", source(n_segments=412), made, flaws=(*kept, failed)),
        Outcome("/b.pdf", error="/b.pdf: does not exist"),
    ]

    [row, _] = coverage_table(outcomes)

    assert [row[name] for name in ("failed", "kept", "repaired", "ok")] == ["1", "5", "6", "400"]
    said = "412 of 412 segments accounted for: 400 ok, 6 repaired, 5 kept, 1 failed"
    assert accounted_for(outcomes) == said
    told = [row["what happened"].replace("\n", " ") for row in failure_table(outcomes)]
    assert told[:2] == [
        "3 lines kept in the source's language, pages 3, 7 (untranslated)",
        "1 line doubtful, page 9 (figures)",
    ]
