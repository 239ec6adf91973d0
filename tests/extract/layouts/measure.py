"""How true an extraction is: running lines gone, body lines kept, broken words whole again.

    python tests/extract/layouts/measure.py [NAME]    prints a table by layout

Words are compared in order. What stands outside of a layout's frame in the PDF must be gone,
all of its body must be there.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import pypdfium2 as pdfium
from extract.layouts.layout import Layout

from tasks.extract.parse import Piece, open_document, parse

_TOKEN = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|[^\W\d_\u3040-\u30ff\u4e00-\u9fff]+|\d+")
_HYPHENATED = re.compile(r"[^\W\d_]+(?:[-‐][^\W\d_]+)*-?")
_LINE_END = re.compile(r"([^\W\d_]+)(?:[\ufffe\x02\xad](?:\r?\n)?|[-‐]\r?\n)([^\W\d_]+)")


@dataclass
class Score:
    """Counts of one layout.

    Attributes:
        running, removed: lines outside of the frame, and those of them that are gone.
        numbers, numbers_removed: of these, the ones that are nothing but a number.
        body, lost: tokens of the body, and those that are not where they belong.
        lost_lines: runs of lost tokens, each counted as the lines it may be.
        hyphens, wrong: words broken at a line's end, and those not as they were written.
    """

    name: str = ""
    running: int = 0
    removed: int = 0
    numbers: int = 0
    numbers_removed: int = 0
    body: int = 0
    lost: int = 0
    lost_lines: int = 0
    hyphens: int = 0
    wrong: int = 0
    torn: int = 0
    left: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    misjoined: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.removed / self.running if self.running else 1.0

    @property
    def precision(self) -> float:
        taken = self.removed + self.lost_lines
        return self.removed / taken if taken else 1.0


def tokens(text: str) -> list[str]:
    return _TOKEN.findall(re.sub(r"(?<=\w)[-‐](?=\w)", "", text.lower()))


def score(layout: Layout) -> Score:
    """Set a layout, read it, and compare."""
    pdf, found = layout.pdf(), Score(layout.name)
    pieces = parse(open_document(pdf, None)).pieces
    _compare(layout, pieces, found)
    _hyphens(layout, pdf, pieces, found)
    return found


def _compare(layout: Layout, pieces: Sequence[Piece], found: Score) -> None:
    floats = Counter(token for text in layout.floats for token in tokens(text) if len(token) > 4)
    wanted = [token for text in layout.body for token in tokens(text)]
    body_words = set(wanted)
    printed: list[tuple[str, int]] = []
    for segment in pieces:
        for token in tokens(segment.text):
            if token in floats and token not in body_words:
                continue
            printed.append((token, segment.page))
    matcher = SequenceMatcher(None, wanted, [token for token, _ in printed], autojunk=False)
    extra: dict[int, Counter[str]] = defaultdict(Counter)
    found.body = len(wanted)
    for kind, a0, a1, b0, b1 in matcher.get_opcodes():
        if kind == "equal":
            continue
        gold, new = wanted[a0:a1], [token for token, _ in printed[b0:b1]]
        if gold and "".join(gold) == "".join(new):
            found.torn += 1
            found.pieces.append(f"{' '.join(gold)[:60]} -> {' '.join(new)[:60]}")
            continue
        if gold:
            found.lost += len(gold)
            found.lost_lines += max(1, round(len(gold) / 10))
            found.missing.append(f"{' '.join(gold)[:60]} -> {' '.join(new)[:60]}")
        for token, page in printed[b0:b1]:
            extra[page][token] += 1
    noted = Counter(token for text in layout.floats for token in tokens(text))
    for page in extra:
        taken = noted & extra[page]
        extra[page] -= taken
        noted -= taken
    for page, line in running_lines(layout):
        words = Counter(tokens(line))
        if not words:
            continue
        near = extra[page] + extra[page - 1]
        left = (words & near).total() * 2 >= words.total()
        number = bool(re.fullmatch(r"[\W_]*(?:\d+|[ivxlc]+)[\W_]*", line))
        found.running += 1
        found.removed += not left
        found.numbers += number
        found.numbers_removed += number and not left
        if left:
            found.left.append(f"p{page}: {line}")
            for at in (page, page - 1):
                taken = words & extra[at]
                extra[at] -= taken
                words -= taken


def running_lines(layout: Layout) -> Iterator[tuple[int, str]]:
    """Yield page and text of each line that is printed outside of the frame."""
    left, top, _, bottom = layout.margin
    plain = layout.pdf() if not layout.rotate else Layout("", layout.source, ()).pdf()
    with pdfium.PdfDocument(plain) as document:
        for index, page in enumerate(document, start=1):
            width, height = page.get_size()
            text_page = page.get_textpage()
            boxes = [(0, 0, width, bottom - 2), (0, height - top + 2, width, height)]
            if left > 70:
                boxes.append((0, bottom, left - 2, height - top))
            for box in boxes:
                text = text_page.get_text_bounded(*box)
                yield from ((index, line) for line in text.splitlines() if line.strip())


def _hyphens(layout: Layout, pdf: bytes, pieces: Sequence[Piece], found: Score) -> None:
    gold = Counter(_HYPHENATED.findall(" ".join(layout.body)))
    have = Counter(_HYPHENATED.findall(" ".join(s.text for s in pieces)))
    broken: Counter[str] = Counter()
    with pdfium.PdfDocument(pdf) as document:
        for page in document:
            text = page.get_textpage().get_text_range()
            whole = _LINE_END.sub("\\1\x01\\2", text)
            for match in re.finditer(r"[^\W\d_]+(?:[-‐\x01][^\W\d_]+)*", whole):
                if "\x01" in match[0]:
                    broken[match[0].replace("\x01", "")] += 1
    by_letters: dict[str, list[str]] = defaultdict(list)
    for word in gold:
        by_letters[word.replace("-", "")].append(word)
    for word, count in broken.items():
        found.hyphens += count
        for written in by_letters.get(word.replace("-", ""), ()):
            missing = gold[written] - have[written]
            if missing > 0:
                found.wrong += min(missing, count)
                found.misjoined.append(f"{written} x{missing}")


def total(scores: Iterable[Score]) -> Score:
    """Add up, under the name of all."""
    whole = Score("all")
    for one in scores:
        for name in (
            "running",
            "removed",
            "numbers",
            "numbers_removed",
            "body",
            "lost",
            "lost_lines",
            "hyphens",
            "wrong",
            "torn",
        ):
            setattr(whole, name, getattr(whole, name) + getattr(one, name))
    return whole


def _table(scores: Sequence[Score]) -> None:
    head = (
        "layout",
        "running",
        "gone",
        "numbers",
        "gone",
        "body",
        "lost",
        "lines",
        "hyph",
        "wrong",
        "torn",
    )
    print(("{:34}" + "{:>8}" * 10).format(*head))
    for one in [*scores, total(scores)]:
        row = (
            one.running,
            one.recall,
            one.numbers,
            one.numbers_removed,
            one.body,
            one.lost,
            one.lost_lines,
            one.hyphens,
            one.wrong,
            one.torn,
        )
        print(
            f"{one.name:34}"
            + "".join(f"{cell:8.3f}" if isinstance(cell, float) else f"{cell:8}" for cell in row)
        )
        for kind in (one.left, one.missing, one.misjoined, one.pieces):
            for each in kind[: 4 if len(sys.argv) < 2 else 40]:
                print("      ", each)


def main() -> None:
    from extract.layouts.catalogue import layouts

    names = sys.argv[1:]
    chosen = [each for each in layouts() if not names or any(n in each.name for n in names)]
    _table([score(layout) for layout in chosen])


if __name__ == "__main__":
    main()
