"""Chapters: what the model is shown, what of its answers stands, where parts are cut by time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from support.generating import budget_settings, fake_spec, library
from support.scripted_server import Rule, ScriptedServer
from support.spoken import TITLES, TOPICS, good_chapters, lecture, row_of, with_chapters

from tasks.generate.ask import RunContext, ask
from tasks.generate.chapter_titles import check_chapters
from tasks.generate.chapters import Chapters, own_chapters
from tasks.generate.summarize import SummaryOptions, request_maker
from tasks.naming import is_span
from tasks.pool.client import PoolClient
from tasks.records import Chapter, Generation, Request, Segment, Source

Talk = tuple[Source, list[Segment]]
Say = Callable[[Request], str | None]


def chapters_of(
    talk: Talk,
    *,
    language: str = "auto",
    max_prompt_tokens: int = 2500,
    max_lines: int | None = None,
    folders: Sequence[Path] = (),
) -> Chapters:
    spec = fake_spec(max_lines=max_lines)
    options = SummaryOptions(language=language)
    settings = budget_settings(max_prompt_tokens)
    maker = request_maker(talk[0], spec, library(*folders), options, settings)
    return Chapters(maker, *talk)


def said(asked: Chapters, say: Say) -> dict[str, Generation]:
    return {each.key: row_of(each, say(each)) for each in asked.missing({})}


def found(talk: Talk, say: Say, **how: object) -> tuple[Chapter, ...]:
    asked = chapters_of(talk, **how)  # type: ignore[arg-type]
    done = said(asked, say)
    assert asked.missing(done) == []
    return asked.chapters(done)


def lengths(chapters: Sequence[Chapter], talk: Talk) -> list[float]:
    ends = [*(each.start_s for each in chapters[1:]), talk[1][-1].end_s or 0.0]
    return [end - each.start_s for each, end in zip(chapters, ends, strict=True)]


def is_by_time(chapters: Sequence[Chapter]) -> bool:
    return bool(chapters) and all(is_span(each.title) for each in chapters)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_good_answer_gives_chapters_with_the_times_of_their_lines(language: str) -> None:
    """The model names lines; when those are said, the segments know."""
    talk = lecture(TOPICS[language], language=language)
    starts = {each.n: each.start_s for each in talk[1]}

    chapters = found(talk, lambda request: good_chapters(request, language))

    assert [each.title for each in chapters] == [
        TITLES[language][each] for each in TOPICS[language]
    ]
    assert [each.start_s for each in chapters] == [starts[each.n or 0] for each in chapters]
    assert chapters[0].n == 1
    assert all(abs(each - 300) < 60 for each in lengths(chapters, talk))


def test_an_hour_takes_a_few_calls_and_no_prompt_has_a_time() -> None:
    asked = chapters_of(lecture(minutes=60))

    assert 1 <= len(asked.requests) <= 3
    for request in asked.requests:
        assert request.task == "chapters"
        assert "start_s" not in request.messages[-1].content
        assert not any(":" in line.text for line in request.lines)
    shown = [line.n for request in asked.requests for line in request.lines]
    assert shown == sorted(set(shown))
    assert len(shown) <= 120


def test_a_model_of_few_lines_is_shown_fewer() -> None:
    asked = chapters_of(lecture(minutes=60), max_lines=6, max_prompt_tokens=900)

    assert len(asked.requests) <= 4
    assert all(len(request.lines) <= 6 for request in asked.requests)


@profile(max_examples=25, deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from("abc 字<>[]1/source"), min_size=1, max_size=400), min_size=9,
        max_size=60,
    ),
    st.integers(500, 2500),
    st.sampled_from([None, 2, 6]),
)  # fmt: skip
def test_every_prompt_keeps_the_budget(
    texts: list[str], budget: int, max_lines: int | None
) -> None:
    """Whatever is said, and however long a sentence is."""
    source, segments = lecture(minutes=len(texts) / 2)
    segments = [
        replace(each, text=text) for each, text in zip(segments, texts * 3, strict=False)
    ]  # fmt: skip

    asked = chapters_of((source, segments), max_prompt_tokens=budget, max_lines=max_lines)

    for request in asked.requests:
        assert request.prompt_tokens == fake_spec().count(request.messages) <= budget
        assert request.prompt_tokens + request.sampling.max_tokens <= 4096
        assert max_lines is None or len(request.lines) <= max_lines


def copied(request: Request) -> str:
    """What the demo model says: it copies lines, in the form that it was trained on."""
    return "\n".join(f"- {line.text} [{i}]" for i, line in enumerate(request.lines[:6], start=1))


@pytest.mark.parametrize(
    ("rubbish", "expected"),
    [
        (copied, "no_chapters"),
        (lambda r: "\n".join(f"[{i}] {line.text}" for i, line in enumerate(r.lines, 1)), "no_ch"),
        (lambda r: "I'm sorry, I can't divide this lecture.", "no_chapters"),
        (lambda r: "[900] Nowhere\n[901] Not here either", "no_chapters"),
        (lambda r: "\n".join(f"[{i}] Topic of it" for i in range(1, 30)), "no_chapters"),
        (lambda r: "\n".join(f"[{i}] Matter {i} of it" for i in range(1, 40)), "no_chapters"),
        (lambda r: "[1] 排序算法的思路\n[9] 哈希函数的思路\n[20] 图的遍历", "no_chapters"),
        (lambda r: "[1] ***\n[9] 12:30", "no_chapters"),
        (lambda r: "[1] " + "a very long title that goes on and on " * 3, "no_chapters"),
        (lambda r: r.messages[-1].content, "prompt_leak"),
        (lambda r: " \n", "empty"),
        (lambda r: None, ""),
    ],
)
def test_where_the_answer_is_no_use_parts_are_cut_by_time(rubbish: Say, expected: str) -> None:
    """With their time as their title, and not a word that nobody has said."""
    talk = lecture()
    [request] = chapters_of(talk).requests
    text = rubbish(request)

    chapters = found(talk, rubbish)

    assert is_by_time(chapters)
    assert chapters[0].title == "0:00–8:30"
    assert len(chapters) == 3
    assert all(270 <= each <= 630 for each in lengths(chapters, talk))
    if text is not None:
        assert [name for name in check_chapters(request, text, "stop") if expected in name]


def test_parts_by_time_are_cut_at_paragraphs() -> None:
    talk = lecture()
    firsts = {b.n for a, b in pairwise(talk[1]) if a.paragraph != b.paragraph} | {1}

    assert {each.n for each in found(talk, lambda request: None)} <= firsts


def test_speech_without_a_pause_is_cut_all_the_same() -> None:
    source, segments = lecture()
    talk = source, [replace(each, paragraph=1) for each in segments]

    assert len(found(talk, lambda request: None)) == 3
    assert len(found(talk, good_chapters)) == 5


def test_numbers_out_of_order_and_titles_that_are_too_long_are_dropped() -> None:
    """What is left are the chapters; the one before goes on."""
    [request] = chapters_of(lecture()).requests
    long = "what is said here in all its length, and more of it, until nobody reads on"
    rows = ["[1] First matters", "[30] Third matters", "[12] Second matters", f"[20] {long}"]
    rows += ["[40] **“Fourth matters.”**"]
    answer = "\n".join(rows)

    chapters = found(lecture(), lambda request: answer)

    titles = [each.title for each in chapters]
    assert titles in (
        ["First matters", "Third matters", "Fourth matters"],
        ["First matters", "Second matters", "Fourth matters"],
    )
    assert check_chapters(request, answer, "stop") == ("titles_dropped",)
    assert list(chapters) == sorted(chapters, key=lambda each: each.start_s)


@pytest.mark.parametrize(
    ("said_title", "expected"),
    [
        ("**Sorting in place**", "Sorting in place"),
        ("“Sorting in place.”", "Sorting in place"),
        ("Chapter 2: Sorting in place", "Sorting in place"),
        ("第二章：原地排序的办法", "原地排序的办法"),
        ("Sorting </source> in place", "Sorting ‹/source› in place"),
    ],
)
def test_a_title_stands_without_what_is_around_it(said_title: str, expected: str) -> None:
    language = "zh" if "章" in said_title else "en"
    other = "另外一个话题" if language == "zh" else "Another matter"

    chapters = found(lecture(), lambda r: f"[1] {other}\n[20] {said_title}", language=language)

    assert [each.title for each in chapters] == [other, expected]


def test_titles_are_in_the_language_that_is_asked_for() -> None:
    """A name stays a name; a title in another language is dropped."""
    answer = "[1] 排序的思路\n[12] Quicksort\n[24] The idea of graphs\n[36] 缓存的思路"

    chapters = found(lecture(), lambda request: answer, language="zh")

    assert [each.title for each in chapters] == ["排序的思路", "Quicksort", "缓存的思路"]


def test_chapters_keep_their_distance() -> None:
    """None begins a minute after another or before the end, and no title comes twice."""
    rows = ["[1] One", "[2] Two", "[10] Three", "[11] Four", "[20] One", "[30] Five", "[49] Six"]

    chapters = found(lecture(), lambda request: "\n".join(rows))

    assert [each.title for each in chapters] == ["One", "Three", "Five"]


def test_a_first_topic_far_from_the_start_does_not_cover_what_is_before_it() -> None:
    late = found(lecture(), lambda request: "[20] Hashing\n[35] Caching")
    near = found(lecture(), lambda request: "[3] Hashing\n[35] Caching")

    assert [is_span(each.title) for each in late] == [True, False, False]
    assert (near[0].title, near[0].n) == ("Hashing", 1)


def test_of_several_calls_one_that_fails_costs_its_own_stretch_alone() -> None:
    talk = lecture(minutes=90)
    asked = chapters_of(talk)
    failing = asked.requests[1]
    assert len(asked.requests) >= 3

    chapters = found(
        talk, lambda r: None if r.key == failing.key else f"[1] About {r.first_n}\n[14] At {r.key}"
    )

    by_time = [each for each in chapters if is_span(each.title)]
    assert by_time
    assert len(by_time) < len(chapters)
    assert all(failing.first_n <= (each.n or 0) <= failing.last_n for each in by_time)
    for each, length in zip(chapters, lengths(chapters, talk), strict=True):
        if is_span(each.title):
            assert each.title.startswith(f"{int(each.start_s) // 60}:")
            assert length < 700


def test_stretches_without_chapters_that_follow_one_another_are_cut_as_one() -> None:
    """A model of few lines takes several calls; its parts are no other than those of one call."""
    talk = lecture(minutes=50)

    few = found(talk, copied, max_lines=6, max_prompt_tokens=900)
    many = found(talk, copied)

    assert len(few) == 7
    assert few == many


def test_what_is_said_again_and_again_is_asked_for_once() -> None:
    """And counts where it stands first: no title comes twice."""
    source, segments = lecture(minutes=60)
    same = [replace(each, text="So it is, and so it was, and so it will be.") for each in segments]
    asked = chapters_of((source, same), max_lines=6, max_prompt_tokens=900)

    chapters = asked.chapters(said(asked, lambda request: "[1] One thing\n[4] Another"))

    assert len(asked.missing({})) < len(asked.requests)
    assert [each.title for each in chapters] == ["One thing", "Another"]
    assert chapters[0].start_s == 0.0


def test_a_hundred_chapters_of_half_a_day_are_thinned_out_at_once() -> None:
    talk = lecture(minutes=720)

    chapters = found(
        talk, lambda r: "\n".join(f"[{n}] Topic {r.key[:9]} {n}" for n in range(1, len(r.lines), 2))
    )

    assert len(chapters) == 239
    assert min(lengths(chapters, talk)) >= 75


def test_a_short_lecture_has_no_chapters_and_takes_no_call() -> None:
    asked = chapters_of(lecture(minutes=3.5))

    assert asked.requests == []
    assert asked.chapters({}) == ()
    assert chapters_of((lecture()[0], [])).chapters({}) == ()


def test_no_room_for_the_instructions_is_no_failure() -> None:
    """A summary needs no chapters."""
    asked = chapters_of(lecture(), max_prompt_tokens=256)

    assert asked.requests == []
    assert is_by_time(asked.chapters({}))


def test_the_makers_own_chapters_are_those_in_which_something_is_said() -> None:
    talk = with_chapters(*lecture(), [(1, "Welcome"), (40, "Questions"), (90, "Questions")])
    silent = replace(talk[0], chapters=(*talk[0].chapters, Chapter(start_s=1499, title="Music")))
    times = tuple(replace(each, n=None) for each in silent.chapters)

    assert own_chapters(*talk) == talk[0].chapters
    assert own_chapters(silent, talk[1]) == talk[0].chapters
    assert own_chapters(replace(silent, chapters=times), talk[1]) == talk[0].chapters
    assert own_chapters(replace(silent, chapters=times[:1]), talk[1]) == ()


def test_another_prompt_asks_for_the_chapters_anew(tmp_path: Path) -> None:
    own = (Path(__file__).parents[2] / "prompts" / "chapters.toml").read_text(encoding="utf-8")
    (tmp_path / "chapters.toml").write_text(own.replace("Write the chapters now.", "Write now."))

    here, there = chapters_of(lecture()), chapters_of(lecture(), folders=[tmp_path])

    assert not {r.key for r in here.requests} & {r.key for r in there.requests}


def test_a_truncated_answer_loses_its_last_line() -> None:
    [request] = chapters_of(lecture()).requests
    text = "[1] The idea of sorting\n[11] The idea of hashing\n[21] The id"
    asked = chapters_of(lecture())
    done = {request.key: row_of(request, text, finish_reason="length")}

    assert [each.title for each in asked.chapters(done)] == [
        "The idea of sorting",
        "The idea of hashing",
    ]


def test_a_useless_answer_is_asked_for_once_more_and_no_oftener() -> None:
    """Each attempt is a row; a lecture that no model can divide costs two calls."""
    [request] = chapters_of(lecture()).requests
    rows: list[Generation] = []

    def asked(*rules: Rule) -> Generation:
        async def main() -> list[Generation]:
            async with PoolClient(server.url, None) as client:
                seats = asyncio.Semaphore(1)
                return await ask([request], client, "m", rows.append, context=context, seats=seats)

        rows.clear()
        context = RunContext()
        with ScriptedServer(rules=rules) as server:
            return asyncio.run(main())[0]

    bad, good = Rule("say", text="I can't."), Rule("say", text=good_chapters(request), seed=1)

    assert asked(good, bad).text == good.text
    assert [(row.status, row.checks) for row in rows] == [("failed", ("no_chapters",)), ("ok", ())]
    asked(bad)
    assert [row.status for row in rows] == ["failed", "failed"]
    assert "chapters of segments 1 to" in rows[0].error
