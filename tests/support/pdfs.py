"""Small PDFs for tests: drawn line by line, set by typst, or encrypted."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import typst
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DecodedStreamObject, EncodedStreamObject

_PACKING = ("/Filter", "/DecodeParms", "/Length")


@dataclass(frozen=True)
class Text:
    """A line drawn at (x, y), counted from the bottom left corner of a page of 600 x 800."""

    text: str
    x: float
    y: float
    size: float = 10.0
    font: str = "F1"


def drawn(pages: Sequence[Sequence[Text]]) -> bytes:
    """A PDF whose pages draw exactly these lines, in this order. F2 is bold, F3 monospaced."""
    return raw("\n".join(map(_operator, page)).encode("latin-1") for page in pages)


def _operator(line: Text) -> str:
    text = line.text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"BT /{line.font} {line.size} Tf {line.x} {line.y} Td ({text}) Tj ET"


def raw(contents: Sequence[bytes] | object, *, rounds: int = 1) -> bytes:
    """A PDF with these content streams, each compressed so many times."""
    streams = list(contents)  # type: ignore[call-overload]
    kids = " ".join(f"{5 + 2 * k} 0 R" for k in range(len(streams)))
    names = ("Helvetica", "Helvetica-Bold", "Courier")
    fonts = " ".join(
        f"/F{k} << /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>"
        for k, name in enumerate(names, start=1)
    )
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(streams)} >>".encode(),
        f"<< /Font << {fonts} >> >>".encode(),
    ]
    for k, stream in enumerate(streams):
        for _ in range(rounds):
            stream = zlib.compress(stream, 1)
        filters = "/FlateDecode " * rounds
        head = f"<< /Length {len(stream)} /Filter [{filters}] >>\nstream\n".encode()
        objects.append(head + stream + b"\nendstream")
        page = f"/MediaBox [0 0 600 800] /Resources 3 0 R /Contents {4 + 2 * k} 0 R"
        objects.append(f"<< /Type /Page /Parent 2 0 R {page} >>".encode())
    return numbered(objects)


def numbered(objects: Sequence[bytes], trailer: str = "") -> bytes:
    """A PDF of these objects, the first its catalog; `trailer` has more entries of that."""
    out, offsets = io.BytesIO(), []
    out.write(b"%PDF-1.7\n")
    for number, body in enumerate(objects, start=1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
    entries = b"/Size %d /Root 1 0 R %s" % (len(objects) + 1, trailer.encode())
    out.write(b"trailer << %s >>\n" % entries)
    out.write(b"startxref\n%d\n%%%%EOF\n" % start)
    return out.getvalue()


def paragraph(lines: Sequence[str], x: float = 60, y: float = 700, size: float = 10) -> list[Text]:
    """Lines one below the other."""
    return [Text(line, x, y - k * 1.2 * size, size) for k, line in enumerate(lines)]


def set_by_typst(source: str) -> bytes:
    return bytes(typst.compile(source.encode()))


def unpacked(data: bytes) -> bytes:
    """The same document with its streams as they are, not compressed, and no password.

    Raises: whatever pypdf does, where it can't read or write it.
    """
    writer, out = PdfWriter(clone_from=PdfReader(io.BytesIO(data))), io.BytesIO()
    for n, packed in enumerate(writer._objects):
        if isinstance(packed, EncodedStreamObject):
            plain = DecodedStreamObject()
            plain.update({k: v for k, v in packed.items() if k not in _PACKING})
            plain.set_data(packed.get_data())
            writer._objects[n] = plain
    writer.write(out)
    return out.getvalue()


def encrypted(data: bytes, user: str, owner: str) -> bytes:
    writer, out = PdfWriter(clone_from=PdfReader(io.BytesIO(data))), io.BytesIO()
    writer.encrypt(user, owner, algorithm="AES-256")
    writer.write(out)
    return out.getvalue()
