"""What an answer as a whole tells of its lines: which are missing, moved, or drawn together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.generating import request_of
from support.parallel import articles

from tasks.generate.translation_checks import judge_text
from tasks.records import Request

SHORT = ["The lathe is old.", "It has 12 gears.", "Nobody has cleaned it since 1998.", "It runs."]
CHINESE = ["这台车床很旧。", "它有12个齿轮。", "自1998年以来没有人清洁过它。", "它在运转。"]


def request(texts: Sequence[str], to: str = "zh") -> Request:
    return replace(request_of(texts, language=to), task="translate")


def judged(
    texts: Sequence[str], rows: Sequence[str], *, truncated: bool = False, level: int = 0
) -> list[str]:
    """Return the checks of each line, as text."""
    asked = replace(request(texts), level=level)
    found = judge_text(asked, "\n".join(rows), truncated=truncated)
    return [", ".join(each.checks) for each in found]


def numbered(rows: Sequence[str]) -> list[str]:
    return [f"[{n}] {row}" for n, row in enumerate(rows, start=1)]


def test_a_good_answer_fails_nothing() -> None:
    assert judged(SHORT, numbered(CHINESE)) == ["", "", "", ""]


def test_a_missing_line_is_missing_and_its_neighbours_are_asked_for_with_it() -> None:
    """Where its text may stand as well; when they are asked for again, only if it seems so."""
    rows = numbered(CHINESE)
    shown = [rows[0], rows[1], rows[3]]

    assert judged(SHORT, shown) == ["", "merged", "missing", "merged"]
    assert judged(SHORT, shown, level=1) == ["", "", "missing", ""]


def test_a_line_drawn_together_with_a_missing_one_is_told() -> None:
    rows = numbered(CHINESE)
    both = rows[1] + CHINESE[2]

    assert judged(SHORT, [rows[0], both, rows[3]], level=1)[1:3] == ["merged", "missing"]


def test_the_line_that_was_cut_off_is_missing() -> None:
    rows = numbered(CHINESE)

    assert judged(SHORT, [*rows[:3], rows[3][:6]], truncated=True, level=1)[2:] == ["", "missing"]


def test_a_number_that_no_line_has_makes_all_doubtful() -> None:
    """A line was cut in two, and what follows stands one further on; where can't be seen."""
    rows = numbered([CHINESE[0][:4], CHINESE[0][4:], *CHINESE[1:]])

    assert all("misplaced" in checks for checks in judged(SHORT, rows))


def test_lines_that_moved_up_are_told_by_their_figures() -> None:
    rows = numbered([CHINESE[0] + CHINESE[1], *CHINESE[2:]])

    found = judged(SHORT, rows)

    assert found[3] == "missing"
    assert all("misplaced" in checks or "figures" in checks for checks in found[1:3])


def test_lines_that_moved_between_a_cut_and_a_join_are_told() -> None:
    """All numbers are there; those between stand at their neighbours' texts."""
    texts = [*SHORT, "The key hangs behind the door.", "Ask for Mr. Smith at number 7 or 9."]
    good = [*CHINESE, "钥匙挂在门后。", "请到7号或9号找史密斯先生。"]
    rows = numbered([good[0], good[1][:3], good[1][3:], good[2], good[3] + good[4], good[5]])

    found = judged(texts, rows)

    assert all("misplaced" in checks for checks in found[1:4])


@pytest.mark.parametrize("to", ["zh", "de", "ja", "es"])
def test_lines_that_moved_up_in_a_real_text_are_told(to: str, material: Path) -> None:
    """Two articles are made one and the others move up: most such places are found."""
    sources, targets = whole_articles(material, "en"), whole_articles(material, to)
    found = 0
    places = range(len(sources) - 4)
    for at in places:
        joined = [*targets[:at], f"{targets[at]} {targets[at + 1]}", *targets[at + 2 :]]
        wrong = misplaced(sources, joined, to)
        found += bool(wrong) and abs(min(wrong) - at) <= 2

    assert found >= 0.8 * len(places)


@pytest.mark.parametrize("to", ["zh", "de", "ja", "es"])
def test_an_answer_that_ends_early_has_not_moved(to: str, material: Path) -> None:
    sources, targets = whole_articles(material, "en"), whole_articles(material, to)
    alarms = sum(bool(misplaced(sources, targets[:end], to)) for end in range(3, len(sources)))

    assert alarms <= 2


def whole_articles(material: Path, language: str) -> list[str]:
    return [" ".join(paragraphs) for paragraphs in articles(material, language)][:20]


def misplaced(sources: Sequence[str], targets: Sequence[str], to: str) -> list[int]:
    """Return the positions, from 0, that are told to be out of place."""
    text = "\n".join(numbered(targets))
    found = judge_text(request(sources, to), text, truncated=False)
    return [n for n, each in enumerate(found) if "misplaced" in each.checks]


def test_the_arrow_of_our_prompts_is_no_part_of_a_line() -> None:
    asked = request(["The lathe runs.", "→ File"])

    found = judge_text(asked, "[1] → 车床转动。\n[2] → 文件", truncated=False)

    assert [each.text for each in found] == ["车床转动。", "→ 文件"]
