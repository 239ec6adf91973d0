"""The flow from PDFs to translations, with Prefect's server and a scripted model."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pypdf
import pytest
from support.flow_runs import translate, translate_inbox
from support.pdfs import set_by_typst
from support.rule_translation import MISTAKES, Glossary
from support.rule_translation import translate as by_rule
from support.scripted_server import Entry, Rule, ScriptedServer

from flows.rounds import Outcome
from tasks.land.rendering import markdown
from tasks.pool.client import PoolClient
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


def page_of(outcome: Outcome) -> str:
    """Return what a translation's reader sees, as Markdown."""
    assert outcome.document is not None
    path = Path(outcome.document.paths[0]).parent / "translation.md"
    return path.read_text(encoding="utf-8")


def lines_by_rule(outcome: Outcome, glossary: Glossary = ()) -> pl.DataFrame:
    """Return a translation's lines, each beside its source; fail where one is lost, or is not what
    the rule makes of its own source, or stands elsewhere in the file."""
    assert outcome.document is not None
    assert outcome.source is not None
    lines = rows("lines").filter(document_id=outcome.document.document_id).sort("n")
    segments = rows("segments").filter(source_id=outcome.source.source_id).sort("n")
    assert lines["n"].to_list() == segments["n"].to_list()
    lines = lines.with_columns(source=segments["text"], kind=segments["kind"])
    page, at = page_of(outcome), 0
    for line in lines.iter_rows(named=True):
        if line["status"] in ("ok", "repaired"):
            assert line["text"] == by_rule(line["source"], glossary), line["n"]
        elif line["status"] == "kept":
            assert line["text"] == line["source"]
        if line["kind"] != "code":
            shown = markdown(line["text"])
            at = page.index(shown, at) + len(shown)
    return lines


def assert_nothing_asked_twice(server: ScriptedServer) -> None:
    """Every call of the ledger's is one of the server's, and another than all others."""
    calls = rows("generations")
    assert calls.select("key", "attempt").is_unique().all()
    assert len({entry.key for entry in server.log}) == len(server.log) == calls.height


def test_a_paper_becomes_a_translation_of_every_line(
    server: ScriptedServer, tiny_model: Path
) -> None:
    """By the rule, in order; the files and the tables are there."""
    state, outcomes = translate(tiny_model, PAPER)

    assert state.name == "Completed"
    lines = lines_by_rule(outcomes[PAPER.name])
    ok = lines.filter(status="ok")
    assert ok.height > 0.7 * lines.height  # others are contents and references
    assert set(lines["status"]) <= {"ok", "kept"}
    assert outcomes[PAPER.name].asked == len(server.log) == rows("generations").height
    [document] = rows("documents").iter_rows(named=True)
    assert document["kind"] == "translation"
    names = {Path(path).name for path in document["paths"]}
    assert {"translation.md", "translation.html"} <= names
    page = page_of(outcomes[PAPER.name])
    counts = document["coverage"]
    n = lines.height
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


# In chunks of their own, and in the context of no other.
MISTAKEN = ("For pages with several columns he recommends", "A hyphen at the end of the line")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_mistake_loses_a_line(mistake: str, server: ScriptedServer, tiny_model: Path) -> None:
    """Two parts are answered wrong once; what is accepted is right, and what was, is not asked for
    again."""
    server.script(*(Rule("mistake", text=mistake, match=text, seed=0) for text in MISTAKEN))
    state, outcomes = translate(tiny_model, PAPER)

    assert state.name == "Completed"
    assert [entry.did for entry in server.log].count("mistake") == 2
    lines = lines_by_rule(outcomes[PAPER.name])
    assert set(lines.filter(pl.col("key") != "")["status"]) <= {"ok", "repaired"}
    repaired = lines.filter(status="repaired").height
    again = rows("generations").filter(pl.col("level") > 0)
    assert bool(repaired) == (again.height == 2) == (mistake != "quote")  # which costs nothing
    assert repaired <= (again["last_n"] - again["first_n"] + 1).sum()
    assert_nothing_asked_twice(server)


def test_an_echo_is_kept_marked_and_told(server: ScriptedServer, tiny_model: Path) -> None:
    server.script(Rule("mistake", text="echo"))
    state, outcomes = translate(tiny_model, PAPER)

    assert state.name == "Completed with warnings"
    lines = rows("lines")
    asked = lines.filter(pl.col("key") != "")
    told = asked.filter(pl.col("status") == "kept", pl.col("reason").str.contains("untranslated"))
    assert told.height > 0.95 * asked.height  # a name alone is the same in both languages
    assert page_of(outcomes[PAPER.name]).count("未翻译：模型照抄了原文") == told.height


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
WORDS = ("red", "green", "blue", "grey", "white", "black", "brown", "pink", "pale")
NAMED = ["2", "4", "5", "7"]  # the chapters that have a name
RENDERED = Rule("say", match="现在写出译法", text="[1] 沃代尔")


def book(path: Path, **edited: str) -> Path:
    """Write a PDF of a chapter a page; in some a name recurs."""
    words = [f"Wardale {word}" if str(n) in NAMED else word for n, word in enumerate(WORDS, 1)]
    text = "".join(
        CHAPTER.format(n=n, word=edited.get(f"chapter_{n}", word))
        for n, word in enumerate(words, start=1)
    )
    path.write_bytes(set_by_typst(text))
    return path


EACH = [str(n) for n in range(1, 1 + len(WORDS))]


def asked_for(entries: Sequence[Entry]) -> list[str]:
    """Return what was asked for: chapters, by their numbers, and the glossary."""
    return sorted(
        chapter[1] if (chapter := re.search(r"章节：Chapter (\d+)", entry.prompt)) else "glossary"
        for entry in entries
    )


class Asked:
    """What a server has been asked for since it was looked at last."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server, self._seen = server, 0

    def new(self) -> list[str]:
        entries = self._server.log[self._seen :]
        self._seen += len(entries)
        return asked_for(entries)


def test_an_edited_page_asks_again_only_for_its_section(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """The glossary stays, though the page now has a name of its own; until all is asked again."""
    server.script(RENDERED)
    asked = Asked(server)
    pdf = book(tmp_path / "book.pdf")
    state, outcomes = translate(tiny_model, pdf)
    assert state.name == "Completed"
    assert asked.new() == [*EACH, "glossary"]
    lines_by_rule(outcomes["book.pdf"], [("Wardale", "沃代尔")])

    book(pdf, chapter_4="Ostrow and Ostrow, not Wardale")
    state, outcomes = translate(tiny_model, pdf)
    assert state.name == "Completed"
    assert asked.new() == ["4"]
    lines = lines_by_rule(outcomes["book.pdf"], [("Wardale", "沃代尔")])
    assert lines.filter(pl.col("source").str.contains("Ostrow"))["status"].to_list() == ["ok"] * 2

    translate(tiny_model, pdf, again=True)
    assert asked.new() == [*EACH, "glossary"]
    assert "Ostrow" in next(entry.prompt for entry in server.log[::-1] if "译法" in entry.prompt)


def test_an_edited_term_asks_again_only_for_the_chunks_that_have_it(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """A term of the user's; what was found stays."""
    server.script(RENDERED)
    asked = Asked(server)
    pdf = book(tmp_path / "book.pdf")
    terms = tmp_path / "terms.csv"
    terms.write_text("blue,蓝色\nlathe,车床\n", encoding="utf-8")
    translate(tiny_model, pdf, glossary=str(terms))
    assert asked.new() == [*EACH, "glossary"]

    terms.write_text("blue,湛蓝\nlathe,车床\n", encoding="utf-8")
    state, outcomes = translate(tiny_model, pdf, glossary=str(terms))
    assert state.name == "Completed"
    assert asked.new() == ["3"]
    glossary = [("blue", "湛蓝"), ("lathe", "车床"), ("Wardale", "沃代尔")]
    lines_by_rule(outcomes["book.pdf"], glossary)

    terms.write_text("Wardale,华代尔\nblue,湛蓝\nlathe,车床\n", encoding="utf-8")
    translate(tiny_model, pdf, glossary=str(terms))
    assert asked.new() == NAMED


def test_an_edited_prompt_asks_again_for_what_it_makes(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """A text for another language touches nothing; this one's asks for the chunks, and not for the
    glossary. The glossary's asks for it, and for the chunks in which another rendering stands."""
    server.script(RENDERED)
    asked = Asked(server)
    pdf = book(tmp_path / "book.pdf")
    translate(tiny_model, pdf)
    assert asked.new() == [*EACH, "glossary"]

    def edit(name: str, old: str, new: str) -> None:
        own = tmp_path / "prompts" / name
        own.parent.mkdir(exist_ok=True)
        text = (PROJECT_ROOT / "prompts" / name).read_text(encoding="utf-8")
        assert old in text
        own.write_text(text.replace(old, new), encoding="utf-8")
        translate(tiny_model, pdf, prompt_dir=str(own.parent))

    edit("translate.toml", "ins Deutsche", "in gutes Deutsch")
    assert asked.new() == []
    edit("translate.toml", "现在写出译文", "现在请写出译文")
    assert asked.new() == EACH
    edit("glossary.toml", "简短，不加解释", "简短")
    assert asked.new() == ["glossary"]
    server.script(Rule("say", match="现在写出译法", text="[1] 华代尔"))
    edit("glossary.toml", "简短，不加解释", "不加解释")
    assert asked.new() == sorted([*NAMED, "glossary"])


# What a server does that goes on afterwards: to the chapters 1, 2, …
STUMBLES = (
    Rule("status", status=429, times=3),
    Rule("status", status=503, times=3),
    Rule("status", status=500, times=2),
    Rule("drop", times=2),
    Rule("answer", delay_s=3, times=1),
)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set how long a server is waited for."""
    return lambda **seconds: monkeypatch.setattr(
        "flows.asking.PoolClient", partial(PoolClient, **seconds)
    )


@pytest.mark.usefixtures("no_pauses")
def test_what_a_server_fails_at_for_a_while_is_no_loss(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path, patience: Callable[..., None]
) -> None:
    """The same is asked until it is answered, and then it is as if it had been at once."""
    patience(answer_s=2)
    script = {str(n): rule for n, rule in enumerate(STUMBLES, start=1)}
    server.script(*(replace(rule, match=f"章节：Chapter {n}") for n, rule in script.items()))
    state, outcomes = translate(tiny_model, book(tmp_path / "book.pdf"))

    assert state.name == "Completed"
    assert set(lines_by_rule(outcomes["book.pdf"])["status"]) == {"ok"}
    more = [n for n, rule in script.items() for _ in range(rule.times or 0)]
    assert asked_for(server.log) == sorted([*EACH, "glossary", *more])
    assert len({entry.key for entry in server.log}) == rows("generations").height == 10


@pytest.mark.usefixtures("no_pauses")
def test_what_a_server_refuses_is_marked_and_the_next_run_asks_for_that_alone(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    pdf = book(tmp_path / "book.pdf")
    asked = Asked(server)
    server.script(Rule("status", status=500, match="章节：Chapter 3"))
    state, outcomes = translate(tiny_model, pdf)

    assert state.name == "Completed with warnings"
    # Whole, whole once more, and in halves: each of these three times.
    assert asked.new() == sorted([*EACH, "glossary", *["3"] * 11])
    lost = lines_by_rule(outcomes["book.pdf"]).filter(pl.col("status") != "ok")
    assert lost.select("status", "reason").rows() == [("kept", "no_answer")] * 3
    assert all("3" in text for text in lost["source"])
    assert page_of(outcomes["book.pdf"]).count("未翻译：") == 3

    server.script()
    state, outcomes = translate(tiny_model, pdf)
    assert state.name == "Completed"
    assert asked.new() == ["3"]
    assert set(lines_by_rule(outcomes["book.pdf"])["status"]) == {"ok"}
    assert "未翻译：" not in page_of(outcomes["book.pdf"])
    translate(tiny_model, pdf)
    assert asked.new() == []


@pytest.mark.usefixtures("no_pauses")
def test_a_glossary_that_got_no_answer_is_asked_for_by_the_next_run(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """Until then the text is translated without."""
    pdf = book(tmp_path / "book.pdf")
    asked = Asked(server)
    server.script(Rule("status", status=500, match="现在写出译法"))
    _, outcomes = translate(tiny_model, pdf)
    assert asked.new() == [*EACH, *["glossary"] * 3]
    assert set(lines_by_rule(outcomes["book.pdf"])["status"]) == {"ok"}

    server.script(RENDERED)
    _, outcomes = translate(tiny_model, pdf)
    assert asked.new() == sorted([*NAMED, "glossary"])
    lines_by_rule(outcomes["book.pdf"], [("Wardale", "沃代尔")])


@pytest.mark.parametrize(
    ("rule", "said"),
    [(Rule("drop"), "can't be reached"), (Rule("answer", delay_s=4), "no answer came in time")],
    ids=["drop", "timeout"],
)
def test_a_server_that_is_gone_ends_the_run_and_the_next_goes_on(
    rule: Rule,
    said: str,
    server: ScriptedServer,
    tiny_model: Path,
    tmp_path: Path,
    patience: Callable[..., None],
) -> None:
    pdf = book(tmp_path / "book.pdf")
    patience(patience_s=1, answer_s=2)
    server.script(replace(rule, match="章节：Chapter 3"))
    state, _ = translate(tiny_model, pdf)
    assert state.is_failed()
    assert said in str(state.message)
    answered = rows("generations").filter(status="ok").height
    before = len(server.log)

    server.script()
    state, outcomes = translate(tiny_model, pdf)
    assert state.name == "Completed"
    assert set(lines_by_rule(outcomes["book.pdf"])["status"]) == {"ok"}
    assert len(server.log) - before == 10 - answered
    assert "3" in asked_for(server.log[before:])


@pytest.mark.usefixtures("no_pauses")
def test_a_file_of_the_inbox_that_lacks_answers_is_taken_up_again(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And another beside it is not."""
    monkeypatch.setattr("tasks.land.inbox._SETTLED_S", 0.0)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    book(inbox / "book.pdf")
    book(inbox / "other.pdf", chapter_3="orange", chapter_6="violet")
    server.script(Rule("status", status=500, match="turns blue wood"))
    state, outcomes = translate_inbox(tiny_model, inbox)
    assert state.name == "Completed with warnings"
    assert rows("inbox").select("status", "final").sort("status").rows() == [
        ("ok", True),
        ("partial", False),
    ]
    before = len(server.log)

    server.script()
    state, outcomes = translate_inbox(tiny_model, inbox)
    assert set(outcomes) == {"book.pdf"}
    assert set(lines_by_rule(outcomes["book.pdf"])["status"]) == {"ok"}
    assert asked_for(server.log[before:]) == ["3"]
    state, _ = translate_inbox(tiny_model, inbox)
    assert state.message == "Nothing new."


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_whole_book_takes_hardly_more_calls_than_it_has_chunks(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path, material: Path
) -> None:
    """The Debian reference in Chinese: all of its segments, in order, each with a translation that
    is its own, in 1.05 calls a chunk."""
    pdf = material / "pdf" / "good" / "debian-reference.zh-cn.pdf"
    if not SOAK:
        pdf = excerpt(pdf, tmp_path / pdf.name)
    state, outcomes = translate(tiny_model, pdf, to="en")

    lines = lines_by_rule(outcomes[pdf.name])
    assert lines["n"].to_list() == list(range(1, lines.height + 1))
    calls = rows("generations").filter(pl.col("task") == "translate")
    fewest = calls.filter(pl.col("level") == 0)["key"].n_unique()
    print(f"{fewest} chunks, {calls.height} calls; {state.message}")
    assert calls.height <= 1.05 * fewest
    assert_nothing_asked_twice(server)
    assert lines.filter(status="ok").height > 0.5 * lines.height
    document = outcomes[pdf.name].document
    assert document is not None
    assert document.coverage.total == lines.height


def excerpt(book: Path, path: Path) -> Path:
    writer = pypdf.PdfWriter()
    for page in pypdf.PdfReader(book).pages[SHORT]:
        writer.add_page(page)
    writer.write(path)
    return path
