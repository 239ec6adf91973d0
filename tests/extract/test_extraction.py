"""Good and bad files from path to row."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support.pdfs import drawn, encrypted, paragraph, raw, set_by_typst

from tasks.errors import StorageError
from tasks.extract import Extracted, extract
from tasks.settings import Settings

Read = Callable[..., Extracted]

HELLO = drawn([paragraph(["Hello to all who read this page.", "It has two sentences."])])
PICTURE = b"q 100 0 0 100 60 600 cm 0 0 1 rg 0 0 1 1 re f Q"


def texts(extracted: Extracted) -> list[str]:
    return [segment.text for segment in extracted.segments]


def test_segments_are_numbered_and_belong_to_the_source(read: Read) -> None:
    """n counts from 1 without gaps; page, label and source_id are set."""
    got = read(HELLO)

    assert texts(got) == ["Hello to all who read this page.", "It has two sentences."]
    assert [segment.n for segment in got.segments] == [1, 2]
    assert {(got.source.source_id, 1, "1")} == {
        (segment.source_id, segment.page, segment.page_label) for segment in got.segments
    }
    assert (
        got.source.status,
        got.source.error,
        got.source.n_pages,
        got.source.n_segments,
    ) == ("ok", "", 1, 2)


def test_same_content_has_the_same_id_under_any_name(read: Read) -> None:
    """The id is of the content, the uri is of the place."""
    one, two = read(HELLO, "one.pdf"), read(HELLO, "two\nlines.pdf")

    assert one.source.source_id == two.source.source_id
    assert one.source.uri != two.source.uri


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"<html>no</html>", "is not a PDF. Name a PDF itself, or rename it"),
        (b"\x07\x00 no text at all \x01\x02\x03", "is not a PDF"),
        (b"%PDF-1.7\nnothing more", "is damaged"),
        (HELLO[: len(HELLO) // 3], "is damaged"),
        (encrypted(HELLO, "secret", "owner"), "is encrypted. Give its password"),
        (drawn([[]]), "is blank"),
        (raw([PICTURE]), "holds no text, only images or drawings. Give --ocr auto"),
    ],
)
def test_a_bad_file_gives_a_failed_row_with_its_remedy(
    read: Read, data: bytes, problem: str
) -> None:
    """Each kind of trouble is told apart, on one line that names the file."""
    got = read(data)

    assert (got.source.status, got.segments) == ("failed", ())
    assert problem in got.source.error
    assert got.source.uri in got.source.error
    assert "\n" not in got.source.error


def test_what_is_no_file_is_told_apart(tmp_path: Path, config: Settings) -> None:
    """Missing, a folder, a pipe (which would hang), one without permission."""
    os.mkfifo(tmp_path / "pipe.pdf")

    errors = {
        name: extract(str(tmp_path / name), config).source.error
        for name in ("missing.pdf", "pipe.pdf", ".", "nul\0.pdf", "x" * 300 + ".pdf")
    }

    assert "does not exist" in errors["missing.pdf"]
    assert "is not a file" in errors["pipe.pdf"]
    assert "is a folder" in errors["."]
    assert "can't be read" in errors["nul\0.pdf"]
    assert "can't be read" in errors["x" * 300 + ".pdf"]


def test_a_folder_with_pdfs_is_told_from_one_without(read: Read, config: Settings) -> None:
    """A person who names a folder hears what to name instead."""
    folder = Path(read(HELLO).source.uri).parent

    assert "is a folder. Name a document in it." in extract(str(folder), config).source.error


def test_a_full_disk_is_no_fault_of_the_source(
    read: Read, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised, and names the folder that is full; the source gets no failed row."""
    uri = read(HELLO).source.uri
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(open, "/dev/full", "wb"))

    with pytest.raises(StorageError, match="Free some, or set TMPDIR"):
        extract(uri, config)


@pytest.mark.parametrize("password", ["secret", "owner"])
def test_either_password_opens(read: Read, password: str) -> None:
    """The user's and the owner's."""
    assert read(encrypted(HELLO, "secret", "owner"), password=password).source.status == "ok"


def test_a_wrong_password_is_told_from_none(read: Read) -> None:
    """The message says that the one given does not open it."""
    got = read(encrypted(HELLO, "secret", "owner"), password="guess")

    assert "the password given does not open it" in got.source.error


def test_a_password_for_another_file_does_no_harm(read: Read) -> None:
    """One that needs none, or the empty one, opens all the same."""
    assert read(HELLO, password="guess").source.status == "ok"
    assert read(encrypted(HELLO, "", "owner"), password="guess").source.status == "ok"


def test_pages_without_text_are_listed(read: Read) -> None:
    """A page with a drawing and no text is a loss; an empty one is not."""
    page = b"BT /F1 10 Tf 60 700 Td (Some text stands here.) Tj ET"
    got = read(raw([page, PICTURE, b"", PICTURE, PICTURE, page]))

    assert got.source.status == "partial"
    assert got.source.pages_without_text == (2, 4, 5)
    assert "no text could be read on pages 2, 4–5 of 6. Give --ocr auto" in got.source.error


def test_empty_pages_are_no_loss(read: Read) -> None:
    """A truly blank page leaves the source ok."""
    got = read(drawn([paragraph(["Some text stands here."]), []]))

    assert (got.source.status, got.source.pages_without_text) == ("ok", ())


def test_title_is_the_metadata_or_the_largest_line_or_the_stem(read: Read) -> None:
    """In this order; a title left by a word processor is none."""
    typeset = "#set document(title: [{}])\n#text(20pt)[On Rivers]\n\n" + "Body text. " * 20
    plain = drawn([paragraph(["Body text."])])

    assert read(set_by_typst(typeset.format("A True Title"))).source.title == "A True Title"
    assert read(set_by_typst(typeset.format("Microsoft Word - x.doc"))).source.title == "On Rivers"
    assert read(plain, "my paper.pdf").source.title == "my paper"


def test_labels_are_the_documents_own(read: Read) -> None:
    """A book numbered i, ii, 1 keeps these labels beside the indices."""
    source = """
#set page(numbering: "i")
First words of the preface. #pagebreak() Second page of it. #pagebreak()
#set page(numbering: "1")
#counter(page).update(1)
The text begins."""
    got = read(set_by_typst(source))

    assert [(s.page, s.page_label) for s in got.segments] == [(1, "i"), (2, "ii"), (3, "1")]
    assert texts(got) == ["First words of the preface.", "Second page of it.", "The text begins."]


def test_language_is_found(read: Read) -> None:
    """From the text as a whole; too little text has none."""
    german = ["Der Hund ist nicht in dem Garten, und die Katze sitzt auf der Mauer."] * 3

    assert read(drawn([paragraph(german)])).source.language == "de"
    assert read(drawn([paragraph(["Hm."])])).source.language == "und"
