"""`lectern clean`: what was listed goes, and nothing else; nothing goes that is in use."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flows.clean.items import Kind
from flows.clean.removal import find, remove
from flows.cli.clean import seconds
from flows.in_use import a_run
from flows.server import RunningServer
from tasks.errors import PipelineError
from tasks.extract import Extracted
from tasks.land import Ledger, land_source, land_summary, land_translation, write_index
from tasks.land.inbox import land_entry
from tasks.pool.lifecycle import PoolFiles, hold_lock
from tasks.records import (
    Coverage,
    Document,
    Generation,
    GlossaryEntry,
    InboxEntry,
    Segment,
    Source,
    TranslatedLine,
)
from tasks.settings import Settings

Lectern = Callable[..., subprocess.CompletedProcess[str]]
DAY = 86400.0


def _land(config: Settings, n: int) -> Path:
    """Land a document with its source; return its folder."""
    source = Source(source_id=f"{n:064x}", uri=f"/books/{n}.pdf", title=f"Book {n}")
    land_source(config.results, Extracted(source=source, segments=()))
    document = land_summary(
        config.results, source,
        Document(
            document_id=f"{n:08x}" + "0" * 56, source_id=source.source_id, kind="summary",
            language="en", length="medium", model="m", title=f"Book {n}", sections=(),
            coverage=Coverage(),
        ), (),
    )  # fmt: skip
    return Path(document.paths[0]).parent


def _record(config: Settings, key: str) -> None:
    Ledger(config.results).record(
        Generation(key=key, attempt=1, task="summarize", source_id="s", first_n=1, last_n=1,
                   level=0, text="- a [1]", status="ok")
    )  # fmt: skip


def _write(path: Path, text: str = "x" * 1000, days: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    _age(path, days)
    return path


def _age(path: Path, days: float) -> None:
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))


def _all(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")
            if not path.name.endswith(".lock")}  # fmt: skip


def _clean(config: Settings, *kinds: Kind, days: float = 0) -> None:
    found = find(config, kinds, days * DAY)
    assert remove(config, found, days * DAY).problems == []


def test_a_document_goes_with_its_row_and_nothing_else(config: Settings) -> None:
    """Its folder, its row and its line in the index; the other's stay, and so does the ledger."""
    gone, kept = _land(config, 1), _land(config, 2)
    _record(config, "k")
    write_index(config.results)
    _age(gone.parent / ("00000001" + "0" * 56 + ".parquet"), 40)
    for path in gone.iterdir():
        _age(path, 40)
    before = _all(config.results)
    _clean(config, Kind.documents, days=30)

    files = {f"documents/{gone.name}/{name}" for name in ("summary.md", "summary.html")}
    lost = {*files, f"documents/{gone.name}", "documents/00000001" + "0" * 56 + ".parquet"}
    assert before - _all(config.results) == lost
    assert kept.is_dir()
    index = (config.results / "index.html").read_text()
    assert f"{kept.name}/summary.html" in index
    assert f"{gone.name}/summary.html" not in index


def test_what_is_not_lecterns_stays(config: Settings) -> None:
    """Notes in a document's folder, foreign files in every folder, and what links lead to."""
    folder = _land(config, 1)
    elsewhere = _write(config.home.parent / "elsewhere" / "summary.md")
    _write(elsewhere.parent / "server.log", days=9)
    foreign = [
        _write(folder / "my notes.md"),
        _write(config.results / "documents" / "thesis.txt"),
        _write(config.results / "generations" / "mine.csv"),
        _write(config.results / "generations" / ".hidden.tmp", days=9),
        _write(config.home / "pool.key"),
        _write(config.home / "prefect" / "auth"),
    ]
    (config.results / "documents" / "Linked-0badcafe").symlink_to(elsewhere.parent)
    (config.home / "logs").symlink_to(elsewhere.parent)
    (config.home / "cache").mkdir()
    (config.home / "cache" / "ocr").symlink_to(elsewhere.parent)
    _clean(config, *Kind)

    assert all(path.exists() for path in foreign)
    assert _all(elsewhere.parent) == {"summary.md", "server.log"}
    assert not (folder / "summary.md").exists()


def test_orphans_and_leftovers_are_found(config: Settings) -> None:
    """A folder whose row is gone, and the part of a file whose writer was killed."""
    folder = _land(config, 1)
    _land(config, 2)
    (folder.parent / ("00000001" + "0" * 56 + ".parquet")).unlink()
    part = _write(config.results / "segments" / f".{'a' * 32}.tmp", days=1)
    fresh = _write(config.results / "segments" / f".{'b' * 32}.tmp")  # its writer may be at work
    found = find(config, [Kind.orphans, Kind.leftovers], 0)

    assert [each.name for each in found[Kind.orphans]] == [str(folder)]
    assert [each.name for each in found[Kind.leftovers]] == [str(part)]
    _clean(config, Kind.orphans, Kind.leftovers)
    assert (folder.exists(), part.exists(), fresh.exists()) == (False, False, True)


def test_age_counts(config: Settings) -> None:
    """From when a log was written, and from when a cache was last used."""
    old = _write(config.home / "logs" / "server.log", days=31)
    new = _write(config.home / "logs" / "worker.log", days=29)
    used = _write(config.home / "vocab" / "a.json", days=40)
    os.utime(used, (time.time(), time.time() - 40 * DAY))
    unused = _write(config.home / "cache" / "ocr" / "b.pdf", days=40)
    _clean(config, Kind.logs, Kind.cache, days=30)

    assert [path.exists() for path in (old, new, used, unused)] == [False, True, True, False]


def test_what_has_changed_since_it_was_listed_stays(config: Settings) -> None:
    """It is another file now, and nobody has seen it in the list."""
    path = _write(config.home / "logs" / "server.log")
    found = find(config, [Kind.logs], 0)
    path.write_text("something else")
    removed = remove(config, found, 0)

    assert path.read_text() == "something else"
    assert (removed.n_bytes, removed.n_items) == (0, 0)
    assert "it has changed meanwhile" in removed.problems[0]


def test_only_models_from_the_hub_are_models(
    config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GGUF files and begun downloads, with their links; other programs' models stay."""
    from huggingface_hub import constants

    hub = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    blob = _write(hub / "models--a--gguf" / "blobs" / "e1", days=3)
    link = hub / "models--a--gguf" / "snapshots" / "r" / "model.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    _write(hub / "models--b--begun" / "blobs" / "e2.part", days=3)
    other = _write(hub / "models--c--torch" / "blobs" / "e3", days=3)
    dataset = _write(hub / "datasets--d" / "blobs" / "x.gguf", days=3)
    found = find(config, [Kind.models], 0)

    assert [Path(each.name).name for each in found[Kind.models]] == [
        "models--a--gguf", "models--b--begun",
    ]  # fmt: skip
    _clean(config, Kind.models)
    assert sorted(path.name for path in hub.iterdir()) == ["datasets--d", "models--c--torch"]
    assert other.exists()
    assert dataset.exists()


def test_the_rows_of_the_inbox_go_by_themselves(config: Settings) -> None:
    """What still lies there is then new once more."""
    entry = InboxEntry(content="c", made_by="m", language="zh", uri="/a.txt", status="failed")
    land_entry(config.results, entry)
    foreign = _write(config.results / "inbox" / "mine.csv")
    _clean(config, Kind.documents, Kind.sources)
    assert len(find(config, [Kind.inbox], 0)[Kind.inbox]) == 1
    _clean(config, Kind.inbox)

    assert list((config.results / "inbox").iterdir()) == [foreign]


def test_nothing_goes_that_is_in_use(config: Settings) -> None:
    """A run keeps all of it, the pool its models and logs, `lectern up` its logs and history."""
    log = _write(config.home / "logs" / "server.log")
    found = find(config, [Kind.logs], 0)
    with a_run(config.home), a_run(config.home), pytest.raises(PipelineError, match="a run is"):
        remove(config, found, 0)
    lock = hold_lock(PoolFiles(config.home))
    assert lock is not None
    with pytest.raises(PipelineError, match="pool stop"):
        remove(config, found, 0)
    lock.release()
    assert log.exists()
    assert remove(config, found, 0).n_items == 1


def test_the_command_lists_asks_and_removes(config: Settings, lectern: Lectern) -> None:
    """A dry run and a "no" remove nothing; what is listed is what goes."""
    path = _write(config.home / "logs" / "a\nb.log", days=3)
    _record(config, "k")
    ledger = next((config.results / "generations").glob("part-*"))
    table = json.loads(lectern("clean", "--json").stdout)
    dry = lectern("clean", "logs", "generations", "--older-than", "0d", "--dry-run")
    refused = lectern("clean", "logs", "--yes", "--older-than", "2x")

    assert (table["logs"]["things"], table["logs"]["bytes"]) == (1, 1000)
    assert (dry.returncode, "Would remove 2 things" in dry.stdout) == (0, True)
    assert "a\\nb.log" in dry.stdout
    assert str(ledger) in dry.stdout
    assert "asked for again" in dry.stderr
    assert (refused.returncode, "this is no age" in refused.stderr) == (1, True)
    assert path.exists()
    unasked = lectern("clean", "logs")  # nobody answers
    assert (unasked.returncode, path.exists()) == (1, True)
    done = lectern("clean", "logs", "--yes")
    assert (done.returncode, path.exists(), ledger.exists()) == (0, False, True)
    assert "Removed 1 things, 1 KB" in done.stdout


def test_old_runs_leave_prefects_history(config: Settings, prefect_server: RunningServer) -> None:
    """Those that ended before, by Prefect's own functions; the newer one and schedules stay."""
    home = config.home / "prefect"
    home.mkdir(parents=True)
    source = prefect_server.log.parent.parent / "prefect" / "prefect.db"
    with (
        closing(sqlite3.connect(source)) as one,
        closing(sqlite3.connect(home / "prefect.db")) as copy,
    ):
        one.backup(copy)
        copy.execute("DELETE FROM flow_run")
        flow = "INSERT INTO flow (id, name) VALUES ('00000000-0000-0000-0000-00000000000f', 'f')"
        copy.execute(flow)
        for name, days in (("old", 40), ("new", 1)):
            copy.execute(
                "INSERT INTO flow_run (id, name, flow_id, state_type, state_name, end_time, "
                "run_count, total_run_time, auto_scheduled, parameters, empirical_policy, tags, "
                "context, work_queue_id, labels) VALUES (?, ?, ?, 'COMPLETED', 'Completed', "
                "datetime('now', ?), 1, 0, 0, '{}', '{}', '[]', '{}', NULL, '{}')",
                (f"00000000-0000-0000-0000-0000000000{days:02}", name, flow[-40:-7],
                 f"-{days} days"),
            )  # fmt: skip
        copy.commit()
    found = find(config, [Kind.history], 30 * DAY)
    assert [each.name.split(",")[0] for each in found[Kind.history]] == ["run old"]
    assert remove(config, found, 30 * DAY).n_items == 1

    left = find(config, [Kind.history], 0)
    assert [each.name.split(",")[0] for each in left[Kind.history]] == ["run new"]


@pytest.mark.parametrize(("age", "expected"), [("30d", 30 * DAY), ("2w", 14 * DAY), (None, 0.0)])
def test_ages(age: str | None, expected: float) -> None:
    """A number and a unit."""
    assert seconds(age) == expected


@pytest.mark.parametrize("age", ["", "d", "-3d", "3", "3.5d", "3 d", "3dd"])
def test_what_is_no_age_is_refused(age: str) -> None:
    """In a line that shows one that is."""
    with pytest.raises(PipelineError, match="30d"):
        seconds(age)


def test_a_translation_goes_with_all_its_rows(config: Settings) -> None:
    segment = Segment(source_id="s", n=1, text="a", kind="sentence", page=None, page_label="",
                      paragraph=1)  # fmt: skip
    entry = GlossaryEntry(
        document_id="d" * 64, source_id="s", uri="/a.txt", language="en", to="zh", term="a",
        rendering="甲", note="", origin="found", count=1, made_by="m",
    )  # fmt: skip
    made = Document(
        document_id="d" * 64, source_id="s", kind="translation", language="zh", length="",
        model="m", title="A", sections=(), coverage=Coverage(ok=1),
    )  # fmt: skip
    line = TranslatedLine(document_id="d" * 64, source_id="s", n=1, text="甲", status="ok")
    source = Source(source_id="s", uri="/a.txt", n_segments=1)
    landed = land_translation(config.results, source, made, [segment], [line], [entry], "bilingual")
    files = [*map(Path, landed.paths), *config.results.glob("*/" + "d" * 64 + ".parquet")]
    assert len(files) >= 6

    remove(config, find(config, [Kind.documents], 0), 0)

    assert [path for path in files if path.exists()] == []
