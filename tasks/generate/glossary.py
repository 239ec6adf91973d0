"""Glossaries: how names and terms are rendered, as the user gives them in a CSV file.

Owns the file's form. Knows nothing of prompts.
"""

from __future__ import annotations

import csv
from pathlib import Path

from tasks.errors import SourceError
from tasks.records import Term

_HEADS = {("source", "target"), ("term", "translation"), ("原文", "译文"), ("术语", "译文")}


def read_glossary(path: Path) -> tuple[Term, ...]:
    """Return the entries of a file: source, target, and perhaps a note; of repeated ones the first.

    A first row that names the columns is left out, and so are empty rows.

    Raises:
        SourceError: it can't be read, or a row is not an entry.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(str(path), "it is not UTF-8", "Save it as CSV in UTF-8") from error
    except OSError as error:
        problem = error.strerror or str(error)
        raise SourceError(str(path), problem, "Name a CSV file of source, target") from error
    terms: dict[str, Term] = {}
    for number, row in enumerate(csv.reader(text.splitlines()), start=1):
        cells = [" ".join(cell.split()) for cell in row]
        if not any(cells) or (number == 1 and tuple(map(str.casefold, cells[:2])) in _HEADS):
            continue
        if len(cells) < 2 or not (cells[0] and cells[1]):
            problem = f"line {number} has no term and rendering"
            raise SourceError(str(path), problem, "Write source, target, and perhaps a note")
        terms.setdefault(cells[0].casefold(), Term(cells[0], cells[1]))
    return tuple(terms.values())
