"""What an EPUB's table of contents calls the parts of its chapters, and how deep they stand.

Reads both forms: the navigation page of EPUB 3, and the NCX of EPUB 2. What a reference in them
means is the book's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote, urldefrag
from xml.etree.ElementTree import Element

from tasks.extract.characters import clean
from tasks.extract.unpaged import Block

_ANY = "{*}"  # of whatever namespace: old books have others, or none
_DEEPEST = 6

Names = Mapping[str, Mapping[str, Block]]
"""Headings by the file that they stand in, and by the anchor there; "" is its beginning."""


def read_names(
    root: Element, file_of: Callable[[str], str], names: dict[str, dict[str, Block]]
) -> None:
    """Add what a table of contents has to the names; the first one of a place stays."""
    for reference, label, level in _entries(root):
        anchors = names.setdefault(file_of(reference), {})
        if text := clean(label):
            heading = Block(text, "heading", min(max(level, 1), _DEEPEST))
            anchors.setdefault(unquote(urldefrag(reference).fragment), heading)


def _entries(root: Element) -> Iterator[tuple[str, str, int]]:
    """Yield each entry's reference, label and depth, in order."""
    waiting = [(root, 0)]
    while waiting:
        element, level = waiting.pop()
        kind = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
        level += kind in ("navPoint", "ol")
        content = element.find(f"{_ANY}content") if kind == "navPoint" else None
        if content is not None:
            label = element.findtext(f"{_ANY}navLabel/{_ANY}text") or ""
            yield content.get("src", ""), label, level
        elif kind == "a":
            yield element.get("href", ""), "".join(element.itertext()), level
        waiting += [(child, level) for child in reversed(element)]
