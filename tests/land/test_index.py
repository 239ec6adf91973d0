"""The index lists all documents of all runs, for readers of two languages, and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from filelock import FileLock

from tasks import locks
from tasks.errors import StorageError
from tasks.extract import Extracted
from tasks.land import index, land_source, land_summary, write_index
from tasks.land.cost import cost_of
from tasks.land.index import entries
from tasks.land.tables import SCHEMA_VERSION, to_frame, write_table
from tasks.records import Coverage, Document, Generation, Source

START = datetime(2026, 11, 20, tzinfo=UTC)
HOSTILE = '<script>alert(1)</script> "><img src=x onerror=alert(1)> &amp; {{ 7 * 7 }}'


def source(n: int, **changes: object) -> Source:
    plain = Source(
        source_id=f"s{n}", uri=f"/books/{n}.pdf", title=f"Book {n}", read_at=START, n_segments=3
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def document(n: int, **changes: object) -> Document:
    plain = Document(
        document_id=f"{n:064}", source_id=f"s{n}", kind="summary", language="en", length="medium",
        model="/models/m.gguf", title=f"Book {n}", sections=(), coverage=Coverage(ok=3),
        created_at=START + timedelta(hours=n), calls=57, prompt_tokens=120_000,
        completion_tokens=9_000, busy_s=3723.4,
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def land(results: Path, *found: Source | Document) -> None:
    for each in found:
        if isinstance(each, Source):
            land_source(results, Extracted(source=each, segments=()))
        else:
            land_summary(results, source(0), each, ())


class Page(HTMLParser):
    """What a browser would make of the index."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> list[str]:
        return [attrs["href"] or "" for tag, attrs in self.tags if tag == "a"]


def test_the_newest_comes_first_with_what_it_took(tmp_path: Path) -> None:
    """By the time of landing, whatever the titles are."""
    land(tmp_path, *(source(n) for n in (1, 2, 3)), *(document(n) for n in (2, 3, 1)))
    text = Page(write_index(tmp_path)).text

    assert re.findall(r"Book \d", text) == ["Book 3", "Book 2", "Book 1"]
    assert all(each in text for each in ("m.gguf", "57", "120,000", "9,000", "1:02:03"))
    assert "English" in text
    assert "英文" in text


def test_each_ends_as_it_ended(tmp_path: Path) -> None:
    """Also what has no summary stands there, with what is wrong and what to do."""
    land(
        tmp_path,
        source(1), document(1),
        source(2, status="partial", error="2.pdf: no text on page 3. Run ocrmypdf."), document(2),
        source(3), document(3, coverage=Coverage(ok=1, failed=2), failed_pages=("iv",)),
        source(4), document(4, coverage=Coverage(failed=3)),
        source(5, status="failed", error="5.pdf: is empty. Get a fresh copy."),
        source(6),
    )  # fmt: skip

    assert {entry.title[-1]: entry.state for entry in entries(tmp_path)} == {
        "1": "ok", "2": "warnings", "3": "warnings", "4": "failed", "5": "failed",
        "6": "unfinished",
    }  # fmt: skip
    text = Page(write_index(tmp_path)).text.replace("\N{NO-BREAK SPACE}", " ")
    assert "⚠ 2.pdf: no text on page 3. Run ocrmypdf." in text
    assert "⚠ 5.pdf: is empty. Get a fresh copy." in text
    assert "no usable notes on pages: iv" in text
    assert "the same command goes on where it was" in text


def test_a_source_that_was_mended_is_not_called_failed(tmp_path: Path) -> None:
    """Of a place without a summary counts what was read there last."""
    later = START + timedelta(hours=1)
    land(
        tmp_path,
        source(1, uri="/books/a.pdf", status="failed", error="a.pdf: does not exist"),
        source(2, uri="/books/a.pdf", read_at=later), document(2),
        source(3, uri="/books/b.pdf"),
        source(4, uri="/books/b.pdf", status="failed", error="b.pdf: is empty", read_at=later),
    )  # fmt: skip

    assert [(entry.title, entry.state) for entry in entries(tmp_path)] == [
        ("Book 2", "ok"),
        ("Book 4", "failed"),
    ]


def test_links_hold_when_the_folder_moves(tmp_path: Path) -> None:
    """To summaries they are relative; to sources they can't be."""
    before, after = tmp_path / "before", tmp_path / "后 来"
    land(before, source(1, uri="/books/a b#1.pdf"), document(1, title="100% true? 真的 #1"))
    write_index(before)
    before.rename(after)
    links = Page(write_index(after)).links()
    inside = [link for link in links if not link.startswith("file:")]

    assert len(inside) == 2
    assert all((after / unquote(link)).is_file() for link in inside)
    assert [link for link in links if link not in inside] == ["file:///books/a%20b%231.pdf"]


def test_it_loads_and_runs_nothing(tmp_path: Path) -> None:
    """Whatever titles, names and messages hold stays text."""
    land(
        tmp_path,
        source(1, uri=f"/books/{HOSTILE}", error=HOSTILE, status="partial"),
        document(1, title=HOSTILE, model=HOSTILE, language=HOSTILE, failed_pages=(HOSTILE,)),
        source(2, uri="https://x.org/<b>.pdf", title=HOSTILE, error=HOSTILE, status="failed"),
    )
    page = Page(write_index(tmp_path))
    policy = next(attrs["content"] for _, attrs in page.tags if "http-equiv" in attrs)

    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "b", "form"} == set()
    assert not any(name.startswith(("on", "src")) for _, attrs in page.tags for name in attrs)
    assert page.text.count(HOSTILE) >= 6


@pytest.mark.parametrize(
    ("locale", "language"), [("zh_CN.UTF-8", "zh"), ("en_GB.UTF-8", "en"), ("C", "en"), ("", "en")]
)
def test_the_users_locale_chooses_the_language(
    locale: str, language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the reader does, without a script."""
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", locale)
    page = Page(write_index(tmp_path))
    checked = [attrs["id"] for tag, attrs in page.tags if tag == "input" and "checked" in attrs]

    assert checked == [f"reader-{language}"]
    assert "There are no documents yet." in page.text
    assert "还没有任何文档。" in page.text


def test_rows_of_an_older_lectern_are_listed(tmp_path: Path) -> None:
    """They have no date and no cost."""
    for table, record in (("sources", source(1)), ("documents", document(1))):
        old = to_frame(table, [record])
        new = {"read_at", "remedy", "created_at", "flow_run_id", "busy_s"}
        new |= {"calls", "prompt_tokens", "completion_tokens"}
        kept = old.drop(new & set(old.columns))
        write_table(tmp_path / table / "old.parquet", table, kept)

    [entry] = entries(tmp_path)
    assert (entry.title, entry.state, entry.calls) == ("Book 1", "ok", None)
    assert "Book 1" in Page(write_index(tmp_path)).text


def test_runs_that_end_at_once_lose_no_document(tmp_path: Path) -> None:
    """Each lands and makes the index; the last of them sees what all have landed."""

    def finish(n: int) -> None:
        land(tmp_path, source(n), document(n))
        write_index(tmp_path)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(finish, range(1, 25)))

    text = Page(tmp_path / "index.html").text
    assert set(re.findall(r"Book (\d+)", text)) == {str(n) for n in range(1, 25)}
    assert list(tmp_path.glob(".*.tmp")) == []


def test_many_documents_are_listed_each_once(tmp_path: Path) -> None:
    """Two thousand take about a second on a quiet machine; here it is some
    hundreds, of files that are not synced one by one."""
    about = {"lectern.table": "documents", "lectern.schema_version": str(SCHEMA_VERSION)}
    (tmp_path / "documents").mkdir()
    for n in range(300):
        row = to_frame("documents", [document(n, paths=("documents/b-00000000/summary.html",))])
        row.write_parquet(tmp_path / "documents" / f"{n}.parquet", metadata=about)

    page = write_index(tmp_path).read_text(encoding="utf-8")

    assert (
        len(
            set(
                re.findall(
                    r'<a class="main" href="documents/b-00000000/summary.html">(Book \d+)</a>', page
                )
            )
        )
        == 300
    )


def test_a_cost_counts_every_call_and_no_second_twice() -> None:
    """Two calls at once from 0 to 4 s and from 1 to 3 s, and one from 10 to 11: five seconds."""
    calls = [
        Generation(
            key=str(n), attempt=1, task="summarize", source_id="s", first_n=1, last_n=1, level=0,
            text="", status="ok", prompt_tokens=100, completion_tokens=10,
            started_at=START + timedelta(seconds=start), e2e_s=seconds,
        )
        for n, (start, seconds) in enumerate([(0, 4.0), (10, 1.0), (1, 2.0), (5, None)])
    ]  # fmt: skip
    cost = cost_of(calls)

    assert (cost.calls, cost.prompt_tokens, cost.completion_tokens) == (4, 400, 40)
    assert cost.busy_s == pytest.approx(5)


def test_an_index_that_another_run_never_finishes_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for ever for what the next run makes anew, and nobody waits in silence."""
    monkeypatch.setattr(index, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(locks, "_SILENT_S", 0.1)
    land(tmp_path, source(1))

    with (
        FileLock(tmp_path / ".index.lock"),
        pytest.raises(StorageError, match="another run has been making it"),
    ):
        write_index(tmp_path)

    assert "waiting for another run, which makes the index" in caplog.text


def test_a_translation_is_called_one_and_tells_of_doubtful_pages(tmp_path: Path) -> None:
    """What stands beside the source is not linked: the results may be moved."""
    beside = "/home/u/documents/books/1.zh.html"
    land_source(tmp_path, Extracted(source=source(1), segments=()))
    made = document(
        1, kind="translation", length="", failed_pages=("3", "7"),
        paths=(str(tmp_path / "documents" / f"x-{'0' * 8}" / "translation.html"), beside),
    )  # fmt: skip
    write_table(tmp_path / "documents" / "1.parquet", "documents", to_frame("documents", [made]))

    [entry] = entries(tmp_path)
    page = Page(write_index(tmp_path))

    assert (entry.kind, entry.state) == ("translation", "warnings")
    assert [file.text for file in entry.files] == ["translation.html"]
    assert "Lines are untranslated or doubtful on pages: 3, 7" in page.text
    assert beside not in page.links()
