"""What reading gives: a document's pieces of text in order, with what is known about the whole.

The common end of all formats. Knows nothing of files and libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.records import SegmentKind


@dataclass(frozen=True)
class Piece:
    """A segment before it belongs to a source.

    Attributes:
        page: from 1; None where the document has no pages.
    """

    text: str
    kind: SegmentKind
    page: int | None
    paragraph: int
    path: tuple[str, ...]


@dataclass(frozen=True)
class Parsed:
    """What was read of a document.

    Attributes:
        labels: of its pages; none where it has no pages.
        lost_pages: pages that may hold text of which none could be read.
        lost_parts: what the document says it is made of and does not hold, where it has no pages.
    """

    title: str
    language: str
    labels: tuple[str, ...]
    pieces: tuple[Piece, ...]
    lost_pages: tuple[int, ...] = ()
    all_blank: bool = False
    lost_parts: tuple[str, ...] = ()


def is_title(text: str) -> bool:
    """Say whether a file's own title is one, and no trace of the program that wrote it."""
    low = text.lower()
    generic = low in {"untitled", "title", "document", "无标题", "unbenannt"}
    file_name = low.startswith("microsoft ") or low.endswith(
        (".doc", ".docx", ".tex", ".dvi", ".pdf", ".ps", ".indd", ".odt", ".ppt", ".pptx", ".qxd")
    )
    return len(text) > 2 and any(map(str.isalpha, text)) and not (generic or file_name)
