"""Make data/samples/*.pdf and the truth about them, from the .md and .typ files beside this one.

    python tests/samples/make.py

Each PDF is the same to the byte for the same fonts (Noto Serif CJK comes from Debian's
fonts-noto-cjk; the others are typst's own) and the same typst.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdfium2
import typst

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent.parent / "data" / "samples"
TRUTH = HERE / "truth"
NAMES = ("chinese-zh", "handbook-en", "two-columns-en")
RUNNING = {
    "chinese-zh": ["星空入门丛书", "用小望远镜看星空"],
    "handbook-en": ["Keeping a Tool Library"],  # and the chapter's name beside it
    "two-columns-en": ["Notes on Typography · Number 7", "Why Newspapers Have Columns"],
}


def make(name: str, pdf: Path) -> None:
    typst.compile(str(HERE / f"{name}.typ"), output=str(pdf), root=str(HERE))


def truth(name: str, pdf: Path) -> dict[str, Any]:
    """Return what a perfect extraction of the sample would find.

    blocks: headings, paragraphs, table rows and references, in reading order. running: texts
    of headers and footers, which belong to no block. hyphenated: words that the layout
    divides at the end of a line and that have no hyphen of their own.
    """
    blocks = list(_blocks((HERE / f"{name}.md").read_text(encoding="utf-8")))
    document = pypdfium2.PdfDocument(pdf)
    words = {word for block in blocks for word in re.findall(r"\w+", block["text"])}
    found = {
        "title": blocks[0]["text"],
        "language": name.rsplit("-", 1)[1],
        "pages": len(document),
        "page_labels": [document.get_page_label(i) for i in range(len(document))],
        "bookmarks": [[b.level + 1, b.get_title()] for b in document.get_toc()],
        "running": RUNNING[name],
        "hyphenated": sorted(set(_divided(document)) & words),
        "blocks": blocks[1:],
    }
    document.close()
    return found


def _blocks(text: str) -> Iterator[dict[str, Any]]:
    kind = "paragraph"
    for block in filter(None, (block.strip() for block in text.split("\n\n"))):
        marks, _, rest = block.partition(" ")
        if marks == "|":
            *rows, caption = block.splitlines()
            for row in rows:
                cells = [cell.strip() for cell in row.split("|") if cell.strip()]
                yield {"kind": "row", "text": " ".join(cells)}
            yield {"kind": "caption", "text": f"Table 1{caption}"}
        elif set(marks) == {"#"}:
            kind = "reference" if rest == "References" else "paragraph"
            yield {"kind": "heading", "level": len(marks) - 1, "text": rest}
        else:
            yield {"kind": kind, "text": block}


def _divided(document: pypdfium2.PdfDocument) -> Iterator[str]:
    """Yield words that stand divided in the PDF, put together (PDFium marks the place)."""
    for page in document:
        text = page.get_textpage().get_text_range()
        for match in re.finditer(r"(\w+)[\x02\ufffe](?:\r?\n)?(\w+)", text):
            yield match[1] + match[2]


def main() -> None:
    SAMPLES.mkdir(parents=True, exist_ok=True)
    TRUTH.mkdir(exist_ok=True)
    for name in NAMES:
        pdf = SAMPLES / f"{name}.pdf"
        make(name, pdf)
        found = truth(name, pdf)
        text = json.dumps(found, ensure_ascii=False, indent=1) + "\n"
        (TRUTH / f"{name}.json").write_text(text, encoding="utf-8")
        print(f"{name}: {found['pages']} pages, {pdf.stat().st_size} bytes")


if __name__ == "__main__":
    main()
