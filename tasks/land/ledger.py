"""The ledger: every finished call of the model, kept once, whatever happens to the process.

Owns the folder results/generations: parts (`part-*`, one row each, as they land) and merged
files (`rows-*`). Does not know what a key means, which of its rows counts, or who asks.

A row lands as a whole file, so kill -9 loses only calls in flight. Compaction writes the
merged file, with the names of what it replaces in its metadata, and removes those afterwards:
killed in between, it leaves copies, which readers drop and the next compaction removes.
Like a log-structured merge tree it takes in a merged file only when that is not much larger
than what joins it, so each row is rewritten a few times in all.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path

import polars as pl
from filelock import FileLock, Timeout

from tasks.errors import StorageError
from tasks.land.files import storage_errors
from tasks.land.tables import (
    REPLACES,
    collect,
    list_files,
    read_files,
    replaced_by,
    to_frame,
    to_records,
    write_table,
)
from tasks.records import Generation

_log = logging.getLogger(__name__)

TABLE = "generations"
_PARTS_TO_COMPACT = 256
_MERGED_BYTES = 64 * 2**20  # a merged file this large is left alone


class Ledger:
    """The generations under a results folder. Any number of processes may share it."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._folder = results / TABLE
        self._recorded = 0
        self._counting = threading.Lock()

    def record(self, generation: Generation) -> None:
        """Put a finished generation on the disk; when this returns it is there to stay.

        Every few hundred calls this also compacts; should that fail, the log says so. Safe to
        call from several threads.

        Raises:
            StorageError: it can't be written.
        """
        write_table(self._folder / _new_name("part"), TABLE, to_frame(TABLE, [generation]))
        with self._counting:
            self._recorded += 1
            compact = self._recorded % _PARTS_TO_COMPACT == 0
        if compact:
            try:
                self.compact(at_least=_PARTS_TO_COMPACT)
            except StorageError as error:  # the row itself is safe, and the run can go on
                _log.warning("the ledger stays as many small files: %s", error)

    def rows(self, keys: Collection[str] | None = None) -> dict[str, list[Generation]]:
        """Return for each key its rows, by attempt.

        Args:
            keys: the keys wanted; None for all.

        Raises:
            StorageError: a file of the ledger is damaged, foreign or unreadable.
        """

        def query(rows: pl.LazyFrame) -> pl.LazyFrame:
            wanted = rows if keys is None else rows.filter(pl.col("key").is_in(list(keys)))
            return wanted.sort("key", "attempt")

        found = to_records(collect(self._results, TABLE, query), Generation)
        return {key: list(rows) for key, rows in groupby(found, key=lambda row: row.key)}

    def compact(self, *, at_least: int = 1) -> None:
        """Put the parts into a merged file, if there are `at_least` so many.

        Returns at once when another process or thread is at it. Readers are never held up.

        Raises:
            StorageError: a part is damaged, foreign or unreadable, or the disk is full.
        """
        if not self._folder.is_dir():
            return
        with storage_errors(self._folder):
            try:
                # The system's lock: it goes with its holder, however that ends.
                with FileLock(self._folder / ".compaction.lock", blocking=False):
                    self._remove_replaced()
                    self._merge(at_least)
            except Timeout:
                return

    def _remove_replaced(self) -> None:
        """Remove what a merged file replaces and a killed compaction left behind."""
        for path in list_files(self._folder):
            if _is_merged(path):
                _unlink([self._folder / name for name in replaced_by(path, TABLE)])

    def _merge(self, at_least: int) -> None:
        files = list_files(self._folder)
        parts = [path for path in files if not _is_merged(path)]
        if len(parts) < at_least:
            return
        chosen = parts + _worth_merging(parts, [path for path in files if _is_merged(path)])
        rows = read_files(chosen, TABLE)
        write_table(
            self._folder / _new_name("rows"),
            TABLE,
            rows,
            {REPLACES: json.dumps([path.name for path in chosen])},
        )
        _unlink(chosen)


def _new_name(kind: str) -> str:
    """Return a file name that was never used, and that sorts by time."""
    return f"{kind}-{time.time_ns()}-{uuid.uuid4().hex[:8]}.parquet"


def _is_merged(path: Path) -> bool:
    return path.name.startswith("rows-")


def _worth_merging(parts: Sequence[Path], merged: Sequence[Path]) -> list[Path]:
    """Return the merged files that are small beside what would join them."""
    chosen: list[Path] = []
    total = sum(path.stat().st_size for path in parts)
    for size, path in sorted((path.stat().st_size, path) for path in merged):
        if size > 2 * total or total + size > _MERGED_BYTES:
            break
        chosen.append(path)
        total += size
    return chosen


def _unlink(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
