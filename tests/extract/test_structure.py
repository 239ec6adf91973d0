"""Headings, tables of contents and reference lists."""

from __future__ import annotations

from collections.abc import Callable

from support.pdfs import Text, drawn, paragraph, set_by_typst

from tasks.extract import Extracted

Read = Callable[..., Extracted]

BOOK = """
#set document(title: "A Book")
#set heading(numbering: "1.1")
#set page(width: 300pt, height: 300pt, numbering: "1")
#outline()
#pagebreak()
= Rivers
Rivers run to the sea.
== Long rivers, and a heading that needs more than one line to be printed
The longest are very long.
= Lakes
Lakes stay where they are.
#heading(numbering: none)[References]
[1] Smith, J. (1999). Of rivers. River Press.

[2] Jones, K. (2004). Of lakes. Lake Press.
"""


def headings(extracted: Extracted) -> list[tuple[str, ...]]:
    return [s.heading_path for s in extracted.segments if s.kind == "heading"]


def test_bookmarks_are_the_headings(read: Read) -> None:
    """Nested, matched to printed lines whatever their numbers; each printed once."""
    got = read(set_by_typst(BOOK))
    long = "1.1 Long rivers, and a heading that needs more than one line to be printed"

    assert [("1 Rivers",), ("1 Rivers", long), ("2 Lakes",), ("References",)] == [
        path for path in headings(got) if path != ("Contents",)
    ]
    assert [s.text for s in got.segments if s.kind == "sentence"] == [
        "Rivers run to the sea.",
        "The longest are very long.",
        "Lakes stay where they are.",
    ]
    assert ("1 Rivers", long) == next(s.heading_path for s in got.segments if "very" in s.text)


def test_a_table_of_contents_is_contents(read: Read) -> None:
    """All its entries, and none of the text."""
    got = read(set_by_typst(BOOK))

    assert {1} == {s.page for s in got.segments if s.kind == "contents"}
    assert {"contents", "heading"} >= {s.kind for s in got.segments if s.page == 1}


def test_references_are_references(read: Read) -> None:
    """What stands under such a heading, if it looks like entries."""
    got = read(set_by_typst(BOOK))
    prose = read(set_by_typst("= References\nA reference says where a thing was said first."))

    assert "[1] Smith, J." in " ".join(s.text for s in got.segments if s.kind == "reference")
    assert [s for s in prose.segments if s.kind == "reference"] == []


def test_type_size_makes_headings_where_there_are_no_bookmarks(read: Read) -> None:
    """Larger and bold lines, ranked; long or finished sentences are none."""
    page = [
        Text("On Water", 60, 760, 18, "F2"),
        *paragraph(["Water covers most of the earth, and the rest depends on it."], 60, 730),
        Text("Fresh water", 60, 700, 14, "F2"),
        *paragraph(["Little of it is fresh.", "Less of it is clean."], 60, 680),
        Text("A large line that ends like a sentence.", 60, 640, 14),
        *paragraph(["Some more text in the usual size, to have a body."] * 3, 60, 610),
    ]

    got = read(drawn([page]))

    assert headings(got) == [("On Water",), ("On Water", "Fresh water")]
    assert got.source.title == "On Water"


def test_a_heading_is_the_last_of_its_own_path(read: Read) -> None:
    """And has a paragraph of its own."""
    got = read(set_by_typst(BOOK))
    paragraphs = [s.paragraph for s in got.segments]

    for segment in got.segments:
        if segment.kind == "heading":
            assert segment.text == segment.heading_path[-1]
            assert paragraphs.count(segment.paragraph) == 1


def test_the_printed_title_is_a_heading(read: Read) -> None:
    """It stands above the first heading, is none of the text, and is the path of nothing else."""
    got = read(set_by_typst(BOOK.replace("#outline()", "#text(20pt)[A Book]\n\nFor swimmers.")))

    [title] = [s for s in got.segments if s.text == "A Book"]
    assert (title.kind, title.heading_path) == ("heading", ("A Book",))
    assert "For swimmers." in [s.text for s in got.segments if s.kind == "sentence"]
