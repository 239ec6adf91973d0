"""Real documents that no one here made: recall, order, headings, and no accident on any."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from pypdf import PdfReader

from tasks.extract import Extracted, extract
from tasks.settings import Settings

WORDS = r"[^\W\d_]{3,}"
CJK = r"[\u3040-\u30ff\u4e00-\u9fff]"


@pytest.fixture(scope="module")
def pdf(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Extracted]:
    """Extract a file of the material; each is read once for all tests."""
    config = Settings(home=tmp_path_factory.mktemp("home"))

    @functools.cache
    def read(name: str, password: str | None = None) -> Extracted:
        return extract(str(material / "pdf" / name), config, password=password)

    return read


def text_of(extracted: Extracted) -> str:
    return "\n".join(segment.text for segment in extracted.segments)


def recall(got: str, gold: str, pattern: str) -> float:
    found, wanted = (Counter(re.findall(pattern, text.lower())) for text in (got, gold))
    return (found & wanted).total() / wanted.total()


def mean_word(text: str) -> float:
    words = re.findall(r"[^\W\d_]+", text)
    return sum(map(len, words)) / len(words)


@pytest.mark.slow
def test_an_english_book_is_all_there(material: Path, pdf: Callable[..., Extracted]) -> None:
    """Words as in the book's own text, neither glued nor torn, and its running header gone."""
    got = text_of(pdf("good/debian-reference.en.pdf"))
    gold = (material / "pdf/good/debian-reference.en.txt").read_text()

    assert recall(got, gold, WORDS) >= 0.97
    assert mean_word(got) == pytest.approx(mean_word(gold), rel=0.05)
    assert not re.search(r"Debian Reference (?:\d+|[ivx]+) / 233", got)


@pytest.mark.slow
def test_a_chinese_book_is_all_there(material: Path, pdf: Callable[..., Extracted]) -> None:
    """Characters as in the book's own text."""
    got = pdf("good/debian-reference.zh-cn.pdf")
    gold = (material / "pdf/good/debian-reference.zh-cn.txt").read_text()

    assert recall(text_of(got), gold, CJK) >= 0.97
    assert got.source.language == "zh"


@pytest.mark.slow
def test_chinese_that_pypdf_loses_is_there(pdf: Callable[..., Extracted]) -> None:
    """pypdf returns 148,000 characters of this book, and not one Chinese one."""
    assert len(re.findall(r"[\u4e00-\u9fff]", text_of(pdf("awkward/lshort-zh-cn.pdf")))) >= 35_000


def test_headings_are_the_bookmarks(material: Path, pdf: Callable[..., Extracted]) -> None:
    """In number, order and words."""
    titles = [item.title for item in PdfReader(material / "pdf/good/pdflatex-outline.pdf").outline]
    got = pdf("good/pdflatex-outline.pdf")

    assert titles == [s.text for s in got.segments if s.kind == "heading"]


def test_two_columns_are_read_in_order(pdf: Callable[..., Extracted]) -> None:
    """The paragraphs of lipsum follow each other as in the .tex, with no word torn."""
    text = text_of(pdf("good/multicolumn.pdf"))
    beginnings = [
        "Two-Column Document",
        "This is a sample document with two columns filled with Lorem Ipsum text.",
        "Lorem ipsum dolor sit amet, consectetuer adipiscing elit. Ut purus",
        "Nam dui ligula, fringilla a, euismod sodales, sollicitudin vel, wisi.",
        "Nulla malesuada porttitor diam.",
        "Quisque ullamcorper placerat ipsum.",
        "Fusce mauris. Vestibulum luctus nibh at lectus.",
        "Suspendisse vel felis.",
        "Table 1: EU Countries Information",
    ]
    positions = [text.replace("\n", " ").find(beginning) for beginning in beginnings]

    assert -1 not in positions
    assert sorted(positions) == positions


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("r2-user-password.pdf", "asdfzxcv"),
        ("r6-user-password.pdf", "asdfzxcv"),
        ("libreoffice-writer-password.pdf", "openpassword"),
    ],
)
def test_passwords_open(pdf: Callable[..., Extracted], name: str, password: str) -> None:
    """Old and new encryption; without the password the row says what is missing."""
    assert pdf(f"encrypted/{name}", password).source.status == "ok"
    assert "Give its password" in pdf(f"encrypted/{name}").source.error


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["good", "awkward", "broken", "encrypted"])
def test_every_file_gives_a_row(material: Path, pdf: Callable[..., Extracted], folder: str) -> None:
    """No exception, no hang; a failed row says why on one line; segments are sound."""
    for path in sorted((material / "pdf" / folder).glob("*.pdf")):
        got = pdf(f"{folder}/{path.name}")

        assert (got.source.status == "ok") == (not got.source.error)
        assert (got.source.status == "failed") == (not got.segments)
        assert "\n" not in got.source.error
        assert list(range(1, len(got.segments) + 1)) == [s.n for s in got.segments]
        for s in got.segments:
            assert s.text == (s.text.rstrip() if s.kind == "code" else s.text.strip())
            assert 0 < len(s.text) <= 1000
        assert not any("\n" in s.text or "\0" in s.text for s in got.segments)
