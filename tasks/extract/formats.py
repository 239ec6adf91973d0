"""Which format a document has: told by its content first, by its name second.

Owns the formats' names, suffixes and marks. Looks at bytes, opens nothing but the list of a
zip file's entries.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING

from tasks.errors import SourceError

if TYPE_CHECKING:
    from tasks.records import SourceKind

SUFFIXES: Mapping[str, SourceKind] = MappingProxyType(
    {
        ".pdf": "pdf",
        ".txt": "text",
        ".md": "markdown",
        ".markdown": "markdown",
        ".html": "html",
        ".htm": "html",
        ".xhtml": "html",
        ".docx": "docx",
        ".epub": "epub",
    }
)
READABLE = "PDF, EPUB, Word (.docx), HTML, Markdown and plain text"
PDF_HEAD = 1024  # bytes within which a PDF must say that it is one

_MEDIA_TYPES: Mapping[str, SourceKind] = MappingProxyType(
    {"text/html": "html", "application/xhtml+xml": "html", "text/markdown": "markdown"}
)
_NAMES: Mapping[SourceKind, str] = MappingProxyType(
    {"pdf": "a PDF", "docx": "a Word document", "epub": "an EPUB"}
)
_OFFICE = "Convert it: `libreoffice --headless --convert-to docx FILE`"
_EBOOK = "Convert it: `ebook-convert FILE book.epub` (of calibre)"
_SAVED = "Save it as HTML or print it to a PDF"
_ARCHIVE = "Unpack it, and name what is in it"
_OTHER = f"Lectern reads {READABLE}; convert it first"
_ENCRYPTED_OFFICE = "EncryptedPackage".encode("utf-16-le")
# What a file begins with: at which byte, what it is, and what to do about it.
_FOREIGN: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"{\\rtf", "is an RTF document", _OFFICE),
    (60, b"BOOKMOBI", "is a Kindle book (MOBI, AZW)", _EBOOK),
    (60, b"TEXtREAd", "is a Palm book", _EBOOK),
    (0, b"\xeaDRMION\xee", "is a Kindle book that is protected by DRM", ""),
    (0, b"ITSF", "is a CHM book", _EBOOK),
    (0, b"AT&TFORM", "is a DjVu document", "Convert it: `ddjvu -format=pdf FILE out.pdf`"),
    (0, b"From: <Saved by ", "is a web page saved with all that it shows (MHTML)", _SAVED),
    (0, b"%!PS", "is a PostScript file", "Convert it: `ps2pdf FILE out.pdf`"),
    (0, b"PK\x05\x06", "is an empty archive", "Get a fresh copy"),
    (0, b"\x1f\x8b", "is a compressed file", _ARCHIVE),
    (0, b"7z\xbc\xaf\x27\x1c", "is an archive", _ARCHIVE),
    (0, b"Rar!", "is an archive", _ARCHIVE),
    (0, b"\x89PNG", "is an image", "Convert it: `img2pdf FILE -o out.pdf`"),
    (0, b"\xff\xd8\xff", "is an image", "Convert it: `img2pdf FILE -o out.pdf`"),
    (0, b"GIF8", "is an image", _OTHER),
    (0, b"II*\x00", "is an image", "Convert it: `img2pdf FILE -o out.pdf`"),
    (0, b"MM\x00*", "is an image", "Convert it: `img2pdf FILE -o out.pdf`"),
)
_HTML = re.compile(
    rb"(?:\s|<!--.*?-->|<\?xml[^>]{0,200}\?>|<!doctype\s+html[^>]{0,300}>)*"
    rb"<(?:html|head|body|title|meta|article|main|div|table|h1|p|script)[\s/>]",
    re.IGNORECASE | re.DOTALL,
)
_XML = re.compile(rb"\s*<\?xml\s")


@dataclass(frozen=True)
class Hint:
    """What is known of a document besides its content.

    Attributes:
        name: of the file; media_type: as a server named it, with its parameters; else "".
    """

    name: str = ""
    media_type: str = ""

    @property
    def kind(self) -> SourceKind:
        """What the name says, else what the server said; "unknown" where neither says."""
        media = self.media_type.partition(";")[0].strip().lower()
        named = SUFFIXES.get(PurePath(self.name).suffix.lower())
        return named or _MEDIA_TYPES.get(media, "unknown")


def is_pdf(head: bytes) -> bool:
    return b"%PDF" in head[:PDF_HEAD]


def recognise(data: bytes, hint: Hint) -> SourceKind:
    """Return the format of a document.

    Raises:
        SourceError: it is none that can be read, or not what its name promises.
    """
    if is_pdf(data):
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return _of_zip(data)
    _refuse_foreign(data)
    if hint.kind in _NAMES:  # a page that says "please log in", saved under the document's name
        what = _NAMES[hint.kind]
        raise SourceError("", f"is not {what}{_sent(hint)}", f"Name {what} itself, or rename it")
    from tasks.extract.decoding import looks_like_text  # the parent needs suffixes alone

    if not looks_like_text(data):
        raise SourceError("", f"is in no format that is known here{_sent(hint)}", _OTHER)
    return _of_text(data, hint)


def _of_text(data: bytes, hint: Hint) -> SourceKind:
    head = data[: 1 << 14].replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe")
    if hint.kind in ("text", "markdown", "html"):
        return "html" if hint.kind == "text" and _is_page(head) else hint.kind
    if _HTML.match(head):
        return "html"
    if _XML.match(head):
        raise SourceError("", "is an XML file, and no HTML", _OTHER)
    return "text"


def _is_page(head: bytes) -> bool:
    """Say whether it is a whole page of HTML: a text may well begin with a tag."""
    return re.match(rb"\s*(?:<!doctype html|<html[\s>])", head, re.IGNORECASE) is not None


def _sent(hint: Hint) -> str:
    return f" (the server sent {hint.media_type})" if hint.media_type else ""


def _of_zip(data: bytes) -> SourceKind:
    """Tell the formats apart that are zip files."""
    from tasks.extract.archive import DAMAGED

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            media_type = archive.read("mimetype")[:100] if "mimetype" in names else b""
    except DAMAGED as error:
        problem = "is damaged: it is a zip file cut short or changed"
        raise SourceError("", problem, "Get a fresh copy") from error
    if "META-INF/container.xml" in names or media_type.startswith(b"application/epub"):
        return "epub"
    if "[Content_Types].xml" in names and any(name.startswith("word/") for name in names):
        return "docx"
    if media_type.startswith(b"application/vnd.oasis.opendocument"):
        raise SourceError("", "is an OpenDocument file", _OFFICE)
    if "[Content_Types].xml" in names:
        raise SourceError("", "is an Office file, but no text document", "Save it as a PDF")
    raise SourceError("", "is an archive", _ARCHIVE)


def _refuse_foreign(data: bytes) -> None:
    """Raise a SourceError that knows a remedy, for formats that people have."""
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        if _ENCRYPTED_OFFICE in data:
            raise SourceError("", "is an encrypted Office file", "Save it without a password")
        raise SourceError("", "is a file of old Office programs (.doc, .xls, .ppt)", _OFFICE)
    for position, mark, problem, remedy in _FOREIGN:
        if data.startswith(mark, position):
            raise SourceError("", problem, remedy or "Get it without")
