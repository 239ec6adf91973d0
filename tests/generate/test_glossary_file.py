"""The user's glossary, however a program saved it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import SourceError
from tasks.generate.glossary_file import read_glossary
from tasks.records import Term

LATHE = (Term("lathe", "车床"), Term("drill", "钻床"))


def written(folder: Path, data: str | bytes) -> Path:
    path = folder / "terms.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_a_file_may_have_a_head_notes_and_empty_rows(tmp_path: Path) -> None:
    path = written(tmp_path, '\ufeffSource,Target,Note\n\nlathe,车床,a tool\n"a, b",甲\nlathe,x\n')

    assert read_glossary(path) == (Term("lathe", "车床", "a tool"), Term("a, b", "甲"))


@pytest.mark.parametrize("head", ["en,zh\n", "English,中文\n", "Source,Target\n", ""])
def test_a_head_may_name_columns_or_languages(head: str, tmp_path: Path) -> None:
    assert read_glossary(written(tmp_path, f"{head}lathe,车床\ndrill,钻床\n")) == LATHE


@pytest.mark.parametrize("separator", [",", ";", "\t", "，"])
def test_cells_are_parted_as_spreadsheets_do(separator: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"lathe{separator}车床\r\ndrill{separator}钻床\r\n")

    assert read_glossary(path) == LATHE


def test_a_comma_within_a_cell_parts_nothing_where_semicolons_do(tmp_path: Path) -> None:
    path = written(tmp_path, "lathe;Drehbank, gross\ndrill;Bohrer\n")

    assert read_glossary(path) == (Term("lathe", "Drehbank, gross"), Term("drill", "Bohrer"))


def test_quotes_that_suit_one_separator_are_no_error(tmp_path: Path) -> None:
    path = written(
        tmp_path, 'source,target,note\n"Goods, Dangerous",危险品,\nlathe,车床,机械，常用\n'
    )

    assert [term.source for term in read_glossary(path)] == ["Goods, Dangerous", "lathe"]


def test_letters_of_europe_are_not_taken_for_chinese(tmp_path: Path) -> None:
    path = written(tmp_path, "Größe;size\nfür;for\n".encode("latin-1"))

    assert read_glossary(path)[0] == Term("Größe", "size")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_it_may_be_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    path = written(tmp_path, "lathe,车床\ndrill,钻床\n".encode(encoding))

    assert read_glossary(path) == LATHE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lathe\n", "line 1 has no term and rendering"),
        ("a,b\n,x\n", "line 2 has no term and rendering"),
        ("a,b\n\nc\n", "line 3 has no term and rendering"),
        ('a,"b\nc,d\n', "unexpected end of data"),
        ("source,target\n", "it holds no entry"),
        ("", "it holds no entry"),
    ],
)
def test_a_file_that_is_none_is_named_with_the_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=said):
        read_glossary(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read_glossary(tmp_path / "none.csv")
