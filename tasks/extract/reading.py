"""A document's bytes to its pieces, whatever its format. Runs in the child process."""

from __future__ import annotations

from collections.abc import Callable

from tasks.errors import SourceError
from tasks.extract.decoding import declared_by_html, decode
from tasks.extract.formats import Hint
from tasks.extract.pieces import Parsed
from tasks.records import SourceKind

_BYTES_A_PAGE = 2_000  # of what has no pages: what limits of time and memory grow with


def size_in_pages(data: bytes) -> int:
    """Return how many pages a document without pages would have, roughly."""
    return len(data) // _BYTES_A_PAGE


def read_flowing(data: bytes, kind: SourceKind, hint: Hint) -> Parsed:
    """Read a document of a format without pages.

    Raises:
        SourceError: it can't be read.
    """
    if kind == "epub":
        from tasks.extract.epub import parse_epub

        return parse_epub(data)
    if kind == "docx":
        from tasks.extract.word import parse_docx

        return parse_docx(data)
    if kind == "html":
        from tasks.extract.html_text import parse_html

        return parse_html(decode(data, declared_by_html(data, hint.media_type)))
    return _text_reader(kind)(decode(data, declared_by_html(b"", hint.media_type)))


def _text_reader(kind: SourceKind) -> Callable[[str], Parsed]:
    if kind == "markdown":
        from tasks.extract.markdown_text import parse_markdown

        return parse_markdown
    if kind == "text":
        from tasks.extract.plain_text import parse_text

        return parse_text
    raise SourceError("", f"is of the unknown format {kind}")
