"""Files that say one thing and are another, or that lack something: no text is lost in silence."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
from support.books import docx, epub, zipped

from tasks.extract import Extracted
from tasks.extract.decoding import declared_by_html, decode
from tasks.extract.epub import parse_epub
from tasks.extract.html_text import parse_html
from tasks.extract.markdown_text import parse_markdown
from tasks.extract.pieces import Parsed
from tasks.extract.plain_text import parse_text
from tasks.extract.word import parse_docx

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


WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MATHS = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'


def word(body: str, styles: str = "") -> bytes:
    """A Word document with this XML between two words."""
    with zipfile.ZipFile(io.BytesIO(docx([("", "MARK")]))) as archive:
        files: dict[str, str | bytes] = {n: archive.read(n) for n in archive.namelist()}
    made = f"<w:document {WORD} {MATHS}><w:body>{body}</w:body></w:document>"
    files |= {"word/document.xml": made}
    return zipped(files | {"word/styles.xml": f"<w:styles {WORD}>{styles}</w:styles>"})


def run(text: str, properties: str = "") -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"


@pytest.mark.parametrize(
    ("inside", "shown"),
    [
        (f"<w:fldSimple>{run('7')}</w:fldSimple>", "a7b"),
        ("<w:r><w:cr/></w:r>", "a b"),
        ('<w:r><w:br w:type="page"/></w:r>', "a b"),
        (run("hidden", "<w:vanish/>"), "ab"),
        (run("seen", '<w:vanish w:val="0"/>'), "aseenb"),
        (
            "<m:oMath><m:f><m:num><m:r><m:t>1</m:t></m:r></m:num><m:den><m:r><m:t>2c</m:t></m:r>"
            "</m:den></m:f></m:oMath>",
            "a1/(2c)b",
        ),
        (f"<w:ins>{run('in')}</w:ins><w:del><w:r><w:delText>out</w:delText></w:r></w:del>", "ainb"),
    ],
)
def test_what_stands_in_a_line_of_a_word_document(inside: str, shown: str) -> None:
    """Fields and formulas are text, what is hidden or deleted is none, and breaks part words."""
    assert texts(parse_docx(word(f"<w:p>{run('a')}{inside}{run('b')}</w:p>"))) == [shown]


def test_headings_of_ones_own_styles_are_headings() -> None:
    """By the level of their outline, or by the heading that their style is based on."""
    styles = (
        '<w:style w:type="paragraph" w:styleId="1"><w:name w:val="heading 1"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="m"><w:name w:val="Mine"/>'
        '<w:basedOn w:val="1"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="t"><w:basedOn w:val="1"/>'
        '<w:pPr><w:outlineLvl w:val="9"/></w:pPr></w:style>'
    )
    body = "".join(
        f"<w:p><w:pPr>{properties}</w:pPr>{run(text)}</w:p>"
        for text, properties in (
            ("One", '<w:pStyle w:val="m"/>'),
            ("Two", '<w:outlineLvl w:val="1"/>'),
            ("text", '<w:pStyle w:val="t"/>'),
        )
    )

    assert [piece.path for piece in parse_docx(word(body, styles)).pieces] == [
        ("One",),
        ("One", "Two"),
        ("One", "Two"),
    ]


def test_lines_alone_are_headings_by_number_or_by_capitals() -> None:
    """Of a report and of a novel without the word "chapter"; items of a list are none."""
    prose = "Some prose that goes on for a while, as prose does, and so ends with a full stop.\n\n"
    lines = ("THE TITLE", "1. First", "1.1 Inner", "2. Second", "1. an item", "IV", "STOP HERE!")
    parsed = parse_text("".join(f"{line}\n\n{prose}" for line in lines))

    assert texts(parsed, "heading") == ["THE TITLE", "1. First", "1.1 Inner", "2. Second", "IV"]
    assert ("1. First", "1.1 Inner") in [piece.path for piece in parsed.pieces]


@pytest.mark.parametrize(
    "line", ["1. Item", "3.5 million people.", "HAMLET\nTo be.", "A | B | C", "* KISS（保持简单）"]
)
def test_lines_that_look_like_headings_stay_text(line: str) -> None:
    """Lists, figures, speakers and tables."""
    prose = "Some prose that goes on for a while, as prose does, and so ends with a full stop."

    assert texts(parse_text(f"{prose}\n\n{line}\n\n{prose}"), "heading") == []


def test_where_all_is_in_capitals_they_mark_nothing() -> None:
    """A telegram has no headings."""
    assert texts(parse_text("WE HAVE ARRIVED\n\nALL IS WELL\n\nSEND MONEY"), "heading") == []


def test_the_first_chapter_is_not_taken_for_the_last_entry_of_the_contents() -> None:
    """Its heading stands without the title that the contents give."""
    text = "CHAPTER I. THE START\n\nCHAPTER II. THE END\n\nCHAPTER I\n\nIt was a dark night.\n"

    assert texts(parse_text(text), "heading") == ["CHAPTER I"]
