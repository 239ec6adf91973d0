"""The inbox: what is new by content, once, in spite of bad files, hours and copies under way."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from support.flow_runs import translate_inbox
from support.forbidden import forbid
from support.pdfs import raw
from support.scripted_server import ScriptedServer
from support.tiny_model import write_tiny_model

from flows.clean.items import Kind
from flows.clean.removal import find, remove
from flows.intake import Inbox, begun_last, next_time
from flows.rounds import Outcome
from tasks.errors import SourceError
from tasks.land.inbox import new_files
from tasks.records import Source
from tasks.settings import PROJECT_ROOT, Settings, settings

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

    assert new_files(tmp_path / "results", paths, "m", "zh") == ([], [path])
    later = time.time() + 61
    monkeypatch.setattr("tasks.land.inbox.time.time", lambda: later)
    new, unsettled = new_files(tmp_path / "results", paths, "m", "zh")
    assert [each.path for each in new] == [path]
    assert unsettled == []


def test_a_run_says_that_files_are_still_copied(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is nothing else, and where there is."""
    inbox = tmp_path / "inbox"
    write(inbox / "a.txt", note(1))
    state, _ = translate_inbox(tiny_model, inbox)
    expected = "Nothing new; 1 file is still being copied: left for the next time."
    assert (state.name, state.message) == ("Completed", expected)

    time.sleep(0.2)
    now = write(inbox / "b.txt", note(2)).stat().st_mtime
    monkeypatch.setattr("tasks.land.inbox._SETTLED_S", 0.1)
    monkeypatch.setattr("tasks.land.inbox.time", SimpleNamespace(time=lambda: now))
    state, outcomes = translate_inbox(tiny_model, inbox)
    assert set(outcomes) == {"a.txt"}
    assert "1 left for the next time" in str(state.message)


@pytest.mark.usefixtures("settled")
def test_a_file_that_is_renamed_or_replaced_meanwhile_is_new_the_next_time(
    config: Settings, tmp_path: Path
) -> None:
    """Whatever came of the one that was there when the run began."""
    inbox = Inbox(tmp_path / "inbox")
    paths = [write(inbox.folder / f"{n}.txt", note(n)) for n in range(3)]
    taken = inbox.take(config, "m", "zh")
    renamed = paths[0].rename(inbox.folder / "new.txt")
    write(paths[1], note(7))
    for path, error in zip(paths, ("does not exist", "", "is damaged"), strict=True):
        source = Source(source_id="s", uri=str(path))
        taken.ended(Outcome(str(path), source, error=error, twin="" if error else "other"))

    assert inbox.take(config, "m", "zh").uris == [str(paths[1]), str(renamed)]
    assert pl.read_parquet(config.results / "inbox" / "*.parquet")["uri"].to_list() == [
        str(paths[2])
    ]


@pytest.mark.usefixtures("settled")
@pytest.mark.timeout(60)
def test_what_is_no_file_fails_with_its_reason(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; a folder that can't be read each time, for what is in it may be new."""
    inbox = tmp_path / "inbox"
    (inbox / "closed").mkdir(parents=True)
    os.mkfifo(inbox / "pipe.pdf")
    (inbox / "device.pdf").symlink_to("/dev/zero")
    (inbox / "nowhere.pdf").symlink_to(tmp_path / "nowhere")
    forbid(monkeypatch, inbox / "closed")
    state, outcomes = translate_inbox(tiny_model, inbox)

    assert state.is_failed()
    assert {name: each.error.split(": ")[1].split(".")[0] for name, each in outcomes.items()} == {
        "pipe.pdf": "is not a file",
        "device.pdf": "is not a file",
        "nowhere.pdf": "does not exist",
        "closed": "can't be read (Permission denied)",
    }
    assert set(translate_inbox(tiny_model, inbox)[1]) == {"closed"}


def test_an_inbox_that_cannot_be_read_or_made_is_a_failure(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never "Nothing new"."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    forbid(monkeypatch, inbox)
    state, _ = translate_inbox(tiny_model, inbox)
    assert state.is_failed()
    assert "can't be read (Permission denied). Check its permissions" in str(state.message)

    unmade = write(tmp_path / "file", "") / "inbox"
    monkeypatch.setattr("flows.intake.INBOX", unmade)
    state, _ = translate_inbox(tiny_model, unmade)
    assert state.is_failed()
    assert "Not a directory" in str(state.message)


@pytest.mark.usefixtures("settled")
def test_a_tilde_is_the_home(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the folder, of the glossary and of the prompts."""
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "inbox" / "a.txt", note(1))
    write(tmp_path / "terms.csv", "library,藏书楼\n")
    prompt = (PROJECT_ROOT / "prompts" / "translate.toml").read_text(encoding="utf-8")
    own = prompt.replace("user = '''\n", "user = '''\nHear!\n")
    write(tmp_path / "own" / "translate.toml", own)
    state, outcomes = translate_inbox(
        tiny_model, Path("~/inbox"), glossary="~/terms.csv", prompt_dir="~/own"
    )

    assert set(outcomes) == {"a.txt"}, state
    asked = [entry.prompt for entry in server.log]
    assert any("Hear!" in each and "藏书楼" in each for each in asked)


@pytest.mark.usefixtures("settled")
def test_a_translation_that_is_gone_is_made_again_unasked(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    write(inbox / "a.txt", note(1))
    translate_inbox(tiny_model, inbox)
    asked = len(server.log)
    assert translate_inbox(tiny_model, inbox)[1] == {}
    remove(settings(), find(settings(), [Kind.documents], 0), 0)
    _, outcomes = translate_inbox(tiny_model, inbox)

    assert set(outcomes) == {"a.txt"}
    assert len(server.log) == asked
    document = outcomes["a.txt"].document
    assert document is not None
    assert Path(document.paths[0]).is_file()


@pytest.mark.usefixtures("settled")
def test_again_takes_what_is_not_good_and_asks_nothing_twice(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """Here a document with a page that shows something and has no text."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    text = b"BT /F1 10 Tf 60 700 Td (The library lends its tools to all who ask.) Tj ET"
    (inbox / "partial.pdf").write_bytes(raw([text, b"60 60 400 400 re f"]))
    write(inbox / "good.txt", note(1))
    _, outcomes = translate_inbox(tiny_model, inbox)
    assert outcomes["partial.pdf"].warnings
    asked = len(server.log)
    assert translate_inbox(tiny_model, inbox)[1] == {}

    assert set(translate_inbox(tiny_model, inbox, again=True)[1]) == {"partial.pdf"}
    assert len(server.log) == asked


@pytest.mark.usefixtures("settled")
def test_what_failed_is_tried_again_when_it_can_be_read_in_another_way(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its remedy says: with more memory, by programs that were missing."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing that could be read")
    write(inbox / "good.txt", note(1))
    translate_inbox(tiny_model, inbox)
    assert translate_inbox(tiny_model, inbox)[1] == {}

    monkeypatch.setenv("LECTERN_PDF_MEMORY_MB", "4096")
    settings.cache_clear()
    assert set(translate_inbox(tiny_model, inbox)[1]) == {"broken.pdf"}
    monkeypatch.setattr("tasks.extract.ocr.means", lambda: "tesseract 9 ['chi_sim']")
    assert set(translate_inbox(tiny_model, inbox)[1]) == {"broken.pdf"}
    monkeypatch.setattr("flows.documents.EXTRACTOR_VERSION", "x")
    assert set(translate_inbox(tiny_model, inbox)[1]) == {"broken.pdf"}
    assert translate_inbox(tiny_model, inbox)[1] == {}


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
@pytest.mark.soak
def test_many_files_with_some_bad_ones_end_in_one_run_with_warnings(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """Nine tenths are translated, and each of the others has its reason in the tables."""
    n_bad = 20 if os.environ.get("LECTERN_SOAK") else 6
    n_good, inbox = 9 * n_bad, tmp_path / "inbox"
    for n in range(n_good):
        write(inbox / f"{n % 7}" / f"{n}.txt", note(n))
    for n in range(n_bad):
        (inbox / f"bad-{n}.pdf").write_bytes(b"%PDF-1.7\n" + BAD[n % len(BAD)] + b"%d" % n)
    state, outcomes = translate_inbox(tiny_model, inbox)

    assert (state.type.value, state.name) == ("COMPLETED", "Completed with warnings")
    assert str(state.message).startswith(f"{n_good} translations, {n_bad} sources failed; ")
    assert len(outcomes) == n_good + n_bad
    inboxed = pl.read_parquet(settings().results / "inbox" / "*.parquet")
    counts = inboxed["status"].value_counts().sort("status").rows()
    assert counts == [("failed", n_bad), ("ok", n_good)]
    failed = inboxed.filter(pl.col("status") == "failed")
    assert failed["error"].str.len_chars().min() > 20
    assert failed["uri"].n_unique() == n_bad
    asked = len(server.log)
    assert translate_inbox(tiny_model, inbox)[1] == {}
    assert len(server.log) == asked


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-20 01:00", "2026-11-20 07:00"),  # in time
        ("2026-11-20 14:00", "2026-11-20 07:00"),  # late, and over
        ("2026-11-23 01:05", "2026-11-23 07:00"),  # tonight's, which it keeps from beginning
        ("2026-11-23 00:55", "2026-11-22 07:00"),
        ("2026-11-19 23:00", "2026-11-20 07:00"),  # early
    ],
)
def test_a_run_that_is_days_late_stands_for_tonights(now: str, expected: str) -> None:
    planned = datetime.fromisoformat("2026-11-20 01:00").astimezone()
    begun = begun_last(planned, datetime.fromisoformat(now).astimezone())

    assert next_time("07:00", begun) == datetime.fromisoformat(expected).astimezone()


def test_the_next_time_of_a_clock_may_be_tomorrow() -> None:
    now = datetime(2026, 11, 21, 23, 30).astimezone()

    assert next_time("23:45", now) - now == timedelta(minutes=15)
    assert next_time("06:00", now) - now == timedelta(hours=6, minutes=30)
    with pytest.raises(SourceError, match="no time of day"):
        next_time("late", now)
