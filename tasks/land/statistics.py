"""What the runs cost: calls, tokens, rates and latencies by run and task; coverage.

Reads the tables `generations` and `documents`. Does not measure anything itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tasks.land.busy import busy_s, by_time
from tasks.land.tables import collect
from tasks.naming import model_name

LATENCIES = ("queue_s", "prefill_s", "decode_s", "ttft_s", "tpot_s", "e2e_s")
ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds; None where the server did not tell."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStatistics:
    """The calls of one run for one task, or for all its tasks ("all").

    Attributes:
        retries: calls that were a second or later attempt.
        busy_s: seconds in which at least one of the calls was under way. The rates are tokens
            by this time, so they are the throughput of calls that share a batch.
    """

    flow_run_id: str
    task: str
    calls: int
    ok: int
    failed: int
    retries: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    busy_s: float
    prompt_tokens_per_s: float | None
    completion_tokens_per_s: float | None
    latencies: dict[str, Latency]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentCoverage:
    document_id: str
    title: str
    language: str
    length: str
    model: str
    ok: int
    repaired: int
    kept: int
    failed: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Oldest run first; within a run "all" comes first."""

    calls: tuple[CallStatistics, ...]
    documents: tuple[DocumentCoverage, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers, fit for JSON."""
        return {
            "calls": [asdict(row) for row in self.calls],
            "documents": [asdict(row) for row in self.documents],
        }

    def call_table(self) -> tuple[list[str], list[list[str]]]:
        """Return column names and rows of text; latencies as "p50 / p95"."""
        names = ["run", "task", "calls", "ok", "failed", "retries", "prompt tokens", "cached"]
        names += ["completion tokens", "prompt/s", "completion/s", *LATENCIES]
        return names, [list(_call_cells(row)) for row in self.calls]

    def coverage_table(self) -> tuple[list[str], list[list[str]]]:
        """Return column names and rows of text, a row a document; two lines name it."""
        names = ["document", "segments", "ok", "repaired", "kept", "failed"]
        return names, [
            [f"{d.title}\n{d.language}, {d.length}, {model_name(d.model)}"]
            + [str(n) for n in (d.total, d.ok, d.repaired, d.kept, d.failed)]
            for d in self.documents
        ]


def statistics(results: Path, run: str | None = None) -> Statistics:
    """Return the statistics of all runs, or of those whose id begins with `run`.

    Documents are then those whose sources the run asked the model about.

    Raises:
        StorageError: a table can't be read.
    """
    columns = ["flow_run_id", "task", "source_id", "status", "attempt", "started_at"]
    columns += ["prompt_tokens", "cached_tokens", "completion_tokens", *LATENCIES]
    mine = pl.col("flow_run_id").str.starts_with(run or "")
    rows = collect(results, "generations", lambda all_: all_.filter(mine).select(columns))
    by_run = _summed(rows.with_columns(task=pl.lit(ALL)))
    calls = pl.concat([by_run, _summed(rows)]).join(
        by_run.select("flow_run_id", run_started="started_at"), on="flow_run_id"
    )
    ordered = calls.sort("run_started", "flow_run_id", pl.col("task") != ALL, "task")
    sources = None if run is None else rows["source_id"].unique().to_list()
    return Statistics(
        calls=tuple(_calls(row) for row in ordered.iter_rows(named=True)),
        documents=_coverage(results, sources),
    )


def latest_run(results: Path) -> str | None:
    """Return the flow run id of the newest call; None when there is none.

    Raises:
        StorageError: the table can't be read.
    """

    def newest(rows: pl.LazyFrame) -> pl.LazyFrame:
        named = rows.filter(pl.col("flow_run_id") != "")
        return named.select("flow_run_id", "started_at").sort("started_at").tail(1)

    rows = collect(results, "generations", newest)
    return str(rows["flow_run_id"][0]) if rows.height else None


def _summed(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each run and task."""
    quantiles = [
        pl.col(name).quantile(q / 100, "linear").alias(f"{name}_p{q}")
        for name in LATENCIES
        for q in (50, 95)
    ]
    tokens = [pl.col(f"{kind}_tokens").sum() for kind in ("prompt", "cached", "completion")]
    return (
        by_time(rows)
        .group_by("flow_run_id", "task")
        .agg(
            *tokens,
            *quantiles,
            pl.col("started_at").min(),
            calls=pl.len(),
            ok=(pl.col("status") == "ok").sum(),
            failed=(pl.col("status") == "failed").sum(),
            retries=(pl.col("attempt") > 1).sum(),
            busy_s=busy_s(),
        )
    )


def _calls(row: dict[str, Any]) -> CallStatistics:
    seconds = row["busy_s"]
    return CallStatistics(
        flow_run_id=row["flow_run_id"],
        task=row["task"],
        calls=row["calls"],
        ok=row["ok"],
        failed=row["failed"],
        retries=row["retries"],
        prompt_tokens=row["prompt_tokens"],
        cached_tokens=row["cached_tokens"],
        completion_tokens=row["completion_tokens"],
        busy_s=seconds,
        prompt_tokens_per_s=row["prompt_tokens"] / seconds if seconds else None,
        completion_tokens_per_s=row["completion_tokens"] / seconds if seconds else None,
        latencies={
            name: Latency(p50=row[f"{name}_p50"], p95=row[f"{name}_p95"]) for name in LATENCIES
        },
    )


def _coverage(results: Path, sources: list[str] | None) -> tuple[DocumentCoverage, ...]:
    kinds = ("ok", "repaired", "kept", "failed")
    counts = [pl.col("coverage").struct.field(kind) for kind in kinds]

    def query(rows: pl.LazyFrame) -> pl.LazyFrame:
        wanted = rows if sources is None else rows.filter(pl.col("source_id").is_in(sources))
        return wanted.select("document_id", "title", "language", "length", "model", *counts).sort(
            "title", "document_id"
        )

    rows = collect(results, "documents", query).with_columns(total=pl.sum_horizontal(*kinds))
    return tuple(DocumentCoverage(**row) for row in rows.iter_rows(named=True))


def _call_cells(row: CallStatistics) -> Iterator[str]:
    yield from (row.flow_run_id[:8], row.task)
    for count in (row.calls, row.ok, row.failed, row.retries, row.prompt_tokens):
        yield f"{count:,}"
    yield from (f"{row.cached_tokens:,}", f"{row.completion_tokens:,}")
    yield from (_number(row.prompt_tokens_per_s, 0), _number(row.completion_tokens_per_s, 0))
    for name in LATENCIES:
        digits = 4 if name == "tpot_s" else 2
        latency = row.latencies[name]
        yield f"{_number(latency.p50, digits)} / {_number(latency.p95, digits)}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
