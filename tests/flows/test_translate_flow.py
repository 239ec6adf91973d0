"""The flow from PDFs to translations, with Prefect's server and a scripted model."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from support.flow_runs import translate
from support.rule_translation import MISTAKES
from support.rule_translation import translate as by_rule
from support.scripted_server import Rule, ScriptedServer

from tasks.settings import PROJECT_ROOT, Settings, settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

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

    assert (state.name, state.message) == ("Completed", "1 translation")
    segments, lines = rows("segments").sort("n"), rows("lines").sort("n")
    assert lines["n"].to_list() == segments["n"].to_list()
    ok = lines.filter(pl.col("status") == "ok").join(segments, on="n", suffix="_source")
    assert ok.height > 0.8 * segments.height
    assert [by_rule(text) for text in ok["text_source"]] == ok["text"].to_list()
    assert set(lines["status"]) <= {"ok", "kept"}
    assert outcomes[PAPER.name].asked == len(server.log) == rows("generations").height
    [document] = rows("documents").iter_rows(named=True)
    assert document["kind"] == "translation"
    names = {Path(path).name for path in document["paths"]}
    assert {"translation.md", "translation.html"} <= names
    page = (Path(document["paths"][0]).parent / "translation.md").read_text(encoding="utf-8")
    assert f"{segments.height} of {segments.height} segments accounted for" in page


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

    assert state.is_failed()
    assert "no usable answer" in outcomes[PAPER.name].error
    lines = rows("lines")
    assert set(lines["status"]) == {"kept"}
    assert lines.filter(pl.col("reason").str.contains("untranslated")).height > 0.8 * lines.height


def test_the_users_glossary_wins_and_one_comes_back(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    terms = tmp_path / "terms.csv"
    terms.write_text("source,target,note\nlathe,车床,\n", encoding="utf-8")
    translate(tiny_model, PAPER, glossary=str(terms))

    glossary = rows("glossary")
    assert ("lathe", "车床", "user") in glossary.select("term", "rendering", "origin").rows()
    [document] = rows("documents").iter_rows(named=True)
    written = next(Path(path) for path in document["paths"] if path.endswith("glossary.csv"))
    with written.open(encoding="utf-8") as file:
        assert ["lathe", "车床", "user"] in list(csv.reader(file))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"to": "klingon language"}, "no such language"),
        ({"glossary": "/nowhere/terms.csv"}, "/nowhere/terms.csv"),
    ],
)
def test_wrong_parameters_end_in_a_line(
    parameters: dict[str, str], said: str, server: ScriptedServer, tiny_model: Path
) -> None:
    state, _ = translate(tiny_model, PAPER, **parameters)

    assert state.is_failed()
    assert said in str(state.message)
    assert not server.log
