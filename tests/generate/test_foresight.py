"""What is foreseen of a summary's merges is near what they come to."""

from __future__ import annotations

import pytest
from support.generating import budget_settings, document, fake_spec, library, sentences
from support.scripted_server import answer_by_rule

from tasks.generate.foresight import Foreseen, merges
from tasks.generate.summarize import SummaryOptions, SummaryPlan
from tasks.records import Generation, Request, SummaryLength


def plan(n_chapters: int, *, max_lines: int | None = None, length: SummaryLength) -> SummaryPlan:
    source, segments = document(
        [
            (
                (f"Part {i // 10}", f"Chapter {i}"),
                [sentences(4, f"lathe {i}.{p}") for p in range(4)],
            )
            for i in range(n_chapters)
        ]
    )
    options = SummaryOptions(length=length)
    spec = fake_spec(max_lines=max_lines)
    return SummaryPlan(source, segments, spec, library(), options, budget_settings())


def answered(request: Request) -> Generation:
    return Generation(
        key=request.key, attempt=1, task=request.task, source_id="s1", first_n=1, last_n=1,
        level=request.level, text=answer_by_rule(request.messages[-1].content), status="ok",
    )  # fmt: skip


@pytest.mark.parametrize("max_lines", [None, 6])
@pytest.mark.parametrize("length", ["medium", "outline"])
@pytest.mark.parametrize("n_chapters", [1, 3, 40])
def test_the_merges_are_foreseen_from_the_start(
    n_chapters: int, length: SummaryLength, max_lines: int | None
) -> None:
    """Before the first answer the number and the tokens are right within a quarter."""
    made = plan(n_chapters, max_lines=max_lines, length=length)
    foreseen = made.foreseen({})
    done: dict[str, Generation] = {}
    came: list[Request] = []
    while requests := made.requests(done):
        came += [each for each in requests if each.level]
        done |= {each.key: answered(each) for each in requests}

    tokens = sum(each.prompt_tokens for each in came)
    assert foreseen.calls == pytest.approx(len(came), rel=0.25)
    assert foreseen.prompt_tokens == pytest.approx(tokens, rel=0.25)
    assert made.foreseen(done) == Foreseen()


def test_merges_end_at_one_note() -> None:
    """Nine notes by fours: two merges leave three notes, one more leaves one."""
    size = {"note_tokens": 10.0, "frame_tokens": 100, "most_tokens": 135}

    assert merges(9, width=4, **size) == Foreseen(3, 135 + 135 + 130)  # type: ignore[arg-type]
    assert merges(1, width=4, **size) == Foreseen()  # type: ignore[arg-type]
