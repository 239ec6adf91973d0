"""Files beside the source replace nobody else's, are known as Lectern's, and never cost the
translation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.translated import LINES, SEGMENTS, document, source

from tasks.extract import Extracted
from tasks.files import replace_file
from tasks.land import land_source
from tasks.land.documents import landed_paths
from tasks.land.translations import land_translation


@pytest.fixture(autouse=True)
def _without_pandoc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def land(results: Path, place: Path | str, key: str = "d", *, beside: bool = True) -> list[str]:
    """Land the translation of a source, and return the names of the files beside it.

    Args:
        key: of the source's content.
    """
    read = replace(source(str(place)), source_id=key * 64)
    land_source(results, Extracted(read, ()))
    made = replace(document(), document_id=key * 64, source_id=key * 64)
    landed = land_translation(results, read, made, SEGMENTS, LINES, [], "bilingual", beside=beside)
    paths = [Path(path) for path in landed.paths]
    assert [path.name for path in paths[:2]] == ["translation.md", "translation.html"]
    assert all(path.is_file() for path in paths)
    assert set(landed.paths) <= landed_paths(results)
    return [path.name for path in paths[2:]]


def test_they_are_the_same_files(results: Path, tmp_path: Path) -> None:
    assert land(results, tmp_path / "book.pdf") == ["book.zh.md", "book.zh.html"]
    for path in results.glob("documents/*/translation.*"):
        assert (tmp_path / f"book.zh{path.suffix}").read_bytes() == path.read_bytes()


def test_what_is_from_a_url_has_no_place(results: Path) -> None:
    assert land(results, "https://example.org/book.pdf") == []


def test_where_another_file_has_the_name_the_source_is_named_in_full(
    results: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "book.zh.md"
    mine.write_text("my own")
    for _ in range(2):
        names = land(results, tmp_path / "book.pdf")

        assert names == ["book.pdf.zh.md", "book.pdf.zh.html"]
        assert mine.read_text() == "my own"


def test_sources_of_one_stem_have_their_files_each(results: Path, tmp_path: Path) -> None:
    for _ in range(2):
        for name, key, stem in (("book.pdf", "a", "book"), ("book.epub", "b", "book.epub")):
            assert land(results, tmp_path / name, key) == [f"{stem}.zh.md", f"{stem}.zh.html"]


def test_a_changed_source_has_its_files_replaced(results: Path, tmp_path: Path) -> None:
    names = land(results, tmp_path / "book.pdf", "a")

    assert land(results, tmp_path / "book.pdf", "b") == names


def test_where_both_names_are_taken_the_translation_stays_in_the_results(
    results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken = [tmp_path / "book.zh.md", tmp_path / "book.pdf.zh.html"]
    for path in taken:
        path.write_text("my own")

    assert land(results, tmp_path / "book.pdf") == []
    assert f"{taken[1]}: there is another file of that name" in caplog.text
    assert "The translation is in the results" in caplog.text
    assert [path.read_text() for path in taken] == ["my own", "my own"]


@pytest.mark.parametrize("name", ["b" * 250 + ".pdf", "file/book.pdf"])
def test_what_can_not_be_written_costs_a_line(
    name: str, results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()

    assert land(results, tmp_path / name) == []
    assert "can't be written" in caplog.text
    assert "The translation is in the results" in caplog.text
    assert all(Path(path).is_file() for path in landed_paths(results))


def test_landing_again_forgets_only_what_is_gone(results: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.pdf"
    names = land(results, book)
    assert land(results, book, beside=False) == names

    (tmp_path / "book.zh.html").unlink()
    assert land(results, book, beside=False) == ["book.zh.md"]
    assert land(results, book) == names


def test_files_of_a_run_that_was_killed_among_them_are_known(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, data: bytes) -> None:
        replace_file(path, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tasks.land.beside.replace_file", killed)
        with pytest.raises(KeyboardInterrupt):
            land(results, tmp_path / "book.pdf")

    assert str(tmp_path / "book.zh.md") in landed_paths(results)
    assert land(results, tmp_path / "book.epub", "e") == ["book.epub.zh.md", "book.epub.zh.html"]
    assert land(results, tmp_path / "book.pdf") == ["book.zh.md", "book.zh.html"]
