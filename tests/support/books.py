"""Small EPUBs and Word documents for tests, written by hand: what a test needs to vary is text."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

_CONTAINER = (
    '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
)
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
    'content-types"><Default Extension="xml" ContentType="application/xml"/><Override '
    'PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
    "</Relationships>"
)


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def epub(
    chapters: Mapping[str, str], ncx: str = "", more: Mapping[str, str | bytes] | None = None
) -> bytes:
    """A book whose spine lists these files, in this order; ncx: entries of its contents."""
    items = "".join(
        f'<item id="c{k}" href="{name}" media-type="application/xhtml+xml"/>'
        for k, name in enumerate(chapters)
    )
    refs = "".join(f'<itemref idref="c{k}"/>' for k in range(len(chapters)))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A Book of Tools</dc:title>'
        f"<dc:language>la-VA</dc:language></metadata><manifest>{items}"
        '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/></manifest>'
        f'<spine toc="ncx">{refs}</spine></package>'
    )
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": _CONTAINER,
            "OEBPS/book.opf": package,
            "OEBPS/toc.ncx": f"<ncx><navMap>{ncx}</navMap></ncx>",
            **{f"OEBPS/{name}": text for name, text in chapters.items()},
            **(more or {}),
        }
    )


def docx(paragraphs: Sequence[tuple[str, str]]) -> bytes:
    """A Word document of (style, text): "Heading1" and the like, or "" for plain text."""
    body = "".join(
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'
        for style, text in paragraphs
    )
    return zipped(
        {
            "[Content_Types].xml": _TYPES,
            "_rels/.rels": _RELATIONS,
            "word/document.xml": _word("document", f"<w:body>{body}</w:body>"),
        }
    )


def docx_with_notes(runs: str, kinds: Sequence[str]) -> bytes:
    """A Word document of one paragraph, and a note of each kind: footnote, endnote, comment.

    Args:
        runs: the paragraph's, in WordprocessingML; notes have the id 2.
    """
    types = "".join(
        f'<Override PartName="/word/{kind}s.xml" ContentType="application/vnd.openxmlformats-'
        f'officedocument.wordprocessingml.{kind}s+xml"/>'
        for kind in kinds
    )
    relations = "".join(
        f'<Relationship Id="{kind}" Target="{kind}s.xml" Type="http://schemas.openxmlformats.org/'
        f'officeDocument/2006/relationships/{kind}s"/>'
        for kind in kinds
    )
    notes = {
        f"word/{kind}s.xml": _word(
            f"{kind}s",
            f'<w:{kind} w:id="2"><w:p><w:r><w:t>The {kind}.</w:t></w:r></w:p></w:{kind}>',
        )
        for kind in kinds
    }
    return zipped(
        {
            "[Content_Types].xml": _TYPES.replace("</Types>", f"{types}</Types>"),
            "_rels/.rels": _RELATIONS,
            "word/_rels/document.xml.rels": _RELATIONS.partition("<Relationship ")[0]
            + f"{relations}</Relationships>",
            "word/document.xml": _word("document", f"<w:body><w:p>{runs}</w:p></w:body>"),
            **notes,
        }
    )


def _word(kind: str, content: str) -> str:
    return (
        f'<?xml version="1.0"?><w:{kind} xmlns:w="http://schemas.openxmlformats.org/'
        f'wordprocessingml/2006/main">{content}</w:{kind}>'
    )
