"""What was read of a source: its rows in `sources` and `segments`, and in `cues` and `words`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.land.tables import read_files, to_frame, write_table

if TYPE_CHECKING:
    from tasks.extract import Extracted

log = logging.getLogger(__name__)


def land_source(results: Path, extracted: Extracted) -> None:
    """Write a source and its rows, a file for each table; again makes the same files.

    The source comes last, so that a source in the table has its segments in theirs. Rows of
    content that was read once are kept when reading it fails another time (a wrong password,
    a busy machine): they are still what it says, and summaries rest on them.

    Raises:
        StorageError: they can't be written.
    """
    source_id = extracted.source.source_id
    if extracted.source.status == "failed" and _was_read(results, source_id):
        log.info("%s: what was read of it before is kept", extracted.source.uri)
        return
    spoken = (("cues", extracted.cues), ("words", extracted.words))
    tables: list[tuple[str, Sequence[Any]]] = [each for each in spoken if each[1]]
    tables += [("segments", extracted.segments), ("sources", (extracted.source,))]
    for table, records in tables:
        path = results / table / f"{source_id}.parquet"
        write_table(path, table, to_frame(table, records))


def _was_read(results: Path, source_id: str) -> bool:
    path = results / "sources" / f"{source_id}.parquet"
    return path.exists() and read_files([path], "sources")["status"][0] != "failed"
