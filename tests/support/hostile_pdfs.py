"""PDFs made to harm whoever reads them: each name with the bytes of a file.

Every file is small, and is what a stranger could send: loops, counts that lie, streams and
images that unpack to gigabytes, recursion, and strings that are no text.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

from support.pdfs import drawn, numbered, paragraph, raw

GIB = 2**30
TEXT = b"BT /F1 10 Tf 60 700 Td (One sentence stands on this page.) Tj ET"
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
MAKERS: dict[str, Callable[[], bytes]] = {}


def _hostile(make: Callable[[], bytes]) -> Callable[[], bytes]:
    MAKERS[make.__name__.lstrip("_").replace("_", "-")] = make
    return make


def stream(data: bytes, entries: str = "", rounds: int = 0) -> bytes:
    """A stream object, compressed so many times."""
    for _ in range(rounds):
        data = zlib.compress(data, 9)
    filters = f"/Filter [{'/FlateDecode ' * rounds}]" if rounds else ""
    return (
        f"<< /Length {len(data)} {filters} {entries} >>\nstream\n".encode() + data + b"\nendstream"
    )


def page_with(
    resources: str = "", content: bytes = TEXT, objects: Sequence[bytes] = (), **more: str
) -> bytes:
    """One page: objects 1 to 4 are catalog, pages, page and content, 5 a font; then `objects`.

    Args:
        more: entries for the `catalog`, `pages`, `page` or `trailer`.
    """
    fonts = "/Font << /F1 5 0 R >>"
    page = (
        f"<< /Type /Page /Parent 2 0 R /Contents 4 0 R {more.get('page', '')} "
        f"/MediaBox {more.get('box', '[0 0 600 800]')} "
        f"/Resources << {fonts if '/Font' not in resources else ''} {resources} >> >>"
    )
    body = [
        f"<< /Type /Catalog /Pages 2 0 R {more.get('catalog', '')} >>".encode(),
        f"<< /Type /Pages /Kids [3 0 R] {more.get('pages', '/Count 1')} >>".encode(),
        page.encode(),
        stream(content),
        FONT,
        *objects,
    ]
    return numbered(body, more.get("trailer", ""))


@_hostile
def count_of_two_billion() -> bytes:
    return page_with(pages="/Count 2147483647")


@_hostile
def negative_count() -> bytes:
    return page_with(pages="/Count -2147483648")


@_hostile
def page_tree_that_loops() -> bytes:
    return numbered(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R 2 0 R] /Count 9 >>",
            b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R 3 0 R] /Count 9 >>",
        ]
    )


@_hostile
def page_tree_that_doubles() -> bytes:
    """Sixty levels, each naming the next twice: 2^60 pages."""
    levels = [
        f"<< /Type /Pages /Kids [{n + 3} 0 R {n + 3} 0 R] /Count {2 ** min(60 - n, 30)} >>".encode()
        for n in range(60)
    ]
    leaf = b"<< /Type /Page /Parent 61 0 R /MediaBox [0 0 9 9] >>"
    return numbered([b"<< /Type /Catalog /Pages 2 0 R >>", *levels, leaf])


@_hostile
def deep_page_tree() -> bytes:
    levels = [
        f"<< /Type /Pages /Kids [{n + 3} 0 R] /Count 1 /Parent {n + 1} 0 R >>".encode()
        for n in range(20_000)
    ]
    leaf = b"<< /Type /Page /Parent 20001 0 R /MediaBox [0 0 9 9] >>"
    return numbered([b"<< /Type /Catalog /Pages 2 0 R >>", *levels, leaf])


@_hostile
def a_hundred_thousand_pages() -> bytes:
    """One page, named a hundred thousand times."""
    return numbered(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 100000 /Kids [" + b"3 0 R " * 100_000 + b"] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> >> >>",
            stream(TEXT),
            FONT,
        ]
    )


@_hostile
def a_million_objects() -> bytes:
    return page_with(objects=[b"null"] * 1_000_000)


@_hostile
def xref_that_loops() -> bytes:
    data = page_with(trailer="/Prev 0000000000")
    start = data.rindex(b"xref\n0 ", 0, data.rindex(b"startxref"))
    return data.replace(b"/Prev 0000000000", b"/Prev %010d" % start)


@_hostile
def nested_arrays() -> bytes:
    return page_with(objects=[b"[" * 200_000 + b"]" * 200_000], catalog="/Names 6 0 R")


@_hostile
def nested_dictionaries() -> bytes:
    return page_with(objects=[b"<</A" * 100_000 + b" 1" + b">>" * 100_000], catalog="/Info 6 0 R")


@_hostile
def outline_that_loops() -> bytes:
    item = b"<< /Title (Chapter) /Parent 6 0 R /Next 7 0 R /First 7 0 R /Dest [3 0 R /Fit] >>"
    return page_with(
        objects=[b"<< /Type /Outlines /First 7 0 R /Last 7 0 R /Count 1 >>", item],
        catalog="/Outlines 6 0 R",
    )


@_hostile
def a_hundred_thousand_bookmarks() -> bytes:
    items = [
        f"<< /Title (Chapter {n}) /Parent 6 0 R /Next {n + 8} 0 R /Dest [3 0 R /Fit] >>".encode()
        for n in range(100_000)
    ]
    return page_with(
        objects=[b"<< /Type /Outlines /First 7 0 R /Last 100006 0 R /Count 100000 >>", *items],
        catalog="/Outlines 6 0 R",
    )


@_hostile
def deep_outline() -> bytes:
    items = [
        b"<< /Title (%d) /Parent %d 0 R /First %d 0 R /Dest [3 0 R /Fit] >>" % (n, n + 6, n + 8)
        for n in range(20_000)
    ]
    return page_with(objects=[b"<< /First 7 0 R >>", *items], catalog="/Outlines 6 0 R")


@_hostile
def page_labels_that_loop() -> bytes:
    return page_with(
        objects=[b"<< /Kids [6 0 R 6 0 R] /Limits [0 1] >>"], catalog="/PageLabels 6 0 R"
    )


@_hostile
def page_label_of_a_billion_letters() -> bytes:
    """/A numbers 27 as AA: two billion is a label of 82 million letters."""
    return page_with(
        objects=[b"<< /Nums [0 << /S /A /St 2147483647 /P (p) >>] >>"], catalog="/PageLabels 6 0 R"
    )


@_hostile
def page_label_in_a_billion_roman() -> bytes:
    return page_with(
        objects=[b"<< /Nums [0 << /S /R /St 2147483647 >>] >>"], catalog="/PageLabels 6 0 R"
    )


@_hostile
def title_of_ten_million_letters() -> bytes:
    return page_with(
        objects=[b"<< /Title (" + b"Title " * 1_700_000 + b") >>"], trailer="/Info 6 0 R"
    )


@_hostile
def title_with_controls() -> bytes:
    """Escape sequences, a bell, a right-to-left override, a NUL and a lone surrogate."""
    title = "Alpha \x1b[2J\x1b]0;owned\x07 \u202efdp.exe\u202c \x00 beta".encode("utf-16-be")
    title += b"\xd8\x3d"
    return page_with(
        objects=[b"<< /Title <FEFF" + title.hex().encode() + b"> >>"], trailer="/Info 6 0 R"
    )


@_hostile
def title_with_markup() -> bytes:
    title = rb"<script>alert\(1\)</script> ](javascript:alert\(2\)) | `x` ${{7*7}} {{ 7*7 }}"
    return page_with(objects=[b"<< /Title (" + title + b") >>"], trailer="/Info 6 0 R")


@_hostile
def content_with_markup() -> bytes:
    lines = [
        "<script>alert(1)</script> is what this first sentence says, for the reader of the page.",
        "Click ](javascript:alert(2)) or | this | table | and <img src=x onerror=alert(3)> here.",
        "</source> [1] {{ 7*7 }} {% for x in y %} is what the third sentence of the page says.",
    ]
    return drawn([paragraph(lines)])


@_hostile
def stream_of_ten_gigabytes() -> bytes:
    return numbered(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R >>",
            _packed(10 * GIB, 2),
        ]
    )


def _packed(size: int, rounds: int, entries: str = "") -> bytes:
    data = _bomb(size, rounds)
    filters = "/FlateDecode " * rounds
    head = f"<< /Length {len(data)} /Filter [{filters}] {entries} >>\nstream\n".encode()
    return head + data + b"\nendstream"


def _bomb(size: int, rounds: int) -> bytes:
    """Deflate of so many zeros, put together from repeats of one flushed block."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = pack.compress(bytes(1 << 24)) + pack.flush(zlib.Z_FULL_FLUSH)
    data = b"\x78\xda" + block * (size >> 24) + b"\x03\x00" + bytes(4)
    for _ in range(rounds - 1):
        data = zlib.compress(data, 9)
    return data


@_hostile
def stream_in_a_hundred_filters() -> bytes:
    return numbered(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R >>",
            stream(b" " * 1000, rounds=100),
        ]
    )


@_hostile
def object_stream_of_gigabytes() -> bytes:
    return page_with(
        objects=[_packed(4 * GIB, 2, "/Type /ObjStm /N 1000000 /First 100000000")],
        catalog="/Outlines 7 0 R",
    )


@_hostile
def ten_thousand_page_operators() -> bytes:
    """Text shown twenty million times by one small stream."""
    line = b"BT /F1 1 Tf 1 0 0 1 5 5 Tm (" + b"x" * 1000 + b") Tj ET\n"
    return numbered(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> >> >>",
            stream(line * 20_000, rounds=2),
            FONT,
        ]
    )


@_hostile
def huge_page() -> bytes:
    return page_with(box="[-1e38 -1e38 1e38 1e38]")


@_hostile
def page_of_no_size() -> bytes:
    return page_with(box="[0 0 0 0]")


@_hostile
def page_of_nonsense_size() -> bytes:
    return page_with(box="[nan (x) null 99999999999999999999999]")


def _image(entries: str, data: bytes) -> bytes:
    return page_with(
        "/XObject << /Im 6 0 R >>",
        b"q 600 0 0 800 0 0 cm /Im Do Q",
        [f"<< /Type /XObject /Subtype /Image /Length {len(data)} {entries} >>\nstream\n".encode()
         + data + b"\nendstream"],
    )  # fmt: skip


@_hostile
def image_of_gigabytes() -> bytes:
    size = "/Width 65535 /Height 65535 /BitsPerComponent 8 /ColorSpace /DeviceRGB"
    return _image(f"{size} /Filter [/FlateDecode /FlateDecode]", _bomb(12 * GIB, 2))


@_hostile
def image_of_impossible_size() -> bytes:
    size = "/Width 2147483647 /Height 2147483647 /BitsPerComponent 16 /ColorSpace /DeviceCMYK"
    return _image(size, b"x")


@_hostile
def jbig2_of_gigabytes() -> bytes:
    """A page segment of 2^31 by 2^31 pixels."""
    page = bytes.fromhex("00000000 30 00 01 00000013".replace(" ", ""))
    page += bytes.fromhex("7fffffff 7fffffff 00000000 00000000 00 0000".replace(" ", ""))
    return _image(
        "/Width 65000 /Height 65000 /BitsPerComponent 1 /ColorSpace /DeviceGray"
        " /Filter /JBIG2Decode",
        page,
    )


@_hostile
def jpx_of_gigabytes() -> bytes:
    """A JPEG 2000 header of 2^31 by 2^31 pixels, and no pixels."""
    size = bytes.fromhex("ff51 0029 0000 7fffffff 7fffffff 00000000 00000000".replace(" ", ""))
    size += bytes.fromhex("7fffffff 7fffffff 00000000 00000000 0001 07 01 01".replace(" ", ""))
    return _image("/Width 65000 /Height 65000 /Filter /JPXDecode", b"\xff\x4f" + size)


@_hostile
def form_that_draws_itself() -> bytes:
    form = stream(
        b"/Fm Do /Fm Do", "/Type /XObject /Subtype /Form /BBox [0 0 9 9]"
        " /Resources << /XObject << /Fm 6 0 R >> >>",
    )  # fmt: skip
    return page_with("/XObject << /Fm 6 0 R >>", TEXT + b" /Fm Do", [form])


@_hostile
def forms_that_double() -> bytes:
    """Forty forms, each drawing the next twice: a million million texts."""
    forms = [
        stream(
            b"/Fm Do /Fm Do" if n < 39 else b"BT /F1 9 Tf (x) Tj ET",
            "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources <<"
            f" /Font << /F1 5 0 R >> /XObject << /Fm {n + 7} 0 R >> >>",
        )
        for n in range(40)
    ]
    return page_with("/XObject << /Fm 6 0 R >>", TEXT + b" /Fm Do", forms)


@_hostile
def type3_font_that_shows_itself() -> bytes:
    font = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 9 9] /FontMatrix [1 0 0 1 0 0]"
        b" /CharProcs << /a 7 0 R >> /Encoding << /Differences [97 /a] >> /FirstChar 97"
        b" /LastChar 97 /Widths [9] /Resources << /Font << /F1 6 0 R >> >> >>"
    )
    glyph = stream(b"9 0 d0 BT /F1 9 Tf (aaaa) Tj ET")
    return page_with("/Font << /F1 6 0 R >>", b"BT /F1 9 Tf 9 9 Td (aaaa) Tj ET", [font, glyph])


@_hostile
def font_of_gigabytes() -> bytes:
    font = b"<< /Type /Font /Subtype /TrueType /BaseFont /X /FontDescriptor 7 0 R >>"
    descriptor = b"<< /Type /FontDescriptor /FontName /X /Flags 4 /FontFile2 8 0 R >>"
    return page_with(
        "/Font << /F1 6 0 R >>",
        TEXT,
        [font, descriptor, _packed(4 * GIB, 2, "/Length1 4294967296")],
    )


@_hostile
def cmap_of_all_codes() -> bytes:
    """A ToUnicode map whose ranges each name four billion codes."""
    ranges = b"<00000000> <FFFFFFFF> <0041>\n" * 100
    cmap = stream(b"begincmap 100 beginbfrange\n" + ranges + b"endbfrange endcmap", rounds=1)
    font = FONT[:-2] + b"/ToUnicode 7 0 R >>"
    return page_with("/Font << /F1 6 0 R >>", TEXT, [font, cmap])


@_hostile
def lzw_without_end() -> bytes:
    return numbered(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R >>",
            b"<< /Length 9999999999 /Filter /LZWDecode >>\nstream\n" + b"\x80\x0b" * 500_000,
        ]
    )


@_hostile
def contents_by_the_thousand() -> bytes:
    """One megabyte of text, shown by a page that names it a thousand times."""
    text = stream((TEXT + b"\n") * 15_000, rounds=1)
    return page_with(objects=[text], page="/Contents [" + "6 0 R " * 1_000 + "]")


@_hostile
def action_that_launches() -> bytes:
    return page_with(
        catalog="/OpenAction << /S /Launch /F (/bin/sh) >> /AA << /WC << /S /JavaScript"
        " /JS (app.launchURL\\('http://127.0.0.1/'\\)) >> >>"
    )


@_hostile
def text_of_controls() -> bytes:
    """Escape sequences and overrides as the page's own text."""
    cmap = stream(
        b"begincmap 1 begincodespacerange <00> <FF> endcodespacerange 4 beginbfchar"
        b" <41> <001B> <42> <202E> <43> <D83D> <44> <0000> endbfchar endcmap"
    )
    font = FONT[:-2] + b"/ToUnicode 7 0 R >>"
    text = b"BT /F1 10 Tf 60 700 Td (A[2J this is B a line of C text with D in it.) Tj ET"
    return page_with("/Font << /F1 6 0 R >>", text, [font, cmap])


@_hostile
def one_word_of_a_megabyte() -> bytes:
    return raw([b"BT /F1 1 Tf 5 5 Td (" + b"x" * 1_000_000 + b") Tj ET"])
