"""The outside documents that are broken, encrypted or awkward: one run, one row each, none lost."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import defaultdict
from pathlib import Path
from uuid import UUID

import polars as pl
import pypdf
import pypdfium2 as pdfium
import pytest
from support.command import Lectern
from support.scripted_server import ScriptedServer

from tasks.naming import path_of
from tasks.settings import Settings

FOLDERS = ("broken", "encrypted", "awkward")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("prefect_server")]


def test_all_outside_documents_in_one_run(
    lectern: Lectern, material: Path, tiny_model: Path, config: Settings
) -> None:
    """A row and a line each, none called ok that lost a page; completed with warnings."""
    folders = [str(material / "pdf" / name) for name in FOLDERS]
    paths = {path for folder in folders for path in Path(folder).iterdir()}
    paths = {path for path in paths if path.suffix in (".pdf", ".md")}  # not the licences
    by_content: defaultdict[bytes, set[Path]] = defaultdict(set)
    for path in paths:
        by_content[hashlib.sha256(path.read_bytes()).digest()].add(path)

    with ScriptedServer() as server:
        answer = lectern(
            "summarize", *folders, "--model", str(tiny_model), timeout=800,
            LECTERN_POOL_URL=server.url,
        )  # fmt: skip

    said = answer.stdout + answer.stderr
    assert answer.returncode == 2, said
    assert "Traceback" not in said
    assert name_of_run(said) == "Completed with warnings"
    rows = pl.read_parquet(config.results / "sources" / "*.parquet")
    segments = pl.read_parquet(config.results / "segments" / "*.parquet")
    by_path = {path_of(row["uri"]): row for row in rows.iter_rows(named=True)}
    assert rows.height == len(by_path) == len(by_content)
    assert set(by_path) <= paths
    assert all(len(same & set(by_path)) == 1 for same in by_content.values())
    assert said.count("same content as") == len(paths) - len(by_content)
    for path, row in by_path.items():
        mine = segments.filter(pl.col("source_id") == row["source_id"])
        assert (row["status"] == "failed") == mine.is_empty()
        assert (row["status"] == "ok") == (not row["error"])
        assert bool(row["error"]) == bool(row["remedy"])
        if row["status"] == "failed":
            assert f"✗ {row['error']}" in said.splitlines()
            continue
        assert f"{path.name}: {row['n_segments']} of" in answer.stdout
        if path.suffix == ".pdf":
            told = {*mine["page"], *row["pages_without_text"]}
            assert lost_pages(path, row["n_pages"], told) == []
    assert {row["status"] for row in by_path.values()} >= {"ok", "failed"}


def name_of_run(said: str) -> str | None:
    """Ask Prefect how the run ended whose page the command names."""
    from prefect.client.orchestration import get_client

    found = re.search(r"flow-run/([0-9a-f-]{36})", said)
    assert found, said
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(found[1])).state_name


def lost_pages(path: Path, n_pages: int, told: set[int]) -> list[int]:
    """Return the pages that have something on them and gave nothing, untold: by a look of our own.

    A page has something on it if not all of its picture is of one shade.
    """
    document = pdfium.PdfDocument(path)
    last = max(len(document), count_by_pypdf(path), n_pages)
    return [
        page
        for page in range(1, last + 1)
        if page > n_pages or (page not in told and shows_something(document[page - 1]))
    ]


def count_by_pypdf(path: Path) -> int:
    """Return how many pages pypdf finds; 0 where it can't tell, by whatever exception."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return len(pypdf.PdfReader(path).pages)
    except Exception:
        return 0


def shows_something(page: pdfium.PdfPage) -> bool:
    picture = page.render(scale=1, grayscale=True).to_numpy()
    return bool(picture.min() != picture.max())
