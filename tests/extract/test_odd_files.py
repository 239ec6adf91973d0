"""Files that say one thing and are another, or that lack something: no text is lost in silence."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
from support.books import epub, zipped

from tasks.extract import Extracted
from tasks.extract.decoding import declared_by_html, decode
from tasks.extract.epub import parse_epub
from tasks.extract.html_text import parse_html
from tasks.extract.markdown_text import parse_markdown
from tasks.extract.pieces import Parsed

ZH = "第一次拿到望远镜的时候，他看了很久。"


def texts(parsed: Parsed, *kinds: str) -> list[str]:
    return [piece.text for piece in parsed.pieces if not kinds or piece.kind in kinds]


@pytest.mark.parametrize(
    ("declared", "written"),
    [("utf-8", "gbk"), ("gb2312", "utf-8"), ("iso-8859-1", "utf-8"), ("iso-2022-jp", "utf-8")],
)
def test_a_page_that_declares_a_wrong_encoding_is_read_all_the_same(
    declared: str, written: str
) -> None:
    """What the bytes can't be is not believed, nor what they can hardly be."""
    data = f"<meta charset={declared}><p>{ZH}</p>".encode(written)

    assert texts(parse_html(decode(data, declared_by_html(data)))) == [ZH]


def test_japanese_in_seven_bits_is_told_by_its_escapes() -> None:
    """It is ASCII by its bytes."""
    text = "これは日本語です。"

    assert decode(text.encode("iso-2022-jp")) == text


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<frameset><noframes><body>not</body></noframes></frameset>", []),
        ("<dialog>not</dialog><dialog open>seen</dialog>", ["seen"]),
        ("<xmp>a</xmp>b", ["a", "b"]),
        ("one<button>two</button>three", ["one two three"]),
        ('<?xml version="1.0"?><!DOCTYPE html [<!ENTITY x "y">]><p>seen', ["seen"]),
    ],
)
def test_old_and_rare_elements(html: str, shown: list[str]) -> None:
    """Neither their tags nor what they hide is shown, and they glue no words."""
    assert texts(parse_html(html)) == shown


@pytest.mark.parametrize(
    ("matter", "title"),
    [
        ("---\ntitle: A\ntags:\n  - x\n- y\n\n# c\nlist: [\n]\n---\n", "A"),
        ("+++\ntitle = 'A'\n[params]\nx = 1\n+++\n", "A"),
        ("---\r\ntitle: A\r\n...\r\n", "A"),
    ],
)
def test_front_matter_is_no_text(matter: str, title: str) -> None:
    """YAML's and TOML's."""
    parsed = parse_markdown(f"{matter}# One\n\nText.")

    assert (parsed.title, texts(parsed)) == (title, ["One", "Text."])


def test_a_rule_at_the_start_of_markdown_begins_no_front_matter() -> None:
    """What stands between two rules is text, if it is prose."""
    for text in ("---\n\nOne.\n\n---\n\nTwo.", "---\n\nNote: one.\n\n---\n\nTwo."):
        assert len(texts(parse_markdown(text))) == 2


@pytest.mark.parametrize("tag", ["title", "script", "template", "iframe", "video", "nav"])
def test_a_tag_named_in_markdown_hides_nothing_that_follows(tag: str) -> None:
    """Prose about HTML forgets the quotes of code, and never ends the element."""
    parsed = parse_markdown(f"Use <{tag}> here.\n\nThe end.\n\n<{tag}>\n\nThe very end.")

    shown = f"Use <{tag}> here. The end. <{tag}> The very end."
    assert " ".join(texts(parsed)) == shown


def without(data: bytes, name: str, kept: str = "") -> bytes:
    """Take a file out of an archive, unless it is the one to keep."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return zipped({n: archive.read(n) for n in archive.namelist() if n == kept or n != name})


PAGE = "<html><body><p>{}</p></body></html>"


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("ch%201.xhtml", "OEBPS/ch 1.xhtml"),
        ("ch%201.xhtml", "OEBPS/ch%201.xhtml"),
        ("%E4%B8%AD.xhtml", "OEBPS/中.xhtml"),
        ("Ch1.XHTML", "OEBPS/ch1.xhtml"),
        ("/OEBPS/a.xhtml", "OEBPS/a.xhtml"),
        ("text\\a.xhtml", "OEBPS/text/a.xhtml"),
        ("../a.xhtml#part", "a.xhtml"),
    ],
)
def test_a_chapter_is_found_however_the_package_spells_its_name(href: str, name: str) -> None:
    """What made the book wrote for its own system."""
    book = without(epub({href: ""}, more={name: PAGE.format("seen")}), f"OEBPS/{href}", name)

    assert texts(parse_epub(book)) == ["seen"]


def test_chapters_that_a_book_lacks_are_told(read: Callable[..., Extracted]) -> None:
    """Of a book cut short the rest is read, and the user hears of it."""
    book = epub({"a.xhtml": PAGE.format("seen"), "b.xhtml": "", "c.xhtml": ""})
    source = read(without(book, "OEBPS/b.xhtml"), "a.epub").source

    assert (source.status, source.n_segments) == ("partial", 1)
    assert "1 of its parts are missing in the file: b.xhtml" in source.error


def test_a_chapter_that_can_not_be_unpacked_is_told(read: Callable[..., Extracted]) -> None:
    """By what it is, and not as a crash."""
    book = bytearray(epub({"a.xhtml": PAGE.format("many words " * 99)}))
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        start = archive.getinfo("OEBPS/a.xhtml").header_offset + 30 + len("OEBPS/a.xhtml")
    book[start : start + 20] = b"\xff" * 20

    assert "is damaged" in read(bytes(book), "a.epub").source.error
