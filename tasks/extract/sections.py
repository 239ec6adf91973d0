"""Tables of contents and reference lists: which lines and sections are such.

Pure functions. They stay in the text as segments of their own kind, for a summary leaves them
out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.extract.pages import Line

_CONTENTS = re.compile(
    r"(?:table of )?contents|list of (?:tables|figures|listings)"
    r"|inhalt|inhaltsverzeichnis|(?:tabellen|abbildungs)verzeichnis"
    r"|table des matières|sommaire|índice|indice"
    r"|目\s*[录錄次]|(?:插图|图形|表格)目录|表目次|図目次",
    re.IGNORECASE,
)
_REFERENCES = re.compile(
    r"(?:\W*[\dA-Z]{0,3}[\d.]*\s+)?(?:references|bibliography|works cited|literature cited"
    r"|literatur|literaturverzeichnis|quellen(?:verzeichnis)?|références|bibliographie"
    r"|bibliografía|referencias|参考文献|參考文獻|参考书目|index|stichwortverzeichnis"
    r"|sachregister|sachverzeichnis|索引)",
    re.IGNORECASE,
)
_LEADERS = re.compile(r"(?:[.·…‥]\s?){4,}\s*(?:\d{1,4}|[ivxlcIVXLC]{1,7})?$")
_NUMBER_END = re.compile(r"\S\s+(?:\d{1,4}|[ivxlc]{1,7})$")
_ENTRY = re.compile(
    r"^\s*\[[\w+\-]{1,12}\]|\b(?:19|20)\d\d[a-z]?\b|https?://|doi[:.]|,\s?\d{1,4}\b"
)


def names_contents(heading: str) -> bool:
    return bool(_CONTENTS.fullmatch(heading.strip()))


def names_references(heading: str) -> bool:
    return bool(_REFERENCES.fullmatch(heading.strip()))


def is_reference_list(paragraphs: Sequence[str]) -> bool:
    """Say whether what stands under such a heading are entries rather than prose."""
    entries = sum(bool(_ENTRY.search(text)) for text in paragraphs)
    return bool(paragraphs) and entries >= 0.3 * len(paragraphs)


def contents_lines(lines: Sequence[Line], *, continuing: bool = False) -> set[int]:
    """Return the positions of those lines of a page that belong to a table of contents.

    Entries lead to their page by dots, or follow a line that says "Contents", or go on from
    the page before. An entry of two lines has its number in the second.
    """
    named = [k for k, line in enumerate(lines) if names_contents(line.text)]
    numbered = [k for k, line in enumerate(lines) if _NUMBER_END.search(line.text)]
    entries = [k for k, line in enumerate(lines) if _LEADERS.search(line.text)]
    if continuing and numbered[:1] == [0]:
        named, entries = named[:0], [k for k in numbered if k < 3 * len(numbered)]
    elif named and sum(k > named[0] for k in numbered) >= 3:
        entries += [k for k in numbered if k > named[0]]
    elif len(entries) < 2:
        return set()
    elif len({*entries, *numbered}) >= 0.5 * len(lines):
        entries += numbered
    return _runs(sorted(set(entries)), named)


def _runs(entries: Sequence[int], named: Sequence[int]) -> set[int]:
    """Entries with the lines between them, and their headings, up to where prose begins."""
    marked: set[int] = set()
    start = named[0] if named else entries[0]
    last = start
    for entry in [k for k in entries if k >= start]:
        if entry - last > 3:
            break
        marked.update(range(last, entry + 1))
        last = entry
    return marked | {k for k in entries if k < start}
