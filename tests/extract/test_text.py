"""True text: what a reader reads on the page, in the order in which it is read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.pdfs import Text, drawn, paragraph, set_by_typst

from tasks.extract import Extracted

Read = Callable[..., Extracted]

LEFT = [
    "The left column begins here and goes on",
    "for some lines, each of which nearly fills",
    "the width of the column, as prose in a",
    "column does, so that no one takes it for",
    "the cells of a table. It ends at the foot",
    "of the page, and the right one goes on.",
]
RIGHT = [
    "Here the right column begins, at the top",
    "of the page again. It has as many lines as",
    "the left one has, and they stand at the",
    "same heights, so that a line read across",
    "the page would mix what does not belong",
    "together. This is the end of the column.",
]


def texts(extracted: Extracted) -> list[str]:
    return [segment.text for segment in extracted.segments]


def running(extracted: Extracted) -> str:
    return " ".join(texts(extracted))


def test_columns_drawn_row_by_row_are_read_one_after_the_other(read: Read) -> None:
    """Whatever the order in which the page draws them; a title over both comes first."""
    left, right = paragraph(LEFT, 60), paragraph(RIGHT, 310)
    rows = [line for pair in zip(left, right, strict=True) for line in pair]
    title = Text("A title that runs over both of the columns of this page", 120, 740, 16)

    by_rows, by_columns = read(drawn([[title, *rows]])), read(drawn([[title, *left, *right]]))

    assert " ".join([title.text, *LEFT, *RIGHT]) == running(by_rows)
    assert texts(by_columns) == texts(by_rows)


def test_rows_of_a_table_stay_rows(read: Read) -> None:
    """Short cells are no columns."""
    cells = [("Berlin", "Germany"), ("Paris", "France"), ("Vienna", "Austria"), ("Rome", "Italy")]
    rows = [
        Text(cell, 60 + 250 * column, 700 - 12 * k)
        for k, row in enumerate(cells * 2)
        for column, cell in enumerate(row)
    ]

    assert "Berlin Germany Paris France Vienna Austria" in running(read(drawn([rows])))


def test_a_line_that_is_all_a_document_says_stays(read: Read) -> None:
    """Repeated on every page, at its edge: without it nothing would be left."""
    got = read(drawn([[Text("Strictly confidential, for the board alone.", 60, 760)]] * 4))

    assert [got.source.status, len(got.segments)] == ["ok", 4]


def test_headers_footers_and_page_numbers_go(read: Read) -> None:
    """Repeated lines and numbers at the edge, with alternating sides and changing chapters."""
    pages = []
    for k in range(1, 9):
        left, right = ("The Book", f"Chapter {k // 3}") if k % 2 else (f"Part {k // 4}", "The Book")
        body = paragraph([f"Sentence number {n} of page {k} stands here." for n in range(9)])
        edge = [Text(left, 60, 770), Text(right, 480, 770), Text(str(k + 4), 300, 30)]
        pages.append([*edge, *body])

    got = running(read(drawn(pages)))

    assert "Book" not in got
    assert "Chapter" not in got
    assert "Part" not in got
    assert (
        " ".join(
            f"Sentence number {n} of page {k} stands here." for k in range(1, 9) for n in range(9)
        )
        == got
    )


def test_recurring_rows_at_the_edge_stay(read: Read) -> None:
    """Numbers that are not the page's, and lines that differ in more than that, are content."""
    pages = [
        paragraph([f"{7 * k * k + 31} items in store", *["Filling line of text."] * 50], 60, 770)
        for k in range(1, 7)
    ]

    got = running(read(drawn(pages)))

    assert all(f"{7 * k * k + 31} items in store" in got for k in range(1, 7))


def test_words_broken_at_line_ends_are_whole(read: Read) -> None:
    """The hyphen goes, but stays in a compound that the document knows with it."""
    lines = [
        "A well-known author wrote of self-taught people and their ex-",
        "ample, which is well-",
        "known, and of the self-",
        "taught reader's inter-",
        "national fame in the North-",
        "East.",
    ]

    expected = (
        "A well-known author wrote of self-taught people and their example, which is "
        "well-known, and of the self-taught reader's international fame in the North-East."
    )
    assert expected == running(read(drawn([paragraph(lines)])))


def test_a_sentence_over_two_pages_is_one_and_begins_on_the_first(read: Read) -> None:
    """A footnote and a page number between its parts stay out of it."""
    first = [*paragraph(["It starts. This sentence goes on at the top of the"], 60, 90)]
    note = [Text("1 A note in small type stands below.", 60, 60, 7), Text("1", 300, 30)]
    second = [*paragraph(["next page, and ends there. Another one."]), Text("2", 300, 30)]

    got = read(drawn([[*first, *note], second]))

    whole = "This sentence goes on at the top of the next page, and ends there."
    assert [(1, whole)] == [(s.page, s.text) for s in got.segments if "goes on" in s.text]
    assert [s.page for s in got.segments if s.text == "Another one."] == [2]
    assert [t for t in texts(got) if "note" in t] == ["1 A note in small type stands below."]


def test_chinese_lines_are_joined_without_spaces(read: Read) -> None:
    """And with one between Latin words."""
    text = "观星需要耐心。" + "许多人第一次拿到望远镜时都想马上看到照片里那样绚丽的星云" * 4 + "。"
    got = read(set_by_typst(f'#set text(lang: "zh")\n{text}'))

    if not any("\u4e00" <= c <= "\u9fff" for c in running(got)):
        pytest.skip("no Chinese font on this machine")
    assert text == "".join(texts(got))


def test_ligatures_and_invisible_characters_do_not_show(read: Read) -> None:
    """Text is NFC, without ligatures; Chinese punctuation keeps its width (see clean)."""
    got = running(read(set_by_typst("The o\ufb03cial \ufb01le \ufb02ows.")))

    assert got == "The official file flows."


def test_listings_keep_their_lines(read: Read) -> None:
    """One segment a line, in one paragraph."""
    code = [Text(line, 60, 660 - 12 * k, 9, "F3") for k, line in enumerate(["$ cd /", "$ ls -l"])]
    got = read(drawn([[*paragraph(["Type the following lines."]), *code]]))

    assert texts(got) == ["Type the following lines.", "$ cd /", "$ ls -l"]
    assert [segment.paragraph for segment in got.segments] == [1, 2, 2]
    assert [segment.kind for segment in got.segments] == ["sentence", "code", "code"]


def test_listings_keep_how_far_in_a_line_stands(read: Read) -> None:
    lines = [("def turn():", 0), ("if old:", 4), ("oil()", 8), ("run()", 4)]
    code = [
        Text(line, 60 + 5.4 * indent, 640 - 12 * k, 9, "F3")
        for k, (line, indent) in enumerate(lines)
    ]
    prose = paragraph(["Type the following lines, and all that belongs to them."])
    got = read(drawn([[*prose, *code]]))

    assert texts(got)[1:] == [" " * indent + line for line, indent in lines]


def test_a_document_in_the_letters_of_listings_is_none(read: Read) -> None:
    """It was written on a typewriter."""
    lines = ["The library lends its tools to all.", "Nobody has counted them."]
    got = read(drawn([[Text(line, 60, 660 - 12 * k, 9, "F3") for k, line in enumerate(lines)]]))

    assert {segment.kind for segment in got.segments} == {"sentence"}


def test_a_box_title_at_the_same_height_on_some_pages_stays(read: Read) -> None:
    """Only what stands at the very edge, or next to what goes, is a header."""
    pages = [
        [
            Text("The Book", 60, 770),
            Text("Warning" if k % 3 == 1 else f"Part {k * k + 40}", 60, 700),
            *paragraph([f"This is what page {k * 7 + 100} has to say."], 60, 680),
        ]
        for k in range(1, 10)
    ]

    got = running(read(drawn(pages)))

    assert (got.count("The Book"), got.count("Warning")) == (0, 3)


def test_a_numbered_heading_at_the_top_of_its_page_stays(read: Read) -> None:
    """Chapter 1 on page 1 is not the number of that page with a header beside it."""
    page = [Text("1 The First Chapter", 60, 750, 16, "F2"), *paragraph(["Its text begins."])]

    assert texts(read(drawn([page]))) == ["1 The First Chapter", "Its text begins."]
