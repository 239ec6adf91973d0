"""Real documents through the whole of Lectern, with the demo model in the real pool."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pypdf
import pytest
from support.citations import citations_astray
from support.project import copy_project

from flows.server import RunningServer
from tasks.pool.lifecycle import stop_pool
from tasks.settings import PROJECT_ROOT, Settings

Lectern = Callable[..., subprocess.CompletedProcess[str]]
SOAK = bool(os.environ.get("LECTERN_SOAK"))
SAMPLES = PROJECT_ROOT / "data" / "samples"
DEPLOYED, COMMANDED = "chinese-zh.pdf", "two-columns-en.pdf"
SHORT = slice(40, 46)  # pages, where the whole book would take too long


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.timeout(7200 if SOAK else 600)
@pytest.mark.parametrize("name", ["debian-reference.en.pdf", "debian-reference.zh-cn.pdf"])
def test_every_citation_leads_to_the_page_that_holds_it(
    name: str, material: Path, config: Settings, tmp_path: Path, lectern: Lectern
) -> None:
    """A summary of a real book is finished, complete, and cites no wrong page."""
    book = material / "pdf" / "good" / name
    if not SOAK:
        book = _excerpt(book, tmp_path / name)

    try:
        done = lectern("summarize", str(book), timeout=7000)
    finally:
        stop_pool(config)

    assert done.returncode == 0, done.stderr
    checked, astray = citations_astray(config.results, book)
    assert checked >= 3
    assert astray == []
    [document] = pl.read_parquet(config.results / "documents" / "*.parquet").iter_rows(named=True)
    coverage = document["coverage"]
    n_segments = pl.read_parquet(config.results / "segments" / "*.parquet").height
    assert sum(coverage.values()) == n_segments
    assert coverage["failed"] == 0


@pytest.mark.slow
def test_a_deployment_and_a_command_share_one_model(
    tmp_path: Path, prefect_server: RunningServer
) -> None:
    """Two runs at once, one through `lectern up`: both right, answered by one worker."""
    project = copy_project(tmp_path, prefect_server)
    results = project.root / "data" / "results"
    sources = json.dumps([f"data/samples/{DEPLOYED}"])
    up = project.up()
    try:
        command = project.start("flows.cli", "summarize", f"data/samples/{COMMANDED}")
        deployed = project.run(
            "prefect", "deployment", "run", "summarize-pdf", "-p", f"sources={sources}", "--watch",
            timeout=240,
        )  # fmt: skip
        said = command.communicate(timeout=240)[0]
    finally:
        up.stop()

    assert deployed[0] == 0, deployed[1]
    assert command.returncode == 0, said
    generations = pl.read_parquet(results / "generations" / "*.parquet")
    assert generations["flow_run_id"].n_unique() == 2
    assert generations["worker"].n_unique() == 1
    documents = pl.read_parquet(results / "documents" / "*.parquet")
    assert documents.height == 2
    for pdf in (DEPLOYED, COMMANDED):
        checked, astray = citations_astray(results, SAMPLES / pdf)
        assert checked >= 3
        assert astray == []


NOTES = """The library lends its tools to all who ask for them in the morning.
Nobody has counted them since the old bench was sold to a neighbour.
Most of the saws hang on the wall behind the door of the cellar.
Whoever takes one writes its name into the book on the table.
"""


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_an_echo_is_caught_on_every_line(
    config: Settings, tmp_path: Path, lectern: Lectern
) -> None:
    """The demo model repeats what it is shown: nothing of it passes for a translation."""
    path = tmp_path / "notes.txt"
    path.write_text(NOTES, encoding="utf-8")
    try:
        done = lectern("translate", str(path), "--to", "zh", timeout=250)
    finally:
        stop_pool(config)

    assert done.returncode == 1, done.stderr
    assert "no usable answer" in done.stderr
    lines = pl.read_parquet(config.results / "lines" / "*.parquet").sort("n")
    assert lines["text"].to_list() == NOTES.splitlines()
    assert set(lines["status"]) == {"kept"}
    assert lines.filter(pl.col("reason").str.contains("untranslated")).height == lines.height
    calls = pl.read_parquet(config.results / "generations" / "*.parquet")
    first = calls.filter(pl.col("level") == 0)
    assert first.height == 1
    assert "untranslated" in first["checks"][0].to_list()


def _excerpt(book: Path, path: Path) -> Path:
    writer = pypdf.PdfWriter()
    for page in pypdf.PdfReader(book).pages[SHORT]:
        writer.add_page(page)
    writer.write(path)
    return path
