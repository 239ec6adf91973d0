"""The ledger keeps what it was given: through kills, compaction, and several processes."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import StorageError
from tasks.land import files, ledger, tables
from tasks.land.ledger import Ledger
from tasks.records import Generation, GenerationStatus
from tasks.settings import PROJECT_ROOT

START = datetime(2026, 11, 20, tzinfo=UTC)

# Records generations, and compacts now and then, until it is killed; prints the key of each
# generation once it is recorded.
WRITER = """
import itertools, sys
from pathlib import Path
from tasks.land.ledger import Ledger
from tasks.records import Generation

results, name, compact_every = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
ledger = Ledger(results)
print("ready", flush=True)
for i in itertools.count(1):
    ledger.record(Generation(key=f"{name}-{i}", attempt=1, task="summarize", source_id="s",
                             first_n=1, last_n=2, level=0, text="text " * 50, status="ok"))
    print(f"{name}-{i}", flush=True)
    if i % compact_every == 0:
        ledger.compact()
"""


def generation(
    key: str, attempt: int = 1, status: GenerationStatus = "ok", second: int = 0, text: str = ""
) -> Generation:
    return Generation(
        key=key,
        attempt=attempt,
        task="summarize",
        source_id="s",
        first_n=1,
        last_n=2,
        level=0,
        text=text,
        status=status,
        checks=("form",) if status == "failed" else (),
        started_at=START + timedelta(seconds=second),
    )


def names(results: Path) -> list[str]:
    return [path.name for path in tables.list_files(results / "generations")]


@contextmanager
def writer(results: Path, name: str, *, compact_every: int) -> Iterator[set[str]]:
    """Run WRITER in the block and kill it at the end; give the keys that it said it recorded.

    The block begins when the writer does; the keys are there after the block.
    """
    command = [sys.executable, "-c", WRITER, str(results), name, str(compact_every)]
    said: set[str] = set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield said
        finally:
            process.kill()
            said |= set(process.stdout.read().split())


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    """Every field survives, lists and times included."""
    given = generation("a", 2, "failed", 5, text="第一行\n- second [1]")

    Ledger(tmp_path).record(given)

    assert Ledger(tmp_path).rows() == {"a": [given]}


def test_an_empty_ledger_has_no_rows(tmp_path: Path) -> None:
    """Before the first run there is not even a folder."""
    ledger = Ledger(tmp_path)
    ledger.compact()

    assert ledger.rows() == {}
    assert tables.read_table(tmp_path, "generations").collect().height == 0


def test_all_rows_of_a_key_come_back_by_attempt(tmp_path: Path) -> None:
    """Which of them counts is for others to say; of one attempt the newest ok row stays."""
    ledger = Ledger(tmp_path)
    rows = [
        generation("a", 2, "ok", 1, "old"),
        generation("a", 2, "ok", 9, "new"),
        generation("a", 1, "failed", 20),
        generation("b", 1, "failed", 1),
        generation("b", 1, "ok", 2),
        generation("b", 1, "failed", 3),
    ]
    for row in rows:
        ledger.record(row)

    assert ledger.rows() == {"a": [rows[2], rows[1]], "b": [rows[4]]}
    assert ledger.rows(["b", "unknown"]) == {"b": [rows[4]]}


def test_compaction_leaves_the_rows_and_one_file(tmp_path: Path) -> None:
    """Parts become a file; what a reader sees stays the same."""
    ledger = Ledger(tmp_path)
    for i in range(5):
        ledger.record(generation(f"k{i}", second=i))
    before = ledger.rows()

    ledger.compact(at_least=6)
    assert len(names(tmp_path)) == 5

    ledger.compact()
    assert len(names(tmp_path)) == 1
    assert ledger.rows() == before


def test_recording_compacts_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to remember it during a long run."""
    monkeypatch.setattr(ledger, "_PARTS_TO_COMPACT", 4)
    book = Ledger(tmp_path)
    for i in range(9):
        book.record(generation(f"k{i}"))

    assert len(names(tmp_path)) == 2  # one of eight rows, and the ninth part
    assert len(book.rows()) == 9


def test_merged_files_are_not_rewritten_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that has reached its size stays as it is, so long runs cost no more a row."""
    monkeypatch.setattr(ledger, "_MERGED_BYTES", 30_000)
    book = Ledger(tmp_path)
    for i in range(12):
        book.record(generation(f"k{i}", text=random.Random(i).randbytes(9_000).hex()))
        book.compact()

    assert len(names(tmp_path)) >= 4
    assert len(book.rows()) == 12


def test_every_row_reads_once_while_threads_record_and_processes_compact(tmp_path: Path) -> None:
    """Whatever moment a reader looks, no row is missing and none is there twice."""
    book = Ledger(tmp_path)
    done: list[str] = []
    looks = 0

    def work(thread: int) -> None:
        for i in range(40):
            book.record(generation(f"{thread}-{i}"))
            done.append(f"{thread}-{i}")
            if i % 4 == 3:
                book.compact()

    with (
        writer(tmp_path, "other", compact_every=5),
        ThreadPoolExecutor(2) as threads,
    ):
        work_done = [threads.submit(work, thread) for thread in range(2)]
        while not all(future.done() for future in work_done):
            expected = set(done)
            keys = tables.collect(tmp_path, "generations", lambda rows: rows.select("key"))
            counts = Counter(keys["key"].to_list())
            looks += 1

            assert expected <= counts.keys()
            assert set(counts.values()) <= {1}
        for future in work_done:
            future.result()

    assert looks > 3
    assert {f"{t}-{i}" for t, i in itertools.product(range(2), range(40))} <= book.rows().keys()


@pytest.mark.parametrize("compact_every", [1_000_000, 2], ids=["writing", "compacting"])
def test_kill_9_loses_no_recorded_row(tmp_path: Path, compact_every: int) -> None:
    """Killed at any moment: all it said it recorded is there, once, and the table reads."""
    said: set[str] = set()
    moments = random.Random(compact_every)
    for kill in range(5):
        with writer(tmp_path, f"w{kill}", compact_every=compact_every) as recorded:
            time.sleep(moments.uniform(0.01, 0.25))
        said |= recorded

        keys = tables.read_table(tmp_path, "generations").select("key").collect()["key"].to_list()
        assert len(keys) == len(set(keys))
        assert said <= set(keys)
        assert len(set(keys) - said) <= kill + 1  # the one in flight at each kill

    Ledger(tmp_path).compact()
    rows = pl.concat(pl.read_parquet(path) for path in tables.list_files(tmp_path / "generations"))
    assert sorted(rows["key"]) == sorted(keys)
    assert said


def test_compaction_removes_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between writing the merged file and removing the parts: copies, then none."""
    book = Ledger(tmp_path)
    for i in range(3):
        book.record(generation(f"k{i}"))
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_unlink", lambda _: None)
        book.compact()
    assert len(names(tmp_path)) == 4
    assert tables.read_table(tmp_path, "generations").collect().height == 3

    book.compact(at_least=100)

    assert len(names(tmp_path)) == 1
    assert len(book.rows()) == 3


def test_what_a_merged_file_replaces_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is removed file by file, for as long as the disk takes: readers never wait for that."""
    book = Ledger(tmp_path)
    for i in range(3):
        book.record(generation(f"k{i}"))
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_unlink", lambda _: None)
        book.compact()
    for name in names(tmp_path):
        if name.startswith("part-"):
            (tmp_path / "generations" / name).write_bytes(b"")

    assert len(book.rows()) == 3


def test_compaction_yields_to_another_at_once(tmp_path: Path) -> None:
    """Two processes at once are fine: the second goes on with its own work."""
    book = Ledger(tmp_path)
    book.record(generation("a"))
    with ledger.FileLock(tmp_path / "generations" / ".compaction.lock"):
        other = threading.Thread(target=book.compact)
        other.start()
        other.join(10)

        assert not other.is_alive()
        assert names(tmp_path)[0].startswith("part-")


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    """Its temporary file goes; that of a writer which lives, however slow, stays, and so do files
    of others."""
    folder = tmp_path / "documents" / "a-book"
    folder.mkdir(parents=True)
    left, written, foreign = (folder / f".{name}.tmp" for name in ("1" * 32, "2" * 32, "mine"))
    for path in (left, written, foreign):
        path.write_bytes(b"PAR1")
        os.utime(path, (time.time() - 60, time.time() - 60))

    with written.open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        files.tidy(tmp_path)

    assert sorted(folder.iterdir()) == sorted([written, foreign])


def test_a_part_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File synced, then renamed, then folder synced: power loss can't leave half a part."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        steps.append("sync folder" if path.is_dir() else "sync file")
        fsync(descriptor)

    def spy_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    files.write_atomically(tmp_path / "part.parquet", b"data")

    assert steps == ["sync file", "rename", "sync folder"]


def test_a_full_disk_is_named_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no temporary file stays behind to make it worse."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(StorageError, match=r"No space left on device\. Free some space"):
        Ledger(tmp_path).record(generation("a"))
    assert list((tmp_path / "generations").iterdir()) == []


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    """Here a file stands where the folder should be."""
    (tmp_path / "generations").write_text("in the way")

    with pytest.raises(StorageError, match="generations"):
        Ledger(tmp_path).record(generation("a"))


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty", "pages", "foreign"])
def test_a_damaged_or_foreign_file_is_named(tmp_path: Path, damage: str) -> None:
    """Never skipped in silence: its rows would be paid for twice."""
    book = Ledger(tmp_path)
    book.record(generation("a", text="some text"))
    part = tables.list_files(tmp_path / "generations")[0]
    whole = part.read_bytes()
    path = tmp_path / "generations" / "part-bad.parquet"
    if damage == "foreign":
        pl.DataFrame({"x": [1]}).write_parquet(path)
    else:
        path.write_bytes(
            {
                "garbage": b"not parquet at all",
                "cut": whole[: len(whole) // 2],
                "empty": b"",
                "pages": whole[:4] + bytes(len(whole) // 3) + whole[4 + len(whole) // 3 :],
            }[damage]
        )

    for action in (book.rows, book.compact):
        with pytest.raises(StorageError, match=r"part-bad\.parquet.*Move it to another folder"):
            action()
    assert part.exists()


def test_a_damaged_file_does_not_stop_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The compaction that recording sets off reports it; the row is safe and the run goes on."""
    monkeypatch.setattr(ledger, "_PARTS_TO_COMPACT", 1)
    book = Ledger(tmp_path)
    (tmp_path / "generations").mkdir()
    (tmp_path / "generations" / "part-bad.parquet").write_bytes(b"bad")

    book.record(generation("a"))

    assert "part-bad.parquet" in caplog.text


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.sampled_from(["ok", "failed"])),
        max_size=12,
    ),
    st.data(),
)
def test_compaction_changes_no_answer(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, int, GenerationStatus]],
    data: st.DataObject,
) -> None:
    """For any rows, and compactions between them in any order, rows() says the same."""
    plain, compacted = (Ledger(tmp_path_factory.mktemp(name)) for name in ("plain", "compacted"))
    for second, (key, attempt, status) in enumerate(rows):
        for book in (plain, compacted):
            book.record(generation(key, attempt, status, second))
        if data.draw(st.booleans()):
            compacted.compact()

    assert compacted.rows() == plain.rows()
