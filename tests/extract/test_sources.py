"""Which documents a list of files, folders and URLs means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.forbidden import forbid
from support.pdfs import drawn, paragraph

from tasks.extract import extract, find_sources
from tasks.settings import Settings


def test_folders_give_their_documents_in_order(tmp_path: Path) -> None:
    """Below it as well, whatever the case of the suffix; hidden ones, the locks of programs that
    write, and results left out."""
    locks = ("a/~$1.docx", "a/.~lock.1.docx#")
    for name in ("b.pdf", "a/2.PDF", "a/1.epub", ".x/no.pdf", ".no.pdf", "n.txt", "no.py", *locks):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "data/results").mkdir(parents=True)
    (tmp_path / "data/results/no.pdf").touch()

    found = find_sources(["."], tmp_path)

    assert [str(tmp_path / name) for name in ("b.pdf", "n.txt", "a/1.epub", "a/2.PDF")] == found


def test_lecterns_own_results_are_no_sources(tmp_path: Path) -> None:
    """Wherever they are kept: a summary of summaries is nothing that anyone asked for."""
    (tmp_path / "elsewhere/documents").mkdir(parents=True)
    (tmp_path / "elsewhere/documents/summary.md").touch()
    (tmp_path / "a.md").touch()

    found = find_sources(["."], tmp_path, tmp_path / "elsewhere")

    assert [str(tmp_path / "a.md")] == found


def test_what_is_named_stays_once(tmp_path: Path) -> None:
    """A missing file stays, to get its row; what is named twice comes once; URLs stay as is."""
    (tmp_path / "a.pdf").touch()
    url = "https://example.org/x.pdf?y=1"

    found = find_sources(["a.pdf", url, "gone.pdf", str(tmp_path), "./a.pdf", url], tmp_path)

    assert [str(tmp_path / "a.pdf"), url, str(tmp_path / "gone.pdf")] == found


def test_a_folder_without_documents_stays(tmp_path: Path) -> None:
    """Among others it would else be left out without a word; here it gets its failed row."""
    (tmp_path / "a.pdf").touch()
    (tmp_path / "empty" / "deep").mkdir(parents=True)

    found = find_sources(["a.pdf", "empty"], tmp_path)

    assert [str(tmp_path / "a.pdf"), str(tmp_path / "empty")] == found


def test_folders_that_cannot_be_read_stay(
    tmp_path: Path, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is named, and those below one: reading them says why, and the others go on."""
    for name in ("a.pdf", "closed/b.pdf", "open/c.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    closed = str(tmp_path / "closed")
    forbid(monkeypatch, tmp_path / "closed")

    assert [str(tmp_path / "a.pdf"), str(tmp_path / "open/c.pdf"), closed] == find_sources(
        ["."], tmp_path
    )
    assert [closed] == find_sources(["closed"], tmp_path)
    assert "can't be read (Permission denied)" in extract(closed, config).source.error


def test_a_name_that_is_no_utf_8_is_carried_as_text(tmp_path: Path, config: Settings) -> None:
    """File names are bytes (GBK in many zip files): found in a folder or named, it is read."""
    path = tmp_path / os.fsdecode("中文".encode("gbk") + b".pdf")
    path.write_bytes(drawn([paragraph(["Hello to all who read this page."])]))
    uri = path.as_uri()

    assert [uri] == find_sources([str(tmp_path)], Path("/"))
    assert [uri] == find_sources([path.name, str(path), uri], tmp_path)
    source = extract(uri, config).source
    assert (source.status, source.uri) == ("ok", uri)
    assert source.title.encode().decode() == r"\xd6\xd0\xce\xc4"


def test_a_home_that_is_not_there_is_a_name_like_any(tmp_path: Path) -> None:
    """`~nobody` has no home; it may be a folder here."""
    assert [str(tmp_path / "~nobody9/a.pdf")] == find_sources(["~nobody9/a.pdf"], tmp_path)
