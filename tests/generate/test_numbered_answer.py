"""Translations are read back by their numbers, whatever stands around them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.generate.numbered_answer import read_numbered


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("[1] 一\n[2] 二", {1: "一", 2: "二"}),
        ("Here you are:\n\n[1] 一\n[2] 二\n\nI hope this helps.", {1: "一", 2: "二"}),
        ("```\n[1] 一\n[2] 二\n```", {1: "一", 2: "二"}),
        ("【1】一\n［2］二", {1: "一", 2: "二"}),
        ("- [1] 一\n**[2]** 二", {1: "一", 2: "二"}),
        ("[1] 一\n  二\n[2] 三", {1: "一 二", 2: "三"}),
        ("<think>\n[1] nothing\n</think>\n[1] 一", {1: "一"}),
        ("[1] see [12] there", {1: "see [12] there"}),
        ("[1]: 一\n[2]：二", {1: "一", 2: "二"}),
        ("1. 一\n2. 二", {1: "一", 2: "二"}),
        ("1) 一\n2) 二", {1: "一", 2: "二"}),
        ("[1] 一\n1. 二", {1: "一 1. 二"}),
        ("[1-2] 一二", {}),
        ("[3] 三", {}),
        ("一\n二", {}),
        ("", {}),
    ],
)
def test_lines_are_found_among_what_models_write(text: str, texts: dict[int, str]) -> None:
    assert read_numbered(text, 2).texts == texts


def test_what_is_wrong_with_the_numbers_is_told() -> None:
    answer = read_numbered("[1] a\n[4] d\n[2] b\n[3] c\n[3] c\n[2] x\n[9] y", 4)

    assert answer.texts == {1: "a", 4: "d", 2: "b", 3: "c"}
    assert answer.misplaced == {4}
    assert answer.repeated == {2}
    assert answer.unknown == (9,)
    assert read_numbered("[1] a\n[2-3] b c\n[4] d", 4).unknown == (0,)


def test_the_line_that_was_cut_off_is_none() -> None:
    assert read_numbered("[1] a\n[2] b", 2, truncated=True).texts == {1: "a"}


@given(st.permutations(range(1, 9)))
def test_the_fewest_numbers_are_misplaced(order: list[int]) -> None:
    """Without them the others ascend."""
    answer = read_numbered("\n".join(f"[{n}] x{n}" for n in order), 8)
    left = [n for n in order if n not in answer.misplaced]

    assert left == sorted(left)
    assert left


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        ("[1]. 甲\n[2] . . 乙", {1: "甲", 2: ". . 乙"}),
        ("[1]：甲\n[2] ：乙", {1: "甲", 2: "：乙"}),
        ("[1] 甲\n[2] 乙\nNote: I kept the year as it was.", {1: "甲", 2: "乙"}),
        ("[1] 甲\n（注：保留原文）\n[2] 乙", {1: "甲", 2: "乙"}),
        ("\u200f[1] نص\n\u200f[2] \u202bآخر", {1: "نص", 2: "آخر"}),
        ("(1) a\n(2) b", {1: "a", 2: "b"}),
        ("> [1] a\n> [2] b", {1: "a", 2: "b"}),
        ("1. 3.5 Millionen\n2. 12:30 Uhr", {1: "3.5 Millionen", 2: "12:30 Uhr"}),
        ("[1] a draft\n</think>\n[1] a\n[2] b", {1: "a", 2: "b"}),
    ],
)
def test_habits_of_models_are_no_part_of_the_text(answer: str, texts: dict[int, str]) -> None:
    assert read_numbered(answer, 2).texts == texts


def test_for_a_single_line_no_number_is_needed() -> None:
    assert read_numbered("```\n你好，世界。\n```\n", 1).texts == {1: "你好，世界。"}
    for talk in ("好的，下面是翻译：\n\n引言", "译文：引言", "Sorry, I can't do that.", "甲\n\n乙"):
        assert read_numbered(talk, 1).texts == {}
    assert read_numbered("你好，世界。", 2).texts == {}
    assert read_numbered("3.5 Millionen", 1).texts == {1: "3.5 Millionen"}
    assert read_numbered("你好，世", 1, truncated=True).texts == {}
