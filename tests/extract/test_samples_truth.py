"""The shipped samples against their own truth: running matter out, words whole, nothing lost."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from tasks.extract import Extracted, extract
from tasks.settings import PROJECT_ROOT, settings

SAMPLES = PROJECT_ROOT / "data" / "samples"
TRUTH = PROJECT_ROOT / "tests" / "samples" / "truth"
GOAL = 0.99
NAMES = sorted(path.stem for path in SAMPLES.glob("*.pdf"))
_TOKEN = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|[^\W_]+")


@cache
def read(name: str) -> Extracted:
    return extract(str(SAMPLES / f"{name}.pdf"), settings())


def truth(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TRUTH / f"{name}.json").read_text(encoding="utf-8"))
    return found


def tokens(texts: Iterable[str]) -> Counter[str]:
    return Counter(token for text in texts for token in _TOKEN.findall(text))


def body(name: str) -> list[str]:
    """What is printed and is no table of contents, which the truth does not hold."""
    return [each.text for each in read(name).segments if each.kind != "contents"]


@pytest.mark.parametrize("name", NAMES)
def test_the_text_is_the_text(name: str) -> None:
    """Words lost are text taken for running matter; words too many are running matter left in."""
    gold = tokens(each["text"] for each in truth(name)["blocks"])
    ours = tokens(body(name))

    common = (gold & ours).total()
    assert common / gold.total() >= GOAL, gold - ours
    assert common / ours.total() >= GOAL, ours - gold


@pytest.mark.parametrize("name", NAMES)
def test_running_lines_and_page_numbers_are_out(name: str) -> None:
    """No segment is one of them; the title, which runs on every page, is printed once as such."""
    known = truth(name)
    running = {*known["running"], *known["page_labels"]}
    left = Counter(text for text in body(name) if text in running)
    left -= Counter([known["title"]])

    assert left.total() <= (1 - GOAL) * known["pages"] * (len(known["running"]) + 1)


@pytest.mark.parametrize("name", NAMES)
def test_words_parted_at_a_lines_end_are_whole(name: str) -> None:
    words = truth(name)["hyphenated"]
    found = tokens(body(name))
    whole = [word for word in words if all(part in found for part in _TOKEN.findall(word))]

    assert len(whole) >= GOAL * len(words), set(words) - set(whole)
