"""The flow from PDFs to translations, with Prefect's server and a scripted model."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pypdf
import pytest
from support.flow_runs import translate
from support.pdfs import set_by_typst
from support.rule_translation import MISTAKES
from support.rule_translation import translate as by_rule
from support.scripted_server import Rule, ScriptedServer

from tasks.settings import PROJECT_ROOT, Settings, settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

SOAK = bool(os.environ.get("LECTERN_SOAK"))
SHORT = slice(40, 70)  # pages, where the whole book would take too long
PAPER = PROJECT_ROOT / "data" / "samples" / "two-columns-en.pdf"


@pytest.fixture
def server(config: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        monkeypatch.setenv("LECTERN_POOL_URL", server.url)
        settings.cache_clear()
        yield server


def rows(table: str) -> pl.DataFrame:
    return pl.read_parquet(settings().results / table / "*.parquet")


def test_a_paper_becomes_a_translation_of_every_line(
    server: ScriptedServer, tiny_model: Path
) -> None:
    """By the rule, in order; the files and the tables are there."""
    state, outcomes = translate(tiny_model, PAPER)

    assert state.name == "Completed"
    segments, lines = rows("segments").sort("n"), rows("lines").sort("n")
    assert lines["n"].to_list() == segments["n"].to_list()
    ok = lines.filter(pl.col("status") == "ok").join(segments, on="n", suffix="_source")
    assert ok.height > 0.7 * segments.height  # others are contents and references
    assert [by_rule(text) for text in ok["text_source"]] == ok["text"].to_list()
    assert set(lines["status"]) <= {"ok", "kept"}
    assert outcomes[PAPER.name].asked == len(server.log) == rows("generations").height
    [document] = rows("documents").iter_rows(named=True)
    assert document["kind"] == "translation"
    names = {Path(path).name for path in document["paths"]}
    assert {"translation.md", "translation.html"} <= names
    page = (Path(document["paths"][0]).parent / "translation.md").read_text(encoding="utf-8")
    counts = document["coverage"]
    n = segments.height
    said = f"{n} of {n} segments accounted for: {counts['ok']} ok, {counts['kept']} kept"
    assert state.message == f"1 translation; {said}"
    assert f"{n} 段中已核对 {n} 段：正常 {counts['ok']}" in page
    assert ok["mean_logprob"].to_list() == [-0.25] * ok.height


def test_the_same_again_asks_nothing(server: ScriptedServer, tiny_model: Path) -> None:
    translate(tiny_model, PAPER)
    asked = len(server.log)
    state, _ = translate(tiny_model, PAPER)

    assert state.name == "Completed"
    assert len(server.log) == asked


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_mistake_loses_a_line(mistake: str, server: ScriptedServer, tiny_model: Path) -> None:
    """Each part is answered wrong once."""
    server.script(*(Rule("mistake", text=mistake, nth=n) for n in (2, 3)))
    state, outcomes = translate(tiny_model, PAPER)

    lines = rows("lines")
    assert lines.height == rows("segments").height
    document = outcomes[PAPER.name].document
    assert document is not None
    assert document.coverage.total == lines.height
    assert state.is_completed()


def test_an_echo_is_kept_marked_and_told(server: ScriptedServer, tiny_model: Path) -> None:
    server.script(Rule("mistake", text="echo"))
    state, outcomes = translate(tiny_model, PAPER)

    assert state.name == "Completed with warnings"
    lines = rows("lines")
    asked = lines.filter(pl.col("key") != "")
    told = asked.filter(pl.col("status") == "kept", pl.col("reason").str.contains("untranslated"))
    assert told.height > 0.95 * asked.height  # a name alone is the same in both languages
    document = outcomes[PAPER.name].document
    assert document is not None
    page = (Path(document.paths[0]).parent / "translation.md").read_text(encoding="utf-8")
    assert page.count("未翻译：原文未译") == told.height


def test_the_users_glossary_wins_and_one_comes_back(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    terms = tmp_path / "terms.csv"
    terms.write_text("source,target,note\ncolumn,栏,\n", encoding="utf-8")
    translate(tiny_model, PAPER, glossary=str(terms))

    glossary = rows("glossary")
    assert ("column", "栏", "user") in glossary.select("term", "rendering", "origin").rows()
    [document] = rows("documents").iter_rows(named=True)
    written = next(Path(path) for path in document["paths"] if path.endswith("glossary.csv"))
    with written.open(encoding="utf-8") as file:
        assert ["column", "栏", ""] in list(csv.reader(file))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"to": "klingon language"}, "no such language"),
        ({"glossary": "/nowhere/terms.csv"}, "/nowhere/terms.csv"),
        ({"source_language": "klingon language"}, "no such language"),
        ({"to": None}, "LECTERN_TRANSLATE_TO"),
    ],
)
def test_wrong_parameters_end_in_a_line(
    parameters: dict[str, Any], said: str, server: ScriptedServer, tiny_model: Path
) -> None:
    state, _ = translate(tiny_model, PAPER, **parameters)

    assert state.is_failed()
    assert said in str(state.message)
    assert not server.log


def test_a_document_in_that_language_is_refused_unless_it_is_said_to_be_in_another(
    server: ScriptedServer, tiny_model: Path
) -> None:
    _, outcomes = translate(tiny_model, PAPER, to="en")
    assert "it is in en already" in outcomes[PAPER.name].error
    assert not server.log

    state, _ = translate(tiny_model, PAPER, to="zh", source_language="French")
    assert state.name == "Completed"


def test_files_beside_the_source_are_no_sources(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """Of the next run over the same folder."""
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "a.txt").write_text("The lathe is old. Nobody uses it.\n", encoding="utf-8")
    translate(tiny_model, folder, beside=True)
    assert {path.name for path in folder.iterdir()} >= {"a.txt", "a.zh.md", "a.zh.html"}

    _, outcomes = translate(tiny_model, folder, beside=True)
    assert set(outcomes) == {"a.txt"}


CHAPTER = """
= Chapter {n}
The lathe of chapter {n} turns {word} wood for the {n} people who live there in the valley.
Nobody has asked the {n} of them about the {word} and the old ways of working with it.
#pagebreak()
"""


def book(path: Path, words: Sequence[str]) -> Path:
    """Write a PDF of a chapter a page."""
    text = "".join(CHAPTER.format(n=n, word=word) for n, word in enumerate(words, start=1))
    path.write_bytes(set_by_typst(text))
    return path


def asked_since(server: ScriptedServer, before: int) -> list[str]:
    return [entry.prompt for entry in server.log[before:]]


def test_an_edited_page_asks_again_only_for_its_section(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    words = ["red", "green", "blue", "grey"]
    pdf = book(tmp_path / "book.pdf", words)
    translate(tiny_model, pdf)
    before = len(server.log)
    assert before >= 4

    book(pdf, ["red", "green", "violet", "grey"])
    state, _ = translate(tiny_model, pdf)

    assert state.name == "Completed"
    asked = asked_since(server, before)
    assert len(asked) == 1
    assert "violet" in asked[0]


def test_an_edited_term_asks_again_only_for_the_chunks_that_have_it(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    pdf = book(tmp_path / "book.pdf", ["red", "green", "blue", "grey"])
    terms = tmp_path / "terms.csv"
    terms.write_text("blue,蓝色\nlathe,车床\n", encoding="utf-8")
    translate(tiny_model, pdf, glossary=str(terms))
    before = len(server.log)
    assert before >= 4

    terms.write_text("blue,湛蓝\nlathe,车床\n", encoding="utf-8")
    state, _ = translate(tiny_model, pdf, glossary=str(terms))

    assert state.name == "Completed"
    assert len(asked := asked_since(server, before)) == 1
    assert "blue = 湛蓝" in asked[0]


def test_an_edited_prompt_asks_again_for_what_it_makes(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """A text for another language touches nothing; this one's asks for the chunks, and not for the
    glossary."""
    pdf = book(tmp_path / "book.pdf", ["red", "green", "blue", "grey"])
    translate(tiny_model, pdf)
    before = len(server.log)
    own = tmp_path / "prompts"
    own.mkdir()
    prompt = (PROJECT_ROOT / "prompts" / "translate.toml").read_text(encoding="utf-8")
    (own / "translate.toml").write_text(prompt.replace("ins Deutsche", "in gutes Deutsch"))
    translate(tiny_model, pdf, prompt_dir=str(own))
    assert asked_since(server, before) == []

    (own / "translate.toml").write_text(prompt.replace("现在写出译文", "现在请写出译文"))
    translate(tiny_model, pdf, prompt_dir=str(own))

    asked = asked_since(server, before)
    assert asked
    assert all("现在请写出译文" in each for each in asked)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_whole_book_takes_hardly_more_calls_than_it_has_chunks(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path, material: Path
) -> None:
    """The Debian reference in Chinese: all of its segments, in order, in 1.05 calls a chunk."""
    pdf = material / "pdf" / "good" / "debian-reference.zh-cn.pdf"
    if not SOAK:
        pdf = excerpt(pdf, tmp_path / pdf.name)
    state, outcomes = translate(tiny_model, pdf, to="en")

    segments, lines = rows("segments").sort("n"), rows("lines").sort("n")
    assert lines["n"].to_list() == list(range(1, segments.height + 1))
    calls = rows("generations").filter(pl.col("task") == "translate")
    fewest = calls.filter(pl.col("level") == 0)["key"].n_unique()
    print(f"{fewest} chunks, {calls.height} calls; {state.message}")
    assert calls.height <= 1.05 * fewest
    shown = lines.join(segments, on="n", suffix="_source").filter(pl.col("status") == "ok")
    assert shown.height > 0.5 * lines.height
    document = outcomes[pdf.name].document
    assert document is not None
    assert document.coverage.total == segments.height


def excerpt(book: Path, path: Path) -> Path:
    writer = pypdf.PdfWriter()
    for page in pypdf.PdfReader(book).pages[SHORT]:
        writer.add_page(page)
    writer.write(path)
    return path
