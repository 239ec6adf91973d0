"""Lines with boxes and type sizes, bookmarks and labels, from PDFium.

Owns every call of PDFium. Asks for boxes and fonts at the ends of lines only: a call per
character would take longer than all the rest.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from tasks.extract.characters import HYPHEN, clean
from tasks.extract.pages import Bookmark, Line, Page

# PDFium breaks lines by CR LF, but sets only this mark where a word is hyphenated.
_HYPHEN_MARKS = "\ufffe\x02"
_RAW_LINE = re.compile(rf"[^\r\n{_HYPHEN_MARKS}]*(?:[{_HYPHEN_MARKS}]|\r\n|\r|\n|$)")
_BOLD_NAME = re.compile(rb"bold|black|heavy|semib|demi|cmbx|sfbx|-b$", re.IGNORECASE)
_MONO_NAME = re.compile(rb"mono|courier|consol|cmtt|sftt|typewriter|menlo|code", re.IGNORECASE)
_MAX_BOOKMARKS = 20_000
_MAX_NAME = 500  # characters
_FIXED_PITCH, _FORCE_BOLD = 1 << 0, 1 << 18
_RULE = re.compile(r"[\s.·…_=–—-]{4,}")  # drawn with characters
_INITIAL = 1.5  # times the size of the line: a large letter that begins it
_GAP = 1.5  # times the line's height: a gap this wide parts columns or cells
_SCANNED = 0.5  # of the page's area under images


@dataclass(frozen=True, slots=True)
class _Geometry:
    """Turns PDFium's coordinates into those of the page as displayed."""

    left: float
    top: float

    def box(self, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        return x0 - self.left, self.top - y1, x1 - self.left, self.top - y0


def read_bookmarks(document: pdfium.PdfDocument) -> list[Bookmark]:
    """Read the outline; entries that lead nowhere are left out."""
    found = []
    for entry in itertools.islice(document.get_toc(), _MAX_BOOKMARKS):
        destination, title = entry.get_dest(), _named(entry.get_title)
        index = destination.get_index() if destination else None
        if index is not None and title:
            mode, view = destination.get_view()
            at = {pdfium_c.PDFDEST_VIEW_XYZ: 1, pdfium_c.PDFDEST_VIEW_FITH: 0}.get(mode, 9)
            top = view[at] if at < len(view) else None
            found.append(Bookmark(title, entry.level + 1, index + 1, top or None))
    return found


def read_title(document: pdfium.PdfDocument) -> str:
    return _named(lambda: document.get_metadata_value("Title"))


def read_label(document: pdfium.PdfDocument, index: int) -> str:
    """What the document calls page `index` (from 1), or that number."""
    return _named(lambda: document.get_page_label(index - 1)) or str(index)


def _named(read: Callable[[], str]) -> str:
    """Clean a title or label; pypdfium2 refuses one that is no UTF-16, and no length is bounded."""
    try:
        text = read()
    except UnicodeDecodeError as error:
        text = error.object.decode("utf-16-le", "ignore")
    return clean(text[:_MAX_NAME])


def read_page(document: pdfium.PdfDocument, index: int, label: str) -> Page:
    """Read page `index` (from 1).

    Raises:
        pdfium.PdfiumError: the page can't be loaded.
    """
    page = _upright(document, index - 1)
    try:
        width, height = page.get_size()
        text_page = page.get_textpage()
        try:
            left, _, _, top = page.get_bbox()
            reader = _Reader(text_page, _Geometry(left, top), index)
            lines = tuple(reader.lines())
        finally:
            text_page.close()
        few = sum(len(line.text) for line in lines) < 200
        blank = not lines and pdfium_c.FPDFPage_CountObjects(page.raw) == 0
        scanned = few and not blank and _image_share(page, width * height) >= _SCANNED
        unmapped = reader.unmapped / (reader.sampled or 1)
        return Page(index, label, width, height, lines, blank, scanned, unmapped)
    finally:
        page.close()


def _upright(document: pdfium.PdfDocument, position: int) -> pdfium.PdfPage:
    """Load a page; one that is to be shown turned has its content turned instead.

    PDFium finds lines and hyphens in the order in which they are drawn, and by how they lie on
    the page as it is drawn.
    """
    page = document[position]
    rotation = page.get_rotation()
    if not rotation:
        return page
    width, height = page.get_size()
    left, bottom, right, top = page.get_bbox()
    turn = {
        90: (0, -1, 1, 0, -bottom, right),
        180: (-1, 0, 0, -1, right, top),
        270: (0, 1, -1, 0, top, -left),
    }[rotation]
    pdfium_c.FPDFPage_TransFormWithClip(page.raw, pdfium_c.FS_MATRIX(*turn), None)
    page.set_mediabox(0, 0, width, height)
    page.set_cropbox(0, 0, width, height)
    page.set_rotation(0)
    page.close()
    return document[position]


def _image_share(page: pdfium.PdfPage, area: float) -> float:
    images = page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=3)
    covered = 0.0
    for image in images:
        left, bottom, right, top = image.get_bounds()
        covered += max(0.0, right - left) * max(0.0, top - bottom)
    return covered / area if area else 0.0


@functools.cache
def _style(flags: int, name: bytes) -> tuple[bool, bool]:
    """Whether a font is bold, and whether all its characters are of one width."""
    bold = bool(flags & _FORCE_BOLD) or bool(_BOLD_NAME.search(name))
    mono = bool(flags & _FIXED_PITCH) or bool(_MONO_NAME.search(name))
    return bold, mono


class _Reader:
    """Reads one text page. The buffers are shared by all its calls."""

    def __init__(self, text_page: pdfium.PdfTextPage, geometry: _Geometry, page: int) -> None:
        self.text_page = text_page.raw
        self.text = text_page.get_text_range()
        self.geometry = geometry
        self.page = page
        self.rect = pdfium_c.FS_RECTF()
        self.matrix = pdfium_c.FS_MATRIX()
        self.name = ctypes.create_string_buffer(128)
        self.flags = ctypes.c_int()
        self.sampled = self.unmapped = 0
        self.doubles = tuple(ctypes.c_double() for _ in range(4))

    def lines(self) -> Iterator[Line]:
        gaps = self._gaps()
        for row, match in enumerate(_RAW_LINE.finditer(self.text)):
            start, end = match.span()
            cuts = [start, *(gap for gap in gaps if start < gap < end), end]
            for first, last in itertools.pairwise(cuts):
                line = self._line(first, last, row)
                if line:
                    yield line

    def _line(self, start: int, end: int, row: int) -> Line | None:
        raw = self.text[start:end]
        text = clean(raw.rstrip("\r\n").rstrip(_HYPHEN_MARKS))
        if not text or _RULE.fullmatch(text):
            return None
        if raw[-1] in _HYPHEN_MARKS or raw.rstrip().endswith(HYPHEN):
            text += HYPHEN
        first, last = start + len(raw) - len(raw.lstrip()), end - 1
        while last > start and (self.text[last].isspace() or self.text[last] in _HYPHEN_MARKS):
            last -= 1
        first_char, last_char = self._index(first), self._index(last)
        x0, y0, x1, y1 = self._box(first_char)
        if last > first:
            a0, b0, a1, b1 = self._box(last_char)
            x0, y0, x1, y1 = min(x0, a0), min(y0, b0), max(x1, a1), max(y1, b1)
        letter = next((i for i in range(first, last) if self.text[i].isalnum()), first)
        letter_char = first_char if letter == first else self._index(letter)
        size, bold, mono = self._font(letter_char)
        if last > letter and not self._same_object(letter_char, last_char):
            end_size, end_bold, end_mono = self._font(last_char)
            if size > _INITIAL * end_size and self.text[first : first + 2].isalpha():
                size, bold, mono = self._font(self._index(first + 1))
            size, bold, mono = max(size, end_size), bold and end_bold, mono and end_mono
        return Line(text, self.page, x0, y0, x1, y1, size, bold, mono, row)

    def _index(self, text_index: int) -> int:
        """Characters without Unicode have a place on the page but none in the text."""
        return int(pdfium_c.FPDFText_GetCharIndexFromTextIndex(self.text_page, text_index))

    def _same_object(self, char: int, other: int) -> bool:
        """Say whether two characters are of one text object, and so of one font and size."""
        one = pdfium_c.FPDFText_GetTextObject(self.text_page, char)
        two = pdfium_c.FPDFText_GetTextObject(self.text_page, other)
        if not one or not two:
            return False
        return ctypes.addressof(one.contents) == ctypes.addressof(two.contents)

    def _box(self, char: int) -> tuple[float, float, float, float]:
        rect = self.rect
        pdfium_c.FPDFText_GetLooseCharBox(self.text_page, char, rect)
        return self.geometry.box(rect.left, rect.bottom, rect.right, rect.top)

    def _font(self, char: int) -> tuple[float, bool, bool]:
        matrix = self.matrix
        self.sampled += 1
        self.unmapped += pdfium_c.FPDFText_HasUnicodeMapError(self.text_page, char) == 1
        size = pdfium_c.FPDFText_GetFontSize(self.text_page, char)
        if pdfium_c.FPDFText_GetMatrix(self.text_page, char, matrix):
            size *= math.hypot(matrix.c, matrix.d)
        pdfium_c.FPDFText_GetFontInfo(self.text_page, char, self.name, 128, self.flags)
        flags, name = self.flags.value, self.name.value
        return size, *_style(flags, name)

    def _gaps(self) -> list[int]:
        """Text indices at which a wide gap within a line ends."""
        gaps = []
        previous: tuple[float, float, float] | None = None
        for k in range(pdfium_c.FPDFText_CountRects(self.text_page, 0, -1)):
            left, top, right, bottom = self._rect(k)
            if previous is not None:
                last_right, last_top, last_bottom = previous
                middle = (top + bottom) / 2
                if left - last_right > _GAP * (top - bottom) and last_bottom < middle < last_top:
                    char = pdfium_c.FPDFText_GetCharIndexAtPos(
                        self.text_page, left + 0.3, middle, 1.0, 1.0
                    )
                    if char > 0:
                        gaps.append(
                            pdfium_c.FPDFText_GetTextIndexFromCharIndex(self.text_page, char)
                        )
            previous = right, top, bottom
        return gaps

    def _rect(self, k: int) -> tuple[float, float, float, float]:
        left, top, right, bottom = self.doubles
        pdfium_c.FPDFText_GetRect(self.text_page, k, left, top, right, bottom)
        return left.value, top.value, right.value, bottom.value
