"""A PDF's bytes to numbered pieces of text: the whole of extraction, within one process.

Runs in the child process; knows nothing of limits, files and how the result travels.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pypdfium2 as pdfium

from tasks.errors import SourceError
from tasks.extract import pdfium_text, quality
from tasks.extract.characters import clean
from tasks.extract.headings import body_size, find_headings
from tasks.extract.joining import Vocabulary, finish, join
from tasks.extract.layout import reading_order
from tasks.extract.line_numbers import without_line_numbers
from tasks.extract.margins import without_margins
from tasks.extract.pages import Bookmark, Line, Page
from tasks.extract.paragraphs import Block, find_blocks
from tasks.extract.pieces import Parsed, Piece, is_title
from tasks.extract.recognised import with_recognised
from tasks.extract.sections import names_contents
from tasks.extract.sentences import detect_language, split

if TYPE_CHECKING:
    from tasks.extract.pypdf_reader import Reader

_PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD
_LEADERS = re.compile(r"\s*(?:[.·…‥]\s?){6,}")
_SPACE_BEFORE = re.compile(r"(?<=[^\W\d_]) (?=[.,](?:\s|$))")  # kerning read as a space
_MOST_IN = 80  # letters
_FEW_CHARS = 30  # on a page that is one picture: a stamp or a page number, not its text


class Document:
    """An open PDF; pypdf opens it as well, the first time it is asked."""

    def __init__(self, data: bytes, password: str) -> None:
        self.pdfium = pdfium.PdfDocument(data, password=password or None)
        self.n_pages = len(self.pdfium)
        if not self.n_pages:
            raise pdfium.PdfiumError("no pages")
        self._data, self._password = data, password

    @cached_property
    def pypdf(self) -> Reader:
        return _by_pypdf(self._data, self._password)


def _by_pypdf(data: bytes, password: str) -> Reader:
    from tasks.extract.pypdf_reader import Reader

    return Reader(data, password)


def open_document(data: bytes, password: str | None) -> Document:
    """Open a PDF, repaired where it must be.

    Raises:
        SourceError: encrypted, or damaged beyond repair.
    """
    encrypted = False
    for key in dict.fromkeys((password or "", "")):
        try:
            return Document(data, key)
        except pdfium.PdfiumError as error:
            encrypted = error.err_code == _PASSWORD_ERROR
    if encrypted:
        wrong = ", and the password given does not open it" if password else ""
        raise SourceError("", f"is encrypted{wrong}", "Give its password with --password")
    repaired = _by_pypdf(data, password or "").repaired()
    try:
        return Document(repaired, "")
    except pdfium.PdfiumError as error:
        raise SourceError(
            "",
            "is damaged: neither PDFium nor pypdf can read it",
            "Get a fresh copy, or try `qpdf in.pdf out.pdf` and use out.pdf",
        ) from error


def parse(document: Document, recognised: Sequence[Sequence[Any]] = ()) -> Parsed:
    """Read an open document.

    Args:
        recognised: see `tasks.extract.recognised`.
    """
    bookmarks = pdfium_text.read_bookmarks(document.pdfium) or document.pypdf.bookmarks()
    pages, broken = with_recognised(*_read_pages(document), recognised)
    doubtful = [page.index for page in pages if _lacks_text(page)]
    pages = [_in_order(page) for page in without_margins(without_line_numbers(pages))]
    pieces, language = find_pieces(pages, bookmarks)
    title = _title(pdfium_text.read_title(document.pdfium), pages)
    return Parsed(
        title=title,
        language=language,
        labels=tuple(page.label for page in pages),
        pieces=tuple(_as_heading(piece) if _prints(piece, title) else piece for piece in pieces),
        lost_pages=tuple(sorted({*doubtful, *broken})),
        all_blank=all(page.blank for page in pages) and not broken,
    )


def _prints(piece: Piece, title: str) -> bool:
    """Tell whether a piece is the document's title, printed before the first heading."""
    return piece.kind == "sentence" and not piece.path and piece.text == title


def _as_heading(piece: Piece) -> Piece:
    return replace(piece, kind="heading", path=(piece.text,))


def find_pieces(
    pages: Sequence[Page], bookmarks: Sequence[Bookmark]
) -> tuple[tuple[Piece, ...], str]:
    """Return the pieces of clean pages in reading order, and their language."""
    blocks = find_blocks(pages, find_headings(pages, bookmarks))
    language = detect_language("\n".join(line.text for page in pages for line in page.lines))
    vocabulary = Vocabulary.of((line.text for page in pages for line in page.lines), language)
    joined = [(block, *_join_lines(block, vocabulary)) for block in blocks]
    return tuple(_pieces(joined, language)), language


def _read_pages(document: Document) -> tuple[list[Page], list[int]]:
    """Read all pages by PDFium, and by pypdf those that PDFium reads badly or not at all.

    Returns:
        The pages, and the indices of those of which neither gave text to be trusted.
    """
    pages, broken = [], []
    for index in range(1, document.n_pages + 1):
        label = pdfium_text.read_label(document.pdfium, index)
        try:
            page = pdfium_text.read_page(document.pdfium, index, label)
        except pdfium.PdfiumError:
            page = Page(index, label, 0.0, 0.0, ())
        if page.unmapped > 0.2 or not page.width or not quality.is_plausible(page.text):
            page = _second_reading(page, document.pypdf)
            if page.unmapped > 0.5 or not page.lines:
                broken.append(index)
        pages.append(page)
    return pages, broken


def _second_reading(page: Page, reader: Reader) -> Page:
    """Read a page by pypdf; its lines have no boxes, and stand one below the other."""
    text = reader.page_text(page.index)
    lines = [line for line in map(clean, text.splitlines()) if line]
    if not lines or not quality.is_better("\n".join(lines), page.text):
        return page
    height = page.height or 12.0 * (len(lines) + 12)
    step = height / (len(lines) + 12)
    return replace(
        page,
        width=page.width or 600.0,
        height=height,
        unmapped=0.0,
        lines=tuple(
            Line(text, page.index, 50, (k + 6) * step, 50, (k + 7) * step, 0.0, row=k)
            for k, text in enumerate(lines)
        ),
    )


def _lacks_text(page: Page) -> bool:
    if page.blank:
        return False
    return not page.lines or (page.scanned and len(page.text) < _FEW_CHARS)


def _in_order(page: Page) -> Page:
    return replace(page, lines=tuple(reading_order(page.lines)))


def _join_lines(block: Block, vocabulary: Vocabulary) -> tuple[str, list[tuple[int, int]]]:
    """Return a block's text, and for each of its lines where it begins and on which page."""
    if block.title:
        return block.title, [(0, block.page)]
    text, starts = "", []
    for line in block.lines:
        if block.listing:
            shown = _without_leaders(finish(line.text))
            text += "\n" * bool(text) + (_indented(shown, line, block) if shown else "")
            starts.append((text.rfind("\n") + 1, line.page))
        else:
            printed = _SPACE_BEFORE.sub("", line.text)
            joined = join(text, printed, vocabulary)
            starts.append((len(joined) - len(printed), line.page))
            text = joined
    return finish(text), starts


def _indented(text: str, line: Line, block: Block) -> str:
    """Return a line of code as far in as it stands: its letters are of one width."""
    width = (line.x1 - line.x0) / max(1, len(line.text))
    left = min(each.x0 for each in block.lines if each.page == line.page)
    is_code = block.kind == "code" and width > 0
    return " " * min(_MOST_IN, round((line.x0 - left) / width if is_code else 0)) + text


def _without_leaders(line: str) -> str:
    return _LEADERS.sub(" … ", line).strip()


def _pieces(
    joined: Sequence[tuple[Block, str, list[tuple[int, int]]]], language: str
) -> Iterator[Piece]:
    for paragraph, (block, text, starts) in enumerate(joined, start=1):
        for position, sentence in _split(block, text, language):
            line = bisect_right(starts, position, key=itemgetter(0)) - 1
            page = starts[line][1] if line >= 0 else block.page
            yield Piece(sentence, block.kind, page, paragraph, block.path)


def _split(block: Block, text: str, language: str) -> list[tuple[int, str]]:
    if block.kind == "heading":
        return [(0, text)]
    if not block.listing:
        return split(text, language)
    found, position = [], 0
    for line in text.split("\n"):
        found.append((position, line))
        position += len(line) + 1
    return found


def _title(own: str, pages: Sequence[Page]) -> str:
    """The document's own title if it is one, else the largest type on its first page."""
    if is_title(own):
        return own
    lines = next((page.lines for page in pages if page.lines), ())
    lines = tuple(line for line in lines if not names_contents(line.text))
    largest = max((line.size for line in lines if sum(map(str.isalpha, line.text)) > 1), default=0)
    if largest <= 1.1 * body_size(pages):
        return ""
    first = next(k for k, line in enumerate(lines) if line.size == largest)
    title = ""
    for line in lines[first : first + 4]:
        if abs(line.size - largest) > 0.3:
            break
        title = join(title, line.text, Vocabulary.of(()))
    return finish(title)[:200]
