"""Text, Markdown, Word and EPUB from bytes to segments, and what is told of those that fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from support.books import docx, docx_with_notes, epub, zipped
from support.pdfs import drawn, paragraph

from tasks.extract import Extracted

Read = Callable[..., Extracted]

NOVEL = "第一章 风雪山神庙\r\n　　话说当日林冲正闲走间，忽然背后人叫。\r\n"
NOVEL += "　　回头看时，却认得是酒生儿。\r\n"
NOVEL += "第二章 火烧草料场\r\n　　第三章的事，后面再说。\r\n"
GUTENBERG = """Title: Alice

CHAPTER I. Down the Rabbit-Hole

Alice was beginning to get very tired of sitting by her sister on the
bank, and of having nothing to do: once or twice she had peeped into the
book her sister was reading, but it had no pictures or conversations in
it, and what is the use of a book without pictures or conversa-
tions, she thought.

So she was considering in her own mind (as well as she could, for the
hot day made her feel very sleepy and stupid), what to do.

A short line.
Another one.
"""
PAGE = "<html><body><h1>Über</h1><p>Schöne Häuser überall.</p></body></html>"


def texts(extracted: Extracted, *kinds: str) -> list[str]:
    return [s.text for s in extracted.segments if not kinds or s.kind in kinds]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_a_chinese_novel_has_chapters_whatever_it_is_written_in(read: Read, encoding: str) -> None:
    """GBK above all: a line a paragraph, and headings that no markup marks."""
    got = read(NOVEL.encode(encoding), "小说.txt")

    assert (got.source.kind, got.source.language, got.source.title) == ("text", "zh", "小说")
    assert texts(got, "heading") == ["第一章 风雪山神庙", "第二章 火烧草料场"]
    assert got.segments[1].text == "话说当日林冲正闲走间，忽然背后人叫。"
    assert got.segments[-1].heading_path == ("第二章 火烧草料场",)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("話說當日林沖正閒走間，忽然背後人叫。回頭看時，卻認得是酒生兒。", "big5"),
        ("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。", "cp932"),
        ("Le café était fermé à l'époque où l'élève mangeait des pâtes.", "cp1252"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy, když večer přišel domů.", "cp1250"),
        ("Все счастливые семьи похожи друг на друга.", "cp1251"),
    ],
)
def test_encodings_are_told_apart(read: Read, text: str, encoding: str) -> None:
    """A damaged byte changes no encoding."""
    lines = [text] * 40

    assert set(read("\n".join(lines).encode(encoding), "a.txt").segments) != set()
    got = read(
        "\n\n".join(lines).encode(encoding) + b"\n\n\xff\n\n" + text.encode(encoding), "b.txt"
    )
    assert "".join(texts(got)).replace(" ", "").count(text.replace(" ", "")) >= 40


def test_broken_lines_are_joined_and_whole_ones_kept(read: Read) -> None:
    """By how full they are; a divided word is made whole."""
    got = read(GUTENBERG.encode(), "alice.txt")
    paragraphs = {s.paragraph: s.text for s in got.segments}

    assert got.source.title == "Alice"
    assert texts(got, "heading") == ["CHAPTER I. Down the Rabbit-Hole"]
    assert paragraphs[3].endswith("without pictures or conversations, she thought.")
    assert texts(got)[-2:] == ["A short line.", "Another one."]


def test_a_table_of_contents_is_told_from_chapters(read: Read) -> None:
    """Headings without text between them are entries, up to the chapter that is named again."""
    got = read("目录\n第一章 甲\n第二章 乙\n第三章 丙\n第一章 甲\n正文在此。".encode(), "a.txt")

    assert texts(got, "contents") == ["第一章 甲", "第二章 乙", "第三章 丙"]
    assert (got.segments[-1].text, got.segments[-1].heading_path) == ("正文在此。", ("第一章 甲",))


def test_markdown_is_read_as_it_is_shown(read: Read) -> None:
    """Front matter gives the title; tables, code, footnotes and HTML in it are text."""
    text = "---\ntitle: 'My book'\ndate: 2020\n---\n# One\n\nText[^1] <b>bold</b>.\n\n"
    text += "| a | b |\n|---|---|\n| 1 | 2 |\n\n    x = 1\n    y = 2\n\n[^1]: http://example.org\n"
    got = read(text.encode(), "a.md")

    assert (got.source.kind, got.source.title) == ("markdown", "My book")
    assert texts(got) == [
        "One", "Text[1] bold.", "a | b", "1 | 2", "x = 1", "y = 2", "http://example.org",
    ]  # fmt: skip
    assert [segment.text for segment in got.segments if segment.kind == "code"] == [
        "x = 1",
        "y = 2",
    ]


def test_word_is_read_in_order(read: Read) -> None:
    """Headings by their style; no pages, so a paragraph is what a citation names."""
    got = read(
        docx([("Heading1", "One"), ("", "It runs. It stops."), ("Heading2", "Two")]), "a.docx"
    )

    assert (got.source.kind, got.source.n_pages) == ("docx", 0)
    assert [(s.text, s.kind, s.page, s.page_label, s.paragraph) for s in got.segments] == [
        ("One", "heading", None, "", 1),
        ("It runs.", "sentence", None, "", 2),
        ("It stops.", "sentence", None, "", 2),
        ("Two", "heading", None, "", 3),
    ]


def test_a_word_documents_notes_are_read_and_its_comments_not(read: Read) -> None:
    """As the README says; what was deleted is not there, what was put in is."""
    runs = "<w:r><w:t>It runs.</w:t></w:r>"
    runs += "".join(f'<w:r><w:{kind}Reference w:id="2"/></w:r>' for kind in ("footnote", "endnote"))
    runs += "<w:ins><w:r><w:t> It stops.</w:t></w:r></w:ins>"
    runs += "<w:del><w:r><w:delText> It waits.</w:delText></w:r></w:del>"
    runs += '<w:r><w:commentReference w:id="2"/></w:r>'
    got = read(docx_with_notes(runs, ["footnote", "endnote", "comment"]), "a.docx")

    assert texts(got) == ["It runs.[1][2]", "It stops.", "The footnote.", "The endnote."]


def test_an_epub_is_read_in_the_order_of_its_spine(read: Read) -> None:
    """Its contents are not repeated, but name the chapters that have no heading."""
    point = "<navPoint><navLabel><text>The Second</text></navLabel><content src='a.xhtml#x'/>"
    point += "</navPoint>"
    book = epub(
        {"b.xhtml": "<h1>First</h1><p>It runs.</p>", "a.xhtml": "<p>It stops.</p>"}, ncx=point
    )
    got = read(book, "book.epub")

    assert (got.source.kind, got.source.title, got.source.language) == (
        "epub",
        "A Book of Tools",
        "la",
    )
    assert texts(got) == ["First", "It runs.", "The Second", "It stops."]


def _point(label: str, source: str, *inner: str) -> str:
    return (
        f"<navPoint><navLabel><text>{label}</text></navLabel><content src='{source}'/>"
        f"{''.join(inner)}</navPoint>"
    )


def test_parts_that_only_the_contents_name_have_their_headings(read: Read) -> None:
    """By anchors in a file, each at its depth; what the page prints as one is not doubled."""
    ncx = _point("One", "a.xhtml#one", _point("A Part", "a.xhtml#part%201")) + _point(
        "Two", "a.xhtml#two"
    )
    page = "<p>Before.</p><p id='one'>ONE</p><p>It runs.</p><div><a id='part 1'/>It stops.</div>"
    page += "<p>It waits. <a name='two'></a>Two</p><p>It goes.</p>"
    got = read(
        epub({"a.xhtml": f"<?xml version='1.0'?><html><body>{page}</body></html>"}, ncx), "a.epub"
    )

    assert [(s.text, s.kind, s.heading_path) for s in got.segments] == [
        ("Before.", "sentence", ()),
        ("One", "heading", ("One",)),
        ("It runs.", "sentence", ("One",)),
        ("A Part", "heading", ("One", "A Part")),
        ("It stops.", "sentence", ("One", "A Part")),
        ("It waits.", "sentence", ("One", "A Part")),
        ("Two", "heading", ("Two",)),
        ("It goes.", "sentence", ("Two",)),
    ]


def test_the_contents_of_epub_3_name_parts_too(read: Read) -> None:
    navigation = "<nav><ol><li><a href='a.xhtml#x'>One</a><ol><li><a href='a.xhtml#y'>Sub</a></li>"
    navigation += "</ol></li></ol></nav>"
    book = epub({"a.xhtml": "<p id='x'>It runs.</p><p id='y'>It stops.</p>"}, ncx=navigation)

    assert [s.heading_path for s in read(book, "a.epub").segments] == [
        ("One",), ("One",), ("One", "Sub"), ("One", "Sub"),
    ]  # fmt: skip


def _drm(algorithm: str) -> bytes:
    encryption = (
        '<encryption xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData>'
        f'<e:EncryptionMethod Algorithm="{algorithm}"/><e:CipherData><e:CipherReference '
        'URI="OEBPS/a.xhtml"/></e:CipherData></e:EncryptedData></encryption>'
    )
    return epub({"a.xhtml": "<p>It runs.</p>"}, more={"META-INF/encryption.xml": encryption})


def test_drm_is_told_from_encrypted_fonts(read: Read) -> None:
    """Only the former keeps a book from being read."""
    assert read(_drm("http://www.idpf.org/2008/embedding"), "a.epub").source.status == "ok"
    assert (
        "protected by DRM"
        in read(_drm("http://www.w3.org/2001/04/xmlenc#aes128-cbc"), "a.epub").source.error
    )


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (drawn([paragraph(["A PDF by its content."])]), "a.txt", "pdf"),
        (PAGE.encode("latin-1"), "a.txt", "html"),
        (PAGE.encode(), "page", "html"),
        (b'<meta charset="gbk"><p>' + "他们出去了。".encode("gbk"), "a.htm", "html"),
        (docx([("", "Plain.")]), "a.epub", "docx"),
        (b"Just text.", "LICENSE", "text"),
    ],
)
def test_the_content_says_what_it_is(read: Read, data: bytes, name: str, kind: str) -> None:
    """Before the name does."""
    got = read(data, name)

    assert (got.source.kind, got.source.status) == (kind, "ok")


@pytest.mark.parametrize(
    ("data", "name", "problem"),
    [
        (b"\xd0\xcf\x11\xe0 old", "a.doc", "convert-to docx"),
        (b"{\\rtf1 x}", "a.rtf", "convert-to docx"),
        (zipped({"mimetype": "application/vnd.oasis.opendocument.text"}), "a.odt", "OpenDocument"),
        (b"\0" * 60 + b"BOOKMOBI", "a.mobi", "ebook-convert"),
        (b"\x89PNG\r\n", "a.png", "is an image"),
        (zipped({"x.py": "pass"}), "a.zip", "is an archive"),
        (docx([("", "x")])[:200], "a.docx", "is damaged"),
        (b"<html>Please log in</html>", "a.epub", "is not an EPUB"),
        (zipped({"META-INF/container.xml": "<a/>"}), "a.epub", "is damaged"),
        (zipped({"[Content_Types].xml": "<", "word/x.xml": "<"}), "a.docx", "is damaged"),
        (b"<html><script>x</script></html>", "a.html", "holds no text"),
        (bytes(range(256)) * 9, "a.bin", "no format that is known"),
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_told_with_a_remedy(
    read: Read, data: bytes, name: str, problem: str
) -> None:
    """On one line that names the file."""
    source = read(data, name).source

    assert source.status == "failed"
    assert problem in source.error
    assert source.uri in source.error
    assert "\n" not in source.error


def test_a_zip_bomb_is_not_unpacked(read: Read) -> None:
    """What it would come to is in its list of entries."""
    bomb = epub({"a.xhtml": "<p>" + "x" * 300_000_000})

    assert "unpacks to 286 MB" in read(bomb, "a.epub").source.error


def test_entity_bombs_do_no_harm(read: Read) -> None:
    """A billion laughs in a book's package end in one line."""
    entities = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 10))
    bomb = f'<!DOCTYPE p [<!ENTITY l0 "ha">{entities}]><package>&l9;</package>'
    got = read(epub({"a.xhtml": "x"}, more={"OEBPS/book.opf": bomb}), "a.epub")

    assert got.source.status == "failed"


def test_the_same_bytes_in_another_format_are_another_source(read: Read) -> None:
    """Their segments differ, so their ids do."""
    both: Sequence[Extracted] = [read(b"# One\n\nText.", name) for name in ("a.md", "a.txt")]

    assert len({got.source.source_id for got in both}) == 2
