"""The plan of a lecture's summary: chapters first, then the notes on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.generating import budget_settings, fake_spec, library
from support.scripted_server import answer_by_rule
from support.spoken import (
    TITLES,
    TOPICS,
    good_chapters,
    lecture,
    row_of,
    topic_of,
    with_chapters,
)

from tasks.generate.flaws import Flaw, places
from tasks.generate.lectures import LecturePlan
from tasks.generate.summarize import SummaryOptions, SummaryPlan
from tasks.naming import is_span
from tasks.records import (
    Citation,
    Document,
    Generation,
    Request,
    Segment,
    Source,
    SummaryLength,
)
from tasks.settings import PROJECT_ROOT

Talk = tuple[Source, list[Segment]]
Say = Callable[[Request], str | None]


def plan_of(
    talk: Talk,
    *,
    language: str = "auto",
    length: SummaryLength = "medium",
    max_prompt_tokens: int = 2500,
    folders: Sequence[Path] = (),
) -> LecturePlan:
    options = SummaryOptions(language=language, length=length)
    settings = budget_settings(max_prompt_tokens)
    return LecturePlan(*talk, fake_spec(), library(*folders), options, settings)


def good(request: Request) -> str:
    """Chapters at each topic; of notes the first line of each paragraph."""
    if request.task == "chapters":
        return good_chapters(request, request.language)
    return answer_by_rule(request.messages[-1].content)


def finish(plan: LecturePlan, say: Say = good) -> tuple[Document, list[Request]]:
    """Answer all that a plan asks; return the document and every request made."""
    done: dict[str, Generation] = {}
    asked: list[Request] = []
    while requests := plan.requests(done):
        assert not {request.key for request in requests} & done.keys()
        asked += requests
        done |= {request.key: row_of(request, say(request)) for request in requests}
    return plan.document(done), asked


@pytest.mark.parametrize("language", ["en", "zh"])
def test_chapters_are_asked_for_first_and_each_is_a_section(language: str) -> None:
    talk = lecture(TOPICS[language], language=language)

    document, asked = finish(plan_of(talk))

    tasks = [request.task for request in asked]
    assert tasks == sorted(tasks)  # chapters, merge, summarize: no chapters after notes
    assert [s.heading for s in document.sections] == [
        TITLES[language][topic] for topic in TOPICS[language]
    ]
    for section, topic in zip(document.sections, TOPICS[language], strict=True):
        assert {topic_of(bullet.text) for bullet in section.bullets} == {topic}
        assert all(
            (citation.start_s or 0) >= (section.start_s or 0)
            for bullet in section.bullets
            for citation in bullet.citations
        )
    assert document.coverage.ok == document.coverage.total == len(talk[1])


@pytest.mark.parametrize(
    ("length", "n"), [("short", "2"), ("medium", "4"), ("long", "8"), ("outline", "2")]
)
def test_each_chapter_has_few_bullets(length: SummaryLength, n: str) -> None:
    document, asked = finish(plan_of(lecture(), length=length))

    assert len(document.sections) == 5
    last = [r for r in asked if r.task == "summarize"]
    assert all(f"in at most {n} bullets" in r.messages[1].content for r in last)


def test_a_chapter_of_a_few_words_has_no_more_bullets_than_that() -> None:
    talk = with_chapters(*lecture(), [(1, "Welcome"), (4, "All else")])

    _, asked = finish(plan_of(talk, length="long"))

    [welcome] = [each for each in asked if "Section: Welcome" in each.messages[1].content]
    assert "in at most 2 bullets" in welcome.messages[1].content


def test_the_chapters_come_out_with_their_titles_and_times() -> None:
    plan = plan_of(lecture())
    done: dict[str, Generation] = {}
    while requests := plan.requests(done):
        done |= {request.key: row_of(request, good(request)) for request in requests}

    chapters = plan.chapters(done)

    assert [each.title for each in chapters] == [TITLES["en"][topic] for topic in TOPICS["en"]]
    document = plan.document(done)
    assert [each.start_s for each in chapters] == [s.start_s for s in document.sections]


def test_the_makers_chapters_are_taken_as_they_are_and_titles_may_repeat() -> None:
    """Two that follow one another under one title stay two; the model is told the title."""
    talk = with_chapters(*lecture(), [(10, "Part one"), (40, "Questions"), (90, "Questions")])

    document, asked = finish(plan_of(talk))

    assert {request.task for request in asked} <= {"summarize", "merge"}
    headings = [section.heading for section in document.sections]
    assert headings == ["", "Part one", "Questions", "Questions"]
    assert [s.start_s for s in document.sections][1:] == [c.start_s for c in talk[0].chapters]
    shown = [request for request in asked if "Section: Questions" in request.messages[1].content]
    assert not any(min(line.n for line in r.lines) < 90 <= r.last_n for r in shown)
    assert document.coverage.ok == len(talk[1])


def test_a_short_lecture_is_one_section() -> None:
    document, asked = finish(plan_of(lecture(minutes=3)))

    assert [request.task for request in asked] == ["summarize"]
    assert [section.heading for section in document.sections] == [""]
    assert "in at most 10 bullets" in asked[0].messages[1].content


def test_a_model_that_knows_no_chapters_gets_parts_by_time() -> None:
    """As the demo model does, which copies lines whatever it is asked."""
    document, asked = finish(plan_of(lecture()), lambda r: answer_by_rule(_as_summary(r)))

    assert [is_span(section.heading) for section in document.sections] == [True] * 3
    assert all(section.bullets for section in document.sections)
    assert not any("Section:" in request.messages[1].content for request in asked)


def _as_summary(request: Request) -> str:
    return request.messages[-1].content.replace("Write the chapters now", "Write")


def test_the_model_is_not_told_titles_that_it_made_up() -> None:
    """What stands in the ledger depends on no other answer: other titles ask nothing anew."""
    _, first = finish(plan_of(lecture()))
    _, second = finish(
        plan_of(lecture()),
        lambda r: good(r).replace("The idea of", "About") if r.task == "chapters" else good(r),
    )

    assert [request.key for request in first] == [request.key for request in second]


def test_another_prompt_for_chapters_asks_for_the_chapters_alone(tmp_path: Path) -> None:
    """If they come out the same; the summary is another one all the same."""
    own = (PROJECT_ROOT / "prompts" / "chapters.toml").read_text(encoding="utf-8")
    (tmp_path / "chapters.toml").write_text(own.replace("Write the chapters now.", "Write now."))
    here, asked = finish(plan_of(lecture()))
    there, again = finish(plan_of(lecture(), folders=[tmp_path]))

    new = [request for request in again if request.key not in {each.key for each in asked}]
    assert [request.task for request in new] == ["chapters"]
    assert here.document_id != there.document_id
    assert here.sections == there.sections


def test_the_makers_chapters_make_a_summary_that_no_prompt_for_chapters_touches(
    tmp_path: Path,
) -> None:
    own = (PROJECT_ROOT / "prompts" / "chapters.toml").read_text(encoding="utf-8")
    (tmp_path / "chapters.toml").write_text(own.replace("Write the chapters now.", "Write now."))
    talk = with_chapters(*lecture(), [(1, "One"), (90, "Two")])
    other = with_chapters(*lecture(), [(1, "One"), (93, "Two")])

    assert plan_of(talk).document_id == plan_of(talk, folders=[tmp_path]).document_id
    assert plan_of(talk).document_id != plan_of(other).document_id


def test_the_documents_id_is_known_before_the_chapters_and_its_own() -> None:
    """A run claims it before anything is asked."""
    plan = plan_of(lecture())
    before = plan.document_id

    document, _ = finish(plan)

    assert document.document_id == before
    plain = SummaryPlan(
        *lecture(), fake_spec(), library(), SummaryOptions(), budget_settings()
    )  # fmt: skip
    assert plain.document_id != before
    assert plan_of(lecture(), length="short").document_id != before


def test_lengths_share_the_chapters() -> None:
    _, medium = finish(plan_of(lecture()))
    _, short = finish(plan_of(lecture(), length="short"))

    known = {request.key for request in medium}
    assert all(request.key in known for request in short if request.task == "chapters")


def test_what_follows_the_chapters_is_foreseen() -> None:
    plan = plan_of(lecture())
    first = plan.requests({})
    foreseen = plan.foreseen({})
    done = {request.key: row_of(request, good(request)) for request in first}

    assert {request.task for request in first} == {"chapters"}
    assert foreseen.calls >= 3
    assert foreseen.prompt_tokens > 1000
    assert plan.foreseen(done).calls <= len(plan.requests(done))


def test_a_title_in_the_summarys_language_is_asked_for() -> None:
    document, asked = finish(plan_of(lecture(), language="zh"))

    assert "给每个话题起一个标题" in asked[0].messages[1].content
    assert asked[0].language == "zh"
    assert document.language == "zh"
    assert [s.heading for s in document.sections] == [TITLES["zh"][t] for t in TOPICS["en"]]


def test_what_failed_is_told_by_its_times() -> None:
    plan = plan_of(lecture())

    document, asked = finish(
        plan, lambda r: None if r.task == "summarize" and topic_of(r.lines[0].text) == "graphs"
        else good(r),
    )  # fmt: skip

    rows = {r.key: row_of(r, good(r)) for r in asked}
    failed = next(r for r in asked if r.task == "summarize" and "graphs" in r.lines[0].text)
    rows[failed.key] = row_of(failed, None, checks=("no_bullets",))
    assert document.failed_pages == ("10:00–14:58",)
    assert plan.flaws(rows) == [Flaw("chunk_failed", "time", "10:00", "14:49", "no_bullets")]


def test_places_of_what_is_played_are_times() -> None:
    """Those in a row are drawn together; pages and paragraphs stay what they were."""
    _, segments = lecture(minutes=70)
    paged = [replace(each, start_s=None, end_s=None, page_label="iv", page=4) for each in segments]

    assert places([segments[0], segments[2], segments[3]]) == ("0:00", "0:19–0:39")
    assert places(segments[-1:]) == ("1:09:49",)
    assert places(paged[:3]) == ("iv",)
    assert places([replace(each, page=None) for each in paged[:9]]) == ("¶ 1–3",)


def test_citations_carry_the_time_of_their_segment() -> None:
    document, _ = finish(plan_of(lecture()))
    starts = {each.n: each.start_s for each in lecture()[1]}

    cited = [c for s in document.sections for b in s.bullets for c in b.citations]

    assert cited
    assert all(each == Citation(n=each.n, page=None, page_label="", start_s=starts[each.n])
               for each in cited)  # fmt: skip


def test_a_plan_is_settled_by_its_answers_alone() -> None:
    """However often, and in whichever order, it is asked."""
    one, other = plan_of(lecture(minutes=90)), plan_of(lecture(minutes=90))
    rows = {request.key: row_of(request, good(request)) for request in one.requests({})}
    for key in list(rows)[::-1]:
        other.requests({key: rows[key]})

    assert [r.key for r in one.requests(rows)] == [r.key for r in other.requests(rows)]
    assert other.chunks == one.chunks
