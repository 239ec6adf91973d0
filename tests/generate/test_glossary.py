"""Glossaries: the user's file, what is found in a document, and what of it binds a translation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from support.generating import budget_settings, document, fake_spec, library

from tasks.generate.budget import Budget
from tasks.generate.glossary import Glossary, check_renderings
from tasks.generate.line_checks import Pair
from tasks.generate.requests import RequestMaker
from tasks.generate.terms import candidates
from tasks.records import Generation, Request, Term

TEXTS = [
    "The spindle lathe of Marie Curie stands in the hall.",
    "Nobody but Marie Curie has used the spindle lathe.",
    "A spindle lathe turns wood, as Marie Curie knew.",
    "When Marie Curie left, the spindle lathe was sold.",
    "The buyer of the spindle lathe wrote to Marie Curie.",
    "In the spindle lathe there was a letter by Marie Curie.",
]


def filler() -> list[str]:
    """Sentences in which nothing recurs together: what recurs is told by comparison."""
    dice = Random(1)
    words = ["".join(dice.choices(("ba", "ke", "li", "mo", "tu", "ra"), k=3)) for _ in range(200)]
    return [" ".join(dice.sample(words, 9)) + "." for _ in range(60)]


def glossary(user: Sequence[Term] = (), settled: Sequence[Term] = ()) -> Glossary:
    source, segments = document([((), [TEXTS, filler()])])
    budget = Budget.of(fake_spec(), budget_settings()).for_translation()
    maker = RequestMaker(source, fake_spec(), library(), budget, "zh", "A Book", "f" * 64)
    return Glossary(maker, segments, Pair("en", "zh"), user=user, settled=settled)


def row(request: Request, text: str) -> Generation:
    return Generation(
        key=request.key, attempt=1, task="glossary", source_id="s1", first_n=1, last_n=2, level=0,
        text=text, status="ok", finish_reason="stop",
    )  # fmt: skip


def answered(found: Glossary, renderings: dict[str, str]) -> dict[str, Generation]:
    """Return the rows of a model that knows these renderings."""
    return {
        request.key: row(
            request,
            "\n".join(
                f"[{n}] {renderings.get(line.text, '–')}"
                for n, line in enumerate(request.lines, start=1)
            ),
        )
        for request in found.requests
    }


def test_names_and_terms_that_recur_are_found() -> None:
    _, segments = document([((), [TEXTS, filler()])])

    assert {each.text for each in candidates(segments, "en")} == {"Marie Curie", "spindle lathe"}


def test_terms_without_spaces_are_found() -> None:
    dice = Random(1)
    signs = [chr(0x6000 + n) for n in range(300)]
    texts = ["".join(dice.sample(signs, 12)) + "。" for _ in range(60)]
    texts += [f"{a}量子计算机{b}。" for a, b in zip("甲乙丙丁戊己", "一二三四五六", strict=True)]
    _, segments = document([((), [texts])], language="zh")

    assert "量子计算机" in {each.text for each in candidates(segments, "zh")}


def test_ordinary_prose_has_hardly_any(material: Path) -> None:
    """What stands in a glossary binds a whole translation: better a name missed than a phrase."""
    text = (material / "parallel" / "eng.html").read_text("utf-8")
    paragraphs = [row.split("<p>")[1].split("</p>")[0] for row in text.splitlines() if "<p>" in row]
    _, segments = document([((), [paragraphs])])

    assert len(candidates(segments, "en")) <= 15


def test_what_the_model_proposes_is_taken_where_it_is_fit() -> None:
    found = glossary()
    long = "一台可以用来把木头车成圆柱形的机器，它的主轴由电动机带动，" * 3
    assert found.terms(answered(found, {"spindle lathe": long})) == []
    assert found.terms(answered(found, {"spindle lathe": "spindle lathe"})) == []

    done = answered(found, {"spindle lathe": "主轴车床。", "Marie Curie": "Marie Curie"})

    assert {(term.source, term.target) for term in found.terms(done)} == {
        ("spindle lathe", "主轴车床"),
    }
    assert {(e.term.source, e.origin, e.count) for e in found.entries(done)} == {
        ("spindle lathe", "found", 6),
        ("Marie Curie", "found", 6),
    }


@pytest.mark.parametrize(
    "said",
    [
        "主轴车床（spindle lathe）",
        "spindle lathe = 主轴车床",
        "spindle lathe → 主轴车床",
        "主轴车床。",
    ],
)
def test_a_rendering_is_taken_without_the_term(said: str) -> None:
    found = glossary()

    assert found.terms(answered(found, {"spindle lathe": said})) == [
        Term("spindle lathe", "主轴车床")
    ]


@pytest.mark.parametrize("said", ["主轴车床，一种机器", "主轴车床或车床", "Spindel", "Curie"])
def test_explanations_choices_and_other_letters_bind_nothing(said: str) -> None:
    found = glossary()

    assert found.terms(answered(found, {"spindle lathe": said, "Marie Curie": said})) == []


def test_the_users_entries_win_and_are_not_asked_for() -> None:
    found = glossary(user=[Term("Spindle Lathe", "立车"), Term("anvil", "铁砧")])
    shown = [line.text for request in found.requests for line in request.lines]
    done = answered(found, {"Marie Curie": "居里夫人"})

    assert shown == ["Marie Curie"]
    assert [(e.term.source, e.origin) for e in found.entries(done)] == [
        ("Spindle Lathe", "user"),
        ("Marie Curie", "found"),
    ]


def test_a_settled_glossary_is_frozen() -> None:
    """Nothing is asked for: an edit must not change what stands elsewhere."""
    found = glossary(settled=[Term("spindle lathe", "车床")])

    assert found.requests == []
    assert found.terms({}) == [Term("spindle lathe", "车床")]


@pytest.mark.parametrize(
    ("text", "reason", "expected"),
    [
        ("[1] 车床", "stop", ()),
        ("[1] –", "stop", ()),
        ("", "stop", ("empty",)),
        ("I can't do that.", "stop", ("missing",)),
        ("[1] 车床\n[2] 车", "length", ("truncated",)),
    ],
)
def test_an_answer_without_lines_is_asked_for_again(
    text: str, reason: str, expected: tuple[str, ...]
) -> None:
    [request] = glossary().requests

    assert check_renderings(request, text, reason) == expected
