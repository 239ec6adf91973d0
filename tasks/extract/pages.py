"""Lines and pages: what reading a PDF gives, and what cleaning and structure work on.

Knows nothing of PDF libraries, files or processes. Lengths are PDF points as the page is
displayed; y grows downwards from the page's top edge.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A printed line, or the part of one that stands in one column.

    Attributes:
        page: index of its page, from 1.
        x0, y0, x1, y1: its box.
        size: of its type, 0 where unknown.
        row: lines of one page with the same row were one line in the page's own order.
        cells: how many pieces, parted by wide gaps, the line was joined from.
    """

    text: str
    page: int
    x0: float = 0.0
    y0: float = 0.0
    x1: float = 0.0
    y1: float = 0.0
    size: float = 0.0
    bold: bool = False
    mono: bool = False
    row: int = 0
    cells: int = 1


@dataclass(frozen=True, slots=True)
class Page:
    """A page in reading order.

    Attributes:
        index: from 1.
        label: what the document calls it ("iv"), or str(index).
        blank: nothing at all is drawn on it, so having no text is no loss.
        scanned: an image covers most of it.
        unmapped: share of the sampled characters whose meaning the file does not give.
    """

    index: int
    label: str
    width: float
    height: float
    lines: tuple[Line, ...]
    blank: bool = False
    scanned: bool = False
    unmapped: float = 0.0

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of the document's outline; level counts from 1.

    Attributes:
        top: height above the page's bottom edge that it points to, None where not given.
    """

    title: str
    level: int
    page: int
    top: float | None = None
