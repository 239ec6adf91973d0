"""The inbox: what is new by content, once, in spite of bad files, hours and copies under way."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from support.flow_runs import translate_inbox
from support.scripted_server import ScriptedServer
from support.tiny_model import write_tiny_model

from flows.intake import next_time
from tasks.errors import SourceError
from tasks.land.inbox import new_files
from tasks.settings import Settings, settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


BAD = (b"", b"nothing that could be read", b"1 0 obj\n<< /Type /Catalog", b"xref\n0 1\ntrailer\n")


@pytest.fixture
def server(config: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        monkeypatch.setenv("LECTERN_POOL_URL", server.url)
        settings.cache_clear()
        yield server


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as whole at once."""
    monkeypatch.setattr("tasks.land.inbox._SETTLED_S", 0.0)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def note(n: int) -> str:
    return f"The library lends tool number {n} to all who ask. It is closed on day {n}.\n" * 3


@pytest.mark.usefixtures("settled")
def test_each_content_is_translated_once_whatever_its_name(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    first = write(inbox / "a.txt", note(1))
    write(inbox / "deep" / "b.txt", note(2))
    state, outcomes = translate_inbox(tiny_model, inbox)
    assert state.name == "Completed"
    assert str(state.message).startswith("2 translations; ")
    asked = len(server.log)

    shutil.copy(first, inbox / "copy.txt")
    state, _ = translate_inbox(tiny_model, inbox)
    assert (state.name, state.message) == ("Completed", "Nothing new.")

    write(inbox / "a.txt", note(3))
    state, outcomes = translate_inbox(tiny_model, inbox)
    assert set(outcomes) == {"a.txt"}
    assert len(server.log) > asked


@pytest.mark.usefixtures("settled")
def test_a_failed_file_is_tried_again_only_when_told(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """Or when it, the model or the prompt has changed."""
    inbox = tmp_path / "inbox"
    (inbox).mkdir()
    (inbox / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing that could be read")
    write(inbox / "good.txt", note(1))
    state, _ = translate_inbox(tiny_model, inbox)
    assert state.name == "Completed with warnings"
    inboxed = pl.read_parquet(settings().results / "inbox" / "*.parquet")
    assert sorted(inboxed["status"]) == ["failed", "ok"]
    assert "broken.pdf" in inboxed.filter(pl.col("status") == "failed")["error"][0]

    assert translate_inbox(tiny_model, inbox)[1] == {}
    assert set(translate_inbox(tiny_model, inbox, again=True)[1]) == {"broken.pdf"}
    assert set(translate_inbox(tiny_model, inbox, to="de")[1]) == {"broken.pdf", "good.txt"}


def test_a_file_that_is_still_copied_is_left_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copying may set an old time of change, and never one of the inode."""
    path = write(tmp_path / "a.txt", "a")
    past = time.time() - 3600
    os.utime(path, (past, past))
    paths = [path, tmp_path / "gone.txt"]

    assert new_files(tmp_path / "results", paths, "m", "zh") == ([], paths)
    later = time.time() + 61
    monkeypatch.setattr("tasks.land.inbox.time.time", lambda: later)
    new, unsettled = new_files(tmp_path / "results", paths, "m", "zh")
    assert [each.path for each in new] == [path]
    assert unsettled == paths[1:]


@pytest.mark.usefixtures("settled")
def test_at_its_hour_nothing_more_is_begun(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is for the next run, which asks nothing twice."""
    inbox = tmp_path / "inbox"
    for n in range(6):
        write(inbox / f"{n}.txt", note(n))
    with monkeypatch.context() as now:
        now.setattr("flows.translate_inbox.next_time", lambda clock, now: now)
        state, outcomes = translate_inbox(tiny_model, inbox, until="06:00")
    assert outcomes == {}
    assert state.is_completed()
    assert "6 left for the next time" in str(state.message)
    assert not server.log

    state, outcomes = translate_inbox(tiny_model, inbox, until="06:00")
    assert len(outcomes) == 6
    assert "left" not in str(state.message)


@pytest.mark.usefixtures("settled")
def test_a_new_model_takes_up_what_failed_and_nothing_else(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing that could be read")
    write(inbox / "good.txt", note(1))
    translate_inbox(tiny_model, inbox)
    other = write_tiny_model(tmp_path / "other.gguf", seed=8)

    assert set(translate_inbox(other, inbox)[1]) == {"broken.pdf"}


@pytest.mark.usefixtures("settled")
def test_an_empty_inbox_is_no_failure(server: ScriptedServer, tmp_path: Path) -> None:
    """Neither is a model asked for, nor a language."""
    (tmp_path / "inbox").mkdir()
    state, _ = translate_inbox(Path("/nowhere.gguf"), tmp_path / "inbox", to=None)
    assert (state.name, state.message) == ("Completed", "Nothing new.")

    state, _ = translate_inbox(Path("/nowhere.gguf"), tmp_path / "none")
    assert state.is_failed()
    assert "there is no such folder" in str(state.message)


@pytest.mark.usefixtures("settled")
@pytest.mark.timeout(900)
def test_many_files_with_some_bad_ones_end_in_one_run_with_warnings(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """180 of 200 are translated, and each of the others has its reason in the tables."""
    inbox = tmp_path / "inbox"
    for n in range(180):
        write(inbox / f"{n % 7}" / f"{n}.txt", note(n))
    for n in range(20):
        (inbox / f"bad-{n}.pdf").write_bytes(b"%PDF-1.7\n" + BAD[n % len(BAD)] + b"%d" % n)
    state, outcomes = translate_inbox(tiny_model, inbox)

    assert (state.type.value, state.name) == ("COMPLETED", "Completed with warnings")
    assert str(state.message).startswith("180 translations, 20 sources failed; ")
    assert len(outcomes) == 200
    inboxed = pl.read_parquet(settings().results / "inbox" / "*.parquet")
    assert inboxed["status"].value_counts().sort("status").rows() == [("failed", 20), ("ok", 180)]
    failed = inboxed.filter(pl.col("status") == "failed")
    assert failed["error"].str.len_chars().min() > 20
    assert failed["uri"].n_unique() == 20
    asked = len(server.log)
    assert translate_inbox(tiny_model, inbox)[1] == {}
    assert len(server.log) == asked


def test_the_next_time_of_a_clock_may_be_tomorrow() -> None:
    now = datetime(2026, 11, 21, 23, 30).astimezone()

    assert next_time("23:45", now) - now == timedelta(minutes=15)
    assert next_time("06:00", now) - now == timedelta(hours=6, minutes=30)
    with pytest.raises(SourceError, match="no time of day"):
        next_time("late", now)
