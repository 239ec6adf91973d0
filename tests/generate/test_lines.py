"""The numbered-line protocol: what is shown, and how real models' answers are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.generate.lines import Statement, numbered, read_answer
from tasks.records import Line

LINES = [Line(n + 20, f"Line {n}.", 1 + n // 3) for n in range(1, 10)]


def read(text: str, **options: bool) -> list[tuple[str, tuple[int, ...]]]:
    answer = read_answer(text, LINES, **options)
    return [(each.text, each.numbers) for each in answer.statements]


def test_lines_count_from_one_and_paragraphs_are_apart() -> None:
    lines = [Line(40, "One.", 7), Line(41, "Two.", 7), Line(42, "Three.", 8)]

    assert numbered(lines) == "[1] One.\n[2] Two.\n\n[3] Three."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- fact [3]", [("fact", (3,))]),
        ("* fact [3]", [("fact", (3,))]),
        ("• fact [3]", [("fact", (3,))]),
        ("•fact [3]", [("fact", (3,))]),
        ("-fact [3]", [("fact", (3,))]),
        ("1. fact [3]", [("fact", (3,))]),
        ("2) fact [3]", [("fact", (3,))]),
        ("1、要点 [3]", [("要点", (3,))]),
        ("（1）要点。【3】", [("要点。", (3,))]),
        ("- 要点［3］［4］", [("要点", (3, 4))]),
        ("- 要点 [３]", [("要点", (3,))]),
        ("- 要点 [第3行]", [("要点", (3,))]),
        ("- 要点 [3、4]", [("要点", (3, 4))]),
        ("- fact [3, 4]", [("fact", (3, 4))]),
        ("- fact [3-5]", [("fact", (3, 4, 5))]),
        ("- fact [3–5, 8]", [("fact", (3, 4, 5, 8))]),
        ("- fact [3][4]", [("fact", (3, 4))]),
        ("- fact [3] [4].", [("fact.", (3, 4))]),
        ("- fact [line 3]", [("fact", (3,))]),
        ("- fact [lines 3 and 4]", [("fact", (3, 4))]),
        ("- fact [3].", [("fact.", (3,))]),
        ("- fact one [3], fact two [4].", [("fact one, fact two.", (3, 4))]),
        ("- [3] fact", [("fact", (3,))]),
        ("[3] fact", [("fact", (3,))]),
        ("- **Bold:** fact [3]", [("Bold: fact", (3,))]),
        ("- call f(**kwargs) and __init__ [3]", [("call f(**kwargs) and __init__", (3,))]),
        ("- fact [4][3][4]", [("fact", (4, 3))]),
        ("- fact", [("fact", ())]),
        ("- fact [3", [("fact", ())]),
        ("- fact [3]\n- fact [66", [("fact", (3,))]),
        ("- 5 degrees below [3]", [("5 degrees below", (3,))]),
        ("1.5 million came [3]", [("1.5 million came", (3,))]),
    ],
)
def test_bullets_are_read_as_models_write_them(
    text: str, expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    assert read(text) == expected


def test_what_is_not_a_bullet_is_left_out() -> None:
    text = """<think>
- not this [1]
</think>
Here is the summary:

## Summary
```markdown
- **Costs:**
  - They rose [1].
  - They fell
    later on. [2]
```
These are the main points."""

    assert read(text) == [("They rose.", (1,)), ("They fell later on.", (2,))]


def test_a_citation_on_the_next_line_belongs_to_the_bullet_before() -> None:
    assert read("- One fact\n[3]\n- Another\n  [4]") == [("One fact", (3,)), ("Another", (4,))]


def test_numbers_without_a_line_are_dropped_and_told() -> None:
    answer = read_answer("- One [3][12]\n- Two [0]\n- Three [77]", LINES)

    assert [each.numbers for each in answer.statements] == [(3,), (), ()]
    assert answer.unknown == (12, 0, 77)


def test_a_reference_of_the_document_is_no_citation() -> None:
    """In a paper "[2]" may stand in the line itself."""
    lines = [Line(1, "As Smith [2] shows.", 1), Line(2, "Other.", 2)]

    answer = read_answer("- As Smith [2] shows. [1]", lines)

    assert answer.statements == (Statement("As Smith [2] shows.", (1,)),)


def test_a_repeated_bullet_counts_once() -> None:
    assert read("- One [1]\n- One [1]\n- One [2]") == [("One", (1,)), ("One", (2,))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- One [1]\n- Two and th", [("One", (1,))]),
        ("- One [1]\n- Two [2]", [("One", (1,)), ("Two", (2,))]),
        ("- One [1]\n- Two [2", [("One", (1,))]),
        ("- On", []),
    ],
)
def test_of_a_truncated_answer_whole_bullets_stay(
    text: str, expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    assert read(text, truncated=True) == expected


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    answer = read_answer(text, LINES)

    assert all(1 <= n <= len(LINES) for each in answer.statements for n in each.numbers)
    assert all("\n" not in each.text and each.text for each in answer.statements)


line = st.from_regex(r"[A-Za-z一-龥][A-Za-z0-9一-龥 ,.]{0,60}[a-z一-龥.]", fullmatch=True)


@given(st.lists(line, min_size=1, max_size=9, unique=True))
def test_what_was_asked_for_is_read_as_it_was_written(texts: list[str]) -> None:
    """The form of the prompt comes through exactly."""
    answer = "\n".join(f"- {text} [{i}]" for i, text in enumerate(texts, start=1))

    assert read(answer) == [(" ".join(t.split()), (i,)) for i, t in enumerate(texts, start=1)]
