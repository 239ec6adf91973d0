"""The plan of a translation: every segment is accounted for, whatever the model does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from support.generating import budget_settings, document, fake_spec, library, sentences
from support.rule_translation import MISTAKES, answer, mistaken, translate

from tasks.generate.ladder import RUNGS
from tasks.generate.line_checks import Pair
from tasks.generate.translate import TranslationOptions, TranslationPlan, kept_by_rule
from tasks.records import Generation, Request, Segment, Source, Term

Book = tuple[Source, list[Segment]]
Say = Callable[[Request], tuple[str, str]]


def plan_of(book: Book, *, max_prompt_tokens: int = 900, **options: Any) -> TranslationPlan:
    return TranslationPlan(
        *book,
        fake_spec(),
        library(),
        TranslationOptions(**{"to": "zh", **options}),
        budget_settings(max_prompt_tokens),
    )


def row_of(request: Request, text: str, finish_reason: str = "stop") -> Generation:
    return Generation(
        key=request.key, attempt=1, task=request.task, source_id=request.source_id,
        first_n=request.first_n, last_n=request.last_n, level=request.level, text=text,
        status="ok", finish_reason=finish_reason,
    )  # fmt: skip


def told(request: Request) -> list[tuple[str, str]]:
    return [(term.source, term.target) for term in request.glossary]


def right(request: Request) -> tuple[str, str]:
    return answer(_texts(request), told(request)), "stop"


def begun(plan: TranslationPlan) -> dict[str, Generation]:
    """Return the rows of a model that knows no rendering."""
    unknown = "\n".join(f"[{n}] –" for n in range(1, 100))
    rows = [row_of(each, unknown) for each in plan.requests({}) if each.task == "glossary"]
    return {row.key: row for row in rows}


def first(plan: TranslationPlan) -> list[Request]:
    """Return the requests that follow the glossary."""
    return plan.requests(begun(plan))


def play(plan: TranslationPlan, say: Say = right) -> tuple[dict[str, Generation], list[Request]]:
    """Answer all that is asked; return the rows, and the requests after the glossary in the order
    of asking."""
    done = begun(plan)
    asked: list[Request] = []
    while requests := plan.requests(done):
        for request in requests:
            assert request.key not in done
            done[request.key] = row_of(request, *say(request))
        asked += requests
    return done, asked


def book(n: int = 30, n_sections: int = 3) -> Book:
    return document(
        [((f"Chapter {i} of them",), [sentences(n, f"lathe {i}")]) for i in range(n_sections)]
    )


def test_a_good_model_translates_all_in_the_fewest_calls() -> None:
    source, segments = book()
    plan = plan_of((source, segments))
    done, asked = play(plan)
    lines = plan.lines(done)

    assert len(asked) == len(plan.chunks(done))
    assert [line.n for line in lines] == [segment.n for segment in segments]
    assert [line.text for line in lines] == [translate(each.text) for each in segments]
    assert {line.status for line in lines} == {"ok"}
    assert plan.document(done).coverage.total == len(segments)
    assert all(line.key in done for line in lines)


def test_headings_are_translated_and_lists_of_references_are_not() -> None:
    source, segments = book(4, 1)
    more = [
        replace(segments[-1], n=6, text="Chapter 1 ..... 4", kind="contents"),
        replace(segments[-1], n=7, text="[1] J. Doe, A Book.", kind="reference"),
        replace(segments[-1], n=8, text="https://example.org/a"),
        replace(segments[-1], n=9, text="# apt-get install lathe"),
        replace(segments[-1], n=10, text="12.5  13.1  4,000  17%"),
    ]
    plan = plan_of((source, [*segments, *more]))
    done, _ = play(plan)
    lines = plan.lines(done)

    assert lines[0].text == translate("Chapter 0 of them")
    assert [(line.status, line.reason) for line in lines[5:]] == [
        ("kept", "contents"),
        ("kept", "reference"),
        ("kept", "nothing to translate"),
        ("kept", "code"),
        ("kept", "nothing to translate"),
    ]
    assert [line.text for line in lines[5:]] == [each.text for each in more]
    assert plan.document(done).coverage.kept == 5
    assert plan.flaws(done) == []


def test_only_the_lines_that_fail_are_asked_for_again() -> None:
    plan = plan_of(book(20, 1))

    def say(request: Request) -> tuple[str, str]:
        rows = right(request)[0].splitlines()
        return ("\n".join(rows[:4] + rows[6:]) if request.level == 0 else right(request)[0]), "stop"

    done, asked = play(plan, say)

    again = [request for request in asked if request.level == 1]
    # With them those beside, where their text may stand as well.
    assert [len(request.lines) for request in again] == [4] * len(plan.chunks(done))
    assert again[0].sampling.frequency_penalty > 0
    assert Counter(line.status for line in plan.lines(done))["repaired"] == 4 * len(
        plan.chunks(done)
    )


def test_an_echo_ends_as_the_source_kept_and_marked() -> None:
    source, segments = book(20, 1)
    plan = plan_of((source, segments))
    done, asked = play(plan, lambda request: mistaken("echo", "", _texts(request), Random(0)))
    lines = plan.lines(done)

    assert {line.status for line in lines} == {"kept"}
    assert all("untranslated" in line.reason for line in lines)
    assert [line.text for line in lines] == [each.text for each in segments]
    assert len(asked) <= 4 * len(plan.chunks(done))
    assert {flaw.kind for flaw in plan.flaws(done)} == {"line_kept"}


def test_only_entries_of_the_glossary_that_occur_are_told() -> None:
    terms = (Term("lathe 1", "车床"), Term("spindle", "主轴"))
    plan = plan_of(book(12, 2), glossary=terms)
    requests = first(plan)

    assert {request.glossary for request in requests} == {(), terms[:1]}
    assert all(("车床" in _prompt(each)) == bool(each.glossary) for each in requests)
    assert not any("主轴" in _prompt(each) for each in requests)


def test_changing_a_term_asks_only_for_the_chunks_that_have_it() -> None:
    old, new = (
        {each.key for each in first(plan_of(book(12, 4), glossary=(Term("lathe 1", t),)))}
        for t in ("车床", "机床")
    )

    assert len(new - old) == len(old - new) < len(old) / 2


def test_in_sequential_mode_sections_go_on_by_themselves() -> None:
    """Each chunk is told the translation of the lines before it."""
    plan = plan_of(book(60, 3), mode="sequential", max_prompt_tokens=600)
    at_first, foreseen = first(plan), plan.foreseen(begun(plan))
    done, asked = play(plan)

    assert len(at_first) == 3
    assert len(asked) == len(plan.chunks(done)) > 6
    assert foreseen.calls == len(plan.chunks(done)) - 3
    later = [each for each in asked if each not in at_first]
    assert all("→ " in _prompt(request) for request in later)
    assert {line.status for line in plan.lines(done)} == {"ok"}


@pytest.mark.hypothesis
@profile(max_examples=40, deadline=None)
@given(
    seed=st.integers(),
    share=st.floats(0, 1),
    mode=st.sampled_from(["parallel", "sequential"]),
    mistakes=st.lists(st.sampled_from(MISTAKES), min_size=1, unique=True),
)
def test_whatever_the_model_does_every_segment_is_accounted_for(
    seed: int, share: float, mode: str, mistakes: Sequence[str]
) -> None:
    dice = Random(seed)
    source, segments = book(12, 3)
    plan = plan_of((source, segments), mode=mode)

    def say(request: Request) -> tuple[str, str]:
        if dice.random() < share:
            return right(request)
        mistake = dice.choice(mistakes)
        return mistaken(mistake, _prompt(request), _texts(request), dice, told(request))

    done, asked = play(plan, say)
    lines = plan.lines(done)

    assert [line.n for line in lines] == [segment.n for segment in segments]
    cover = plan.document(done).coverage
    assert cover.total == len(segments)
    for line, segment in zip(lines, segments, strict=True):
        if line.status in ("ok", "repaired"):
            assert line.text == translate(segment.text)
        elif line.status == "kept":
            assert line.text == segment.text
        assert bool(line.reason) == (line.status in ("kept", "failed"))
    assert len(asked) <= sum(RUNGS + len(chunk.lines) for chunk in plan.chunks(done))
    assert len({request.key for request in asked}) == len(asked)
    assert not plan.requests(done)


def test_code_and_figures_are_told_from_prose() -> None:
    _, [segment, *_] = book(1, 1)

    def rule(text: str) -> str:
        return kept_by_rule(replace(segment, kind="sentence", text=text), Pair("en", "de"))

    for prose in (
        "Use the apt command (see Section 2.2) to install it.",
        "In 2024, sales rose by 12% to $4 million.",
        "第 3 章 总结", "Figure 3", "Let x = y be a real number.", "1.1 简介", "10.1 Why", "好。",
        "请发邮件至support@example.com咨询。", "import duties", "class action: the rules",
        "public transport;", "# of people", "$ 5 million was paid.", "约翰·洛克", "2023年10月5日",
    ):  # fmt: skip
        assert rule(prose) == "", prose
    for code in (
        "$ sudo apt install x", "# apt-get install x", "for (i = 0; i < n; i++) {",
        "import os.path", "<p class='x'>", "class Lathe(Tool):", "private static int n = 4;",
    ):  # fmt: skip
        assert rule(code) == "code", code
    assert rule("a² + b² = c²") == "formula"
    assert rule("2019 1.2 3.4 5.6 %") == "nothing to translate"


def _texts(request: Request) -> list[str]:
    return [line.text for line in request.lines]


def _prompt(request: Request) -> str:
    return "\n".join(message.content for message in request.messages)
