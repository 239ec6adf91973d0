"""The user's glossary: a table of terms, as spreadsheets write it.

Owns what is read as an entry: in whatever encoding and with whatever separator a program saved it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from tasks.errors import SourceError
from tasks.extract.decoding import decode
from tasks.generate.languages import language_code
from tasks.records import Term

_SEPARATORS = ("\t", ";", ",", "，")
_HEADS = {("source", "target"), ("term", "translation"), ("原文", "译文"), ("术语", "译文")}
_LAST_COMMON = 0xD7  # of GB 2312's rows: its first level
_REMEDY = "Write one entry a row: source, target, and perhaps a note"

Row = tuple[int, list[str]]
"""A row's number in the file, from 1, and its cells."""


def read_glossary(path: Path) -> tuple[Term, ...]:
    """Return the entries of a file: source, target, and perhaps a note; of repeated ones the first.

    Cells are parted by tabs, semicolons or commas, whichever makes every row an entry. A first row
    that names the columns, or their languages, is left out, and so are empty rows.

    Raises:
        SourceError: it can't be read, a row is not an entry, or there is none.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = error.strerror or str(error)
        raise SourceError(str(path), problem, "Name a CSV file of source, target") from error
    text = decode(data, "gb18030" if _is_in_pairs(data) else "")
    tables, errors = [], []
    for separator in _SEPARATORS:
        try:
            tables.append(list(_rows(text, separator, path)))
        except SourceError as error:
            errors.append(error)
    rows = next((table for table in tables if not _first_bad(table)), None)
    if rows is None:
        if errors:
            raise errors[-1]
        rows = _widest(tables)
    if bad := _first_bad(rows):
        raise SourceError(str(path), f"line {bad} has no term and rendering", _REMEDY)
    terms: dict[str, Term] = {}
    for _, (source, target, *others) in _without_head(rows):
        terms.setdefault(source.casefold(), Term(source, target, others[0] if others else ""))
    if not terms:
        raise SourceError(str(path), "it holds no entry", _REMEDY)
    return tuple(terms.values())


def _is_in_pairs(data: bytes) -> bool:
    """Tell whether bytes beyond ASCII come in pairs, mostly of common characters, as spreadsheets
    in China save them; a few terms are too little to tell an encoding by their letters."""
    runs = re.findall(rb"[\x80-\xff]+", data)
    first = b"".join(run[::2] for run in runs)
    common = sum(0xA1 <= byte <= _LAST_COMMON for byte in first)
    return all(len(run) % 2 == 0 for run in runs) and common > 0.5 * len(first)


def _rows(text: str, separator: str, path: Path) -> Iterator[Row]:
    """Yield the rows that are not empty."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            cells = [" ".join(cell.split()) for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        problem = f"line {reader.line_num}: {error}"
        raise SourceError(str(path), problem, "Close each quote that a cell opens") from error


def _first_bad(rows: Sequence[Row]) -> int:
    """Return the number of the first row without a term or a rendering; 0: all have both."""
    return next((n for n, cells in rows if len(cells) < 2 or not (cells[0] and cells[1])), 0)


def _widest(tables: Sequence[list[Row]]) -> list[Row]:
    """Return the table in which most rows have several cells."""
    several = [sum(len(cells) > 1 for _, cells in rows) for rows in tables]
    return tables[several.index(max(several))]


def _without_head(rows: Sequence[Row]) -> Sequence[Row]:
    first = tuple(cell.casefold() for cell in rows[0][1][:2]) if rows else ()
    return rows[1:] if first in _HEADS or _are_languages(first) else rows


def _are_languages(cells: Sequence[str]) -> bool:
    try:
        return len({language_code(cell) for cell in cells}) == len(cells) == 2
    except SourceError:
        return False
