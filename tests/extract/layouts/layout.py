"""What a layout is: a typst source, the text it prints, and the frame its text stands in.

Everything printed outside of the frame (headers, footers, page numbers, line numbers) is
running matter by construction, so the truth about it is read off the finished PDF.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import typst
from pypdf import PdfReader, PdfWriter, Transformation


@dataclass(frozen=True)
class Layout:
    """A document with known truth.

    Attributes:
        source: typst's; the page's margins are `margin`.
        body: all blocks of text in reading order, as they must be extracted.
        floats: texts whose place in that order is free (footnotes, captions).
        margin: left, top, right, bottom, in points.
        rotate: by which the pages are drawn turned and told to be shown upright.
    """

    name: str
    source: str
    body: tuple[str, ...]
    floats: tuple[str, ...] = ()
    margin: tuple[float, float, float, float] = (60, 70, 60, 70)
    rotate: int = 0

    def pdf(self) -> bytes:
        data = bytes(typst.compile(self.source.encode()))
        return _turned(data, self.rotate) if self.rotate else data


def page(
    margin: Sequence[float],
    *,
    size: str = 'paper: "a5"',
    header: str = "none",
    footer: str = "none",
    more: str = "",
) -> str:
    """Typst's page set-up. Header and footer are code that may use `n` and `total`."""
    left, top, right, bottom = margin
    known = "let n = counter(page).get().first(); let total = counter(page).final().first(); "
    return (
        f"#set page({size}, margin: (left: {left}pt, top: {top}pt, right: {right}pt, "
        f"bottom: {bottom}pt), header: context {{ {known} {header} }}, "
        f"footer: context {{ {known} {footer} }}{', ' + more if more else ''})\n"
        "#set par(justify: true)\n"
    )


def _turned(data: bytes, angle: int) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    for each in writer.pages:
        width, height = float(each.mediabox.width), float(each.mediabox.height)
        turn = {
            90: (Transformation().rotate(90).translate(height, 0), (height, width)),
            180: (Transformation().rotate(180).translate(width, height), (width, height)),
            270: (Transformation().rotate(270).translate(0, width), (height, width)),
        }[angle]
        each.add_transformation(turn[0])
        for box in (each.mediabox, each.cropbox, each.trimbox, each.bleedbox, each.artbox):
            box.lower_left, box.upper_right = (0, 0), turn[1]
        each.rotate(angle)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
