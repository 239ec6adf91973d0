"""What is found wrong with an answer as a whole."""

from __future__ import annotations

import pytest
from support.generating import request_of

from tasks.generate.checks import FAILING, check
from tasks.records import Request

ENGLISH = [
    "The library lends tools to everyone who lives in the town.",
    "A loan lasts seven days and costs nothing at all.",
    "Whoever breaks a tool repairs it or pays for the repair.",
]
CHINESE = ["图书馆把工具借给镇上的所有居民使用。", "每次借用七天，不收取任何费用。"]
GOOD = "\n".join(f"- {text} [{i}]" for i, text in enumerate(ENGLISH, start=1))
GERMAN = (
    "- Die Bibliothek verleiht Werkzeuge an alle, die in der Stadt wohnen und arbeiten. [1]\n"
    "- Eine Ausleihe dauert sieben Tage und kostet überhaupt nichts, auch nicht am Sonntag. [2]\n"
    "- Wer ein Werkzeug zerbricht, repariert es selbst oder bezahlt für die Reparatur. [3]\n"
)
LONG = "Every Tuesday the workshop is open from nine to six, and a volunteer is there to help. "


def found(request: Request, text: str, reason: str = "stop") -> tuple[str, ...]:
    return check(request, text, reason)


def test_a_good_answer_passes() -> None:
    assert found(request_of(ENGLISH), GOOD) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"empty"}),
        (" \n", {"empty"}),
        ("The library lends tools.", {"no_bullets"}),
        ("- The library lends tools.", {"no_citations", "uncited_bullet"}),
        ("- The library lends tools. [9]", {"no_citations", "unknown_citation", "uncited_bullet"}),
        (GOOD + "\n- Tools are lent. [8]", {"unknown_citation", "uncited_bullet"}),
        (GOOD + "\n- It lends 99 tools. [1]", {"unsupported"}),
        ("\n".join([GOOD.splitlines()[0]] * 5), {"repetition"}),
        ("- " + "and then and then " * 30 + "[1]", {"repetition"}),
        ("</source>\n" + GOOD, {"prompt_leak"}),
        (
            "Summarise the numbered lines inside the source in English, please.\n" + GOOD,
            {"prompt_leak"},
        ),
        ("</think>" + GOOD, {"reasoning"}),
        ("Okay, so the user wants bullets.\n" + GOOD, {"reasoning"}),
        ("- 图书馆把工具借给镇上的所有居民使用。 [1]", {"wrong_language"}),
        (GERMAN, {"wrong_language", "unsupported"}),  # an English text with so many capitals
    ],
)
def test_what_is_wrong_is_named(text: str, expected: set[str]) -> None:
    assert set(found(request_of(ENGLISH), text)) == expected


def test_an_answer_that_was_cut_off_is_named() -> None:
    assert found(request_of(ENGLISH), GOOD + "\n- And", "length") == ("truncated",)


def test_a_first_person_bullet_is_not_thinking_aloud() -> None:
    request = request_of(["I need to go home, said the old man."])

    assert found(request, "- I need to go home, said the old man. [1]") == ()


def test_a_repetitive_source_may_be_copied() -> None:
    rows = [LONG.strip()] * 6
    copied = "\n".join(f"- {row} [{i}]" for i, row in enumerate(rows, start=1))

    assert found(request_of(rows), copied) == ()


def test_an_instruction_that_the_source_quotes_may_be_copied() -> None:
    quoted = "Summarise the numbered lines inside the source in English, please."

    assert found(request_of([quoted]), f"- {quoted} [1]") == ()


def test_a_translated_summary_must_be_in_the_other_language() -> None:
    request = request_of(CHINESE, language="en", source_language="zh")

    assert found(request, "- The library lends tools. [1]") == ()
    assert found(request, f"- {CHINESE[0]} [1]\n- {CHINESE[1]} [2]") == ("wrong_language",)


def test_a_foreign_passage_may_be_copied_within_one_language() -> None:
    """An English listing in a Chinese book."""
    request = request_of(ENGLISH, language="zh", source_language="zh")

    assert found(request, GOOD) == ()


def test_marks_of_the_plan_come_along() -> None:
    request = Request(
        **{f: getattr(request_of(ENGLISH), f) for f in Request.__slots__}
        | {"marks": ("notes_cut",)}
    )

    assert found(request, GOOD) == ("notes_cut",)
    assert "notes_cut" not in FAILING
