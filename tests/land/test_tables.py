"""Tables are plain Parquet files whose columns follow from the records."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl
import pytest

from tasks.errors import StorageError
from tasks.extract import Extracted
from tasks.land import read_table, tables
from tasks.land.sources import land_source
from tasks.records import Segment, Source

SOURCE = Source(
    source_id="a" * 64, uri="/books/茶.pdf", title="茶", n_segments=2, pages_without_text=(3, 5)
)
SEGMENTS = tuple(
    Segment(
        source_id="a" * 64,
        n=n,
        text=text,
        kind="sentence",
        page=1,
        page_label="i",
        paragraph=1,
        heading_path=("第一章", "1.1") if n == 2 else (),
    )
    for n, text in ((1, "第一句。"), (2, "Second."))
)


def test_columns_of_version_4() -> None:
    """A change of the columns shows here: raise SCHEMA_VERSION along with it."""
    text, number, seconds, list_ = pl.String(), pl.Int64(), pl.Float64(), pl.List
    citation = pl.Struct({"n": number, "page": number, "page_label": text, "start_s": seconds})
    chapter = pl.Struct({"start_s": seconds, "title": text, "n": number})
    bullet = pl.Struct({"text": text, "citations": list_(citation), "unsupported": list_(text)})
    expected = {
        "sources": {
            **dict.fromkeys(("source_id", "uri", "kind", "title", "language"), text),
            **dict.fromkeys(("n_pages", "n_segments"), number),
            **dict.fromkeys(("status", "error", "remedy"), text),
            "pages_without_text": list_(number),
            **{"duration_s": seconds, "chapters": list_(chapter)},
            **dict.fromkeys(("transcription", "speech_model"), text),
            "read_at": pl.Datetime("us", "UTC"),
        },
        "segments": {
            **{"source_id": text, "n": number, "text": text, "kind": text, "page": number},
            **{"page_label": text, "paragraph": number, "heading_path": list_(text)},
            **{"start_s": seconds, "end_s": seconds, "speaker": text, "marks": list_(text)},
        },
        "cues": {
            **{"source_id": text, "cue": number, "start_ms": number, "end_ms": number},
            **{"text": text, "speaker": text},
        },
        "words": {
            **{"source_id": text, "n": number, "cue": number, "word": text},
            **{"start_s": seconds, "end_s": seconds},
            **{"is_spaced": pl.Boolean(), "probability": seconds},
        },
        "generations": {
            **{"key": text, "attempt": number, "task": text, "source_id": text},
            **dict.fromkeys(("first_n", "last_n", "level"), number),
            **{"text": text, "status": text, "checks": list_(text)},
            **dict.fromkeys(("error", "finish_reason", "model", "quantization"), text),
            **{"prompt_name": text, "prompt_version": number, "prompt_hash": text},
            "max_tokens": number,
            **dict.fromkeys(("temperature", "top_p", "frequency_penalty"), seconds),
            "seed": number,
            **dict.fromkeys(("prompt_tokens", "cached_tokens", "completion_tokens"), number),
            **dict.fromkeys(("mean_logprob", "queue_s", "prefill_s", "decode_s"), seconds),
            **dict.fromkeys(("ttft_s", "tpot_s", "e2e_s"), seconds),
            **{"worker": text, "started_at": pl.Datetime("us", "UTC")},
            **dict.fromkeys(("flow_run_id", "task_run_id"), text),
        },
        "documents": {
            **dict.fromkeys(("document_id", "source_id", "kind", "language", "length"), text),
            **dict.fromkeys(("model", "title"), text),
            "sections": list_(
                pl.Struct({"heading": text, "bullets": list_(bullet), "start_s": seconds})
            ),
            "coverage": pl.Struct(dict.fromkeys(("ok", "repaired", "kept", "failed"), number)),
            "failed_pages": list_(text),
            "paths": list_(text),
            "created_at": pl.Datetime("us", "UTC"),
            "flow_run_id": text,
            **dict.fromkeys(("calls", "prompt_tokens", "completion_tokens"), number),
            "busy_s": seconds,
        },
        "lines": {
            **{"document_id": text, "source_id": text, "n": number},
            **dict.fromkeys(("text", "status", "reason", "key"), text),
            "mean_logprob": seconds,
        },
        "glossary": {
            **dict.fromkeys(("document_id", "source_id", "uri", "language", "to", "term"), text),
            **dict.fromkeys(("rendering", "note", "origin"), text),
            **{"count": number, "made_by": text, "settled_at": pl.Datetime("us", "UTC")},
        },
        "inbox": {
            **dict.fromkeys(("content", "made_by", "language", "uri", "status", "error"), text),
            **{"final": pl.Boolean(), "document_id": text, "ended_at": pl.Datetime("us", "UTC")},
        },
    }

    assert tables.SCHEMA_VERSION == 4
    assert {name: dict(schema) for name, schema in tables.SCHEMAS.items()} == expected


def test_a_source_and_its_segments_read_back(tmp_path: Path) -> None:
    """Lists, Chinese and empty lists survive; any Parquet reader sees the same."""
    land_source(tmp_path, Extracted(source=SOURCE, segments=SEGMENTS))
    rows = read_table(tmp_path, "segments").sort("n").collect()
    files = pl.read_parquet(tmp_path / "segments" / "*.parquet")

    assert tables.to_records(rows, Segment) == list(SEGMENTS)
    assert tables.to_records(read_table(tmp_path, "sources").collect(), Source) == [SOURCE]
    assert files.sort("n").equals(rows)


def test_documents_of_an_older_lectern_can_be_read(tmp_path: Path) -> None:
    """Columns that it did not have are null, also those within others."""
    now = tables.SCHEMAS["documents"]
    citation = pl.Struct({"n": pl.Int64, "page": pl.Int64, "page_label": pl.String})
    bullet = pl.Struct({"text": pl.String, "citations": pl.List(citation)})
    sections = pl.List(pl.Struct({"heading": pl.String, "bullets": pl.List(bullet)}))
    cited = {"n": 3, "page": 1, "page_label": "i"}
    row = {"sections": [[{"heading": "One", "bullets": [{"text": "A.", "citations": [cited]}]}]]}
    old = pl.DataFrame({"document_id": ["d"], **row}, schema_overrides={"sections": sections})
    about = {"lectern.table": "documents", "lectern.schema_version": "3"}
    (tmp_path / "documents").mkdir()
    old.write_parquet(tmp_path / "documents" / "d.parquet", metadata=about)

    [read] = read_table(tmp_path, "documents").collect().iter_rows(named=True)
    assert read.keys() == now.keys()
    [section] = read["sections"]
    assert section["start_s"] is None
    assert section["bullets"][0]["citations"] == [cited | {"start_s": None}]


def test_landing_a_source_again_changes_no_byte(tmp_path: Path) -> None:
    """The same source has the same files, so its rows never stand there twice."""
    contents = []
    for _ in range(2):
        land_source(tmp_path, Extracted(source=SOURCE, segments=SEGMENTS))
        contents.append({p.name: p.read_bytes() for p in tmp_path.rglob("*.parquet")})

    assert contents[0] == contents[1]


def test_a_failed_source_has_a_row_and_no_segments(tmp_path: Path) -> None:
    """One bad document leaves its trace and no more."""
    failed = dataclasses.replace(SOURCE, status="failed", error="a.pdf: is encrypted")
    land_source(tmp_path, Extracted(source=failed, segments=()))

    assert read_table(tmp_path, "sources").collect()["error"].to_list() == ["a.pdf: is encrypted"]
    assert read_table(tmp_path, "segments").collect().height == 0


def test_a_failed_read_leaves_the_rows_of_a_good_one(tmp_path: Path) -> None:
    """A wrong password or a busy machine takes nothing away; a later success replaces all."""
    failed = dataclasses.replace(SOURCE, status="failed", error="took too long")
    for extracted in (
        Extracted(source=failed, segments=()),
        Extracted(source=SOURCE, segments=SEGMENTS),
        Extracted(source=failed, segments=()),
    ):
        land_source(tmp_path, extracted)

    assert read_table(tmp_path, "sources").collect()["status"].to_list() == ["ok"]
    assert read_table(tmp_path, "segments").collect().height == len(SEGMENTS)


def test_a_name_that_is_no_text_can_be_written(tmp_path: Path) -> None:
    """Linux file names are bytes; those that are no UTF-8 arrive as lone surrogates."""
    source = dataclasses.replace(SOURCE, uri="/books/caf\udce9.pdf")
    land_source(tmp_path, Extracted(source=source, segments=()))

    assert read_table(tmp_path, "sources").collect()["uri"].to_list() == ["/books/caf\\udce9.pdf"]


def test_files_of_an_older_lectern_are_read(tmp_path: Path) -> None:
    """A column that came later is null in them, one that went is not seen."""
    old = tables.to_frame("sources", [SOURCE]).drop("error").with_columns(gone=pl.lit(1))
    tables.write_table(tmp_path / "sources" / "old.parquet", "sources", old)
    rows = read_table(tmp_path, "sources").collect()

    assert rows.schema == tables.SCHEMAS["sources"]
    assert rows["error"].to_list() == [None]


def test_files_of_a_newer_lectern_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Better to say so than to drop what it knows."""
    with monkeypatch.context() as patch:
        patch.setattr(tables, "SCHEMA_VERSION", tables.SCHEMA_VERSION + 1)
        land_source(tmp_path, Extracted(source=SOURCE, segments=()))

    with pytest.raises(StorageError, match="newer Lectern"):
        read_table(tmp_path, "sources")


def test_a_listing_that_misses_a_merge_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's listing is no snapshot: here a merge happens while the first one runs."""
    torn, after = [Path("part-2")], [Path("rows-1"), Path("part-2")]
    listings = iter([torn, after, after])
    monkeypatch.setattr(tables, "_listing", lambda _: next(listings))

    assert tables.list_files(tmp_path) == after
