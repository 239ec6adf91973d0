"""The tables: records as Parquet files that any reader of Parquet can open.

Owns the schemas (they follow from the records' own fields), the version in each file's
metadata, and reading a folder of files as one table. Does not know how rows come about.
The tables are `sources`, `segments`, `cues`, `words`, `documents`, `lines`, `glossary` and `inbox`
(one file a source, document or file) and `generations` (see `tasks.land.ledger`).
"""

from __future__ import annotations

import dataclasses
import io
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import polars as pl

from tasks.errors import StorageError
from tasks.land.files import as_storage_error, storage_errors, write_atomically
from tasks.records import (
    Cue,
    Document,
    Generation,
    GlossaryEntry,
    InboxEntry,
    Segment,
    Source,
    TranslatedLine,
    Word,
)

SCHEMA_VERSION = 4  # raise it with any change of a table's columns
RECORDS: Mapping[str, type] = {
    "sources": Source,
    "segments": Segment,
    "cues": Cue,
    "words": Word,
    "generations": Generation,
    "documents": Document,
    "lines": TranslatedLine,
    "glossary": GlossaryEntry,
    "inbox": InboxEntry,
}
REPLACES = "lectern.replaces"  # in a merged file's metadata: the names of those it holds
_TABLE_KEY, _VERSION_KEY = "lectern.table", "lectern.schema_version"
_SCALARS: Mapping[Any, pl.DataType] = {
    str: pl.String(),
    int: pl.Int64(),
    float: pl.Float64(),
    bool: pl.Boolean(),
    datetime: pl.Datetime("us", "UTC"),
}
_READ_ATTEMPTS = 20
_WITHIN = pl.ScanCastOptions(missing_struct_fields="insert", extra_struct_fields="ignore")

Record = TypeVar("Record")


def schema(record: type) -> pl.Schema:
    """Return the columns of a record type: nested records become structs, tuples lists."""
    hints = typing.get_type_hints(record)
    return pl.Schema({f.name: _dtype(hints[f.name]) for f in dataclasses.fields(record)})


def _dtype(hint: Any) -> pl.DataType:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:  # tuple[x, ...]
        return pl.List(_dtype(arguments[0]))
    if origin is types.UnionType:  # x | None
        return _dtype(arguments[0])
    if origin is Literal:
        return pl.String()
    if dataclasses.is_dataclass(hint):
        return pl.Struct(schema(typing.cast(type, hint)))
    return _SCALARS[hint]


SCHEMAS: Mapping[str, pl.Schema] = {name: schema(record) for name, record in RECORDS.items()}


def to_frame(table: str, records: Iterable[Any]) -> pl.DataFrame:
    """Return records as rows of their table."""
    rows = list(records)
    # By columns: from rows, polars takes twice the memory and thrice the time.
    columns = {name: [_value(getattr(row, name)) for row in rows] for name in SCHEMAS[table]}
    try:
        return pl.DataFrame(columns, schema=SCHEMAS[table])
    except UnicodeEncodeError:
        return pl.DataFrame(_as_text(columns), schema=SCHEMAS[table])


def _value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value


def _as_text(value: Any) -> Any:
    """Write out lone surrogates: file names that are no UTF-8 hold them, and some PDFs' text."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _as_text(item) for key, item in value.items()}
    return [_as_text(item) for item in value] if isinstance(value, list | tuple) else value


def to_records(rows: pl.DataFrame, record: type[Record]) -> list[Record]:
    """Return rows as flat records (lists become tuples)."""
    return [
        record(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})
        for row in rows.iter_rows(named=True)
    ]


def write_table(
    path: Path, table: str, rows: pl.DataFrame, metadata: Mapping[str, str] | None = None
) -> None:
    """Write one file of a table, whole or not at all.

    Raises:
        StorageError: it can't be written.
    """
    about = {_TABLE_KEY: table, _VERSION_KEY: str(SCHEMA_VERSION), **(metadata or {})}
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd", metadata=about)
    write_atomically(path, buffer.getvalue())


def read_table(results: Path, table: str) -> pl.LazyFrame:
    """Return a table as it is now, each row once.

    The rows are read at once, so a file that is replaced later does no harm. For a few
    columns or rows of a large table, `collect` with a query reads less.

    Raises:
        StorageError: a file of the table is damaged or none of Lectern's.
    """
    return collect(results, table).lazy()


def collect(
    results: Path, table: str, query: Callable[[pl.LazyFrame], pl.LazyFrame] = lambda rows: rows
) -> pl.DataFrame:
    """Return what `query` makes of the table's rows, reading only what it needs.

    Reads again when a file vanishes meanwhile (compaction replaces files). In `generations`,
    (key, attempt) is unique in what the query sees.

    Raises:
        StorageError: a file of the table is damaged, foreign or unreadable.
    """
    for _ in range(_READ_ATTEMPTS):
        try:
            return read_files(_standing(list_files(results / table), table), table, query)
        except FileNotFoundError:
            continue
    problem = "its files change faster than they can be read"
    raise StorageError(str(results / table), problem, "Run again")


def read_files(
    files: Sequence[Path],
    table: str,
    query: Callable[[pl.LazyFrame], pl.LazyFrame] = lambda rows: rows,
) -> pl.DataFrame:
    """Do what `collect` does, for the given files and once.

    Raises:
        FileNotFoundError: a file is gone.
        StorageError: see `collect`.
    """
    for path in files:
        read_metadata(path, table)  # 0.04 ms each
    rows = _scan(files, table)
    try:
        return query(_unique(rows) if table == "generations" else rows).collect()
    except pl.exceptions.PolarsError as error:
        _name_the_damaged(files)
        raise StorageError(table, str(error), "Please report it") from error


def list_files(folder: Path) -> list[Path]:
    """Return the folder's Parquet files, as a state that it was in at one moment.

    A listing can miss a file that is renamed into the folder while it runs, and the files that
    this one replaces are then gone as well. So the folder is listed until no merged file
    (`rows-*`) has come or gone between two listings.
    """
    with storage_errors(folder):
        before = _listing(folder)
        for _ in range(_READ_ATTEMPTS):
            after = _listing(folder)
            if _merged(before) == _merged(after):
                break
            before = after
    return before


def _standing(files: Sequence[Path], table: str) -> list[Path]:
    """Leave out what a merged file replaces: it may vanish at any moment, for a long while."""
    replaced = {name for path in _merged(files) for name in replaced_by(path, table)}
    return [path for path in files if path.name not in replaced]


def replaced_by(merged: Path, table: str) -> list[str]:
    """Return the names of the files whose rows a merged file holds.

    Raises:
        FileNotFoundError, StorageError: see `read_metadata`.
    """
    return list(json.loads(read_metadata(merged, table).get(REPLACES, "[]")))


def _listing(folder: Path) -> list[Path]:
    try:
        # Path.glob would hide that a folder can't be read.
        return sorted(path for path in folder.iterdir() if path.suffix == ".parquet")
    except FileNotFoundError:
        return []


def _merged(files: Sequence[Path]) -> list[Path]:
    return [path for path in files if path.name.startswith("rows-")]


def read_metadata(path: Path, table: str) -> dict[str, str]:
    """Return what `write_table` noted in a file.

    Raises:
        FileNotFoundError: it is gone.
        StorageError: it is damaged, from another program, or from a newer Lectern.
    """
    try:
        about = pl.read_parquet_metadata(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise as_storage_error(path, error) from error
    except pl.exceptions.PolarsError as error:
        raise _damaged(path) from error
    if about.get(_TABLE_KEY) != table:
        problem = f"is not a file of Lectern's table {table}"
        raise StorageError(str(path), problem, "Move it to another folder")
    if int(about[_VERSION_KEY]) > SCHEMA_VERSION:
        raise StorageError(str(path), "was written by a newer Lectern", "Update Lectern")
    return about


def _damaged(path: Path) -> StorageError:
    remedy = "Move it to another folder: what it held will be made again when it is needed"
    return StorageError(str(path), "is damaged and can't be read as Parquet", remedy)


def _scan(files: Sequence[Path], table: str) -> pl.LazyFrame:
    columns = SCHEMAS[table]
    if not files:
        return pl.LazyFrame(schema=columns)
    # Files of an older Lectern lack columns, and may hold some that no longer exist.
    return pl.scan_parquet(
        list(files),
        schema=columns,
        missing_columns="insert",
        extra_columns="ignore",
        cast_options=_WITHIN,
    )


def _name_the_damaged(files: Sequence[Path]) -> None:
    """Raise a StorageError for the first file whose pages can't be read."""
    for path in files:
        try:
            pl.read_parquet(path)
        except pl.exceptions.PolarsError as error:
            raise _damaged(path) from error


def _unique(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return generations with each (key, attempt) once: an ok row before a failed one, then
    the newest. Copies stand in the folder while compaction is at work, or after it was killed.
    """
    return rows.sort(
        pl.col("status") == "ok", "started_at", descending=True, nulls_last=True
    ).unique(subset=["key", "attempt"], keep="first", maintain_order=True)
