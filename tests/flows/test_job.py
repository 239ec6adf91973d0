"""What a run takes from the ledger: answers for good, its own failures, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from support.generating import fake_spec, request_of

from flows.asking import Asker
from flows.claims import Claims
from flows.job import Job
from flows.making import Summaries
from flows.progress import Progress
from flows.rounds import Plan
from tasks.generate.summarize import SummaryOptions
from tasks.records import Generation, Request
from tasks.settings import PROJECT_ROOT, Settings

REQUEST = request_of(["The library lends tools."])
KEY = REQUEST.key


def row(attempt: int, *checks: str, ok: bool = False) -> Generation:
    return Generation(
        key=KEY, attempt=attempt, task="summarize", source_id="s1", first_n=1, last_n=1, level=0,
        text="- It [1]", status="ok" if ok else "failed", checks=checks,
    )  # fmt: skip


class FakeAsker:
    """Records these rows when it is asked."""

    def __init__(self, *rows: Generation) -> None:
        self.rows = rows
        self.asked: list[Request] = []

    def ask(
        self, requests: Sequence[Request], model: str, record: Any, *_: Any
    ) -> list[Generation]:
        self.asked += requests
        for each in self.rows:
            record(each)
        return list(self.rows)


def job(results: Path, *rows: Generation, again: bool = False) -> tuple[Job, FakeAsker]:
    """Return a run's job, and who will answer its requests with these rows."""
    asker = FakeAsker(*rows)
    config = Settings(results=results, home=results / "home", prompts=PROJECT_ROOT / "prompts")
    making = Summaries(SummaryOptions())
    made = Job(config, fake_spec(), making, cast(Asker, asker), Progress(1), again=again)
    return made, asker


def test_a_refusal_counts_in_its_own_run_and_in_no_later_one(tmp_path: Path) -> None:
    """The run goes on without it; the next one asks again."""
    first, _ = job(tmp_path, row(1))
    first.ask([REQUEST])

    assert first.best([KEY]) == {KEY: row(1)}

    second, asker = job(tmp_path, row(1, ok=True))
    assert second.best([KEY]) == {}
    second.ask([REQUEST])
    assert asker.asked == [replace(REQUEST, earlier=(row(1),))]
    assert second.best([KEY]) == {KEY: row(1, ok=True)}


def test_a_ladder_that_was_cut_off_is_not_done(tmp_path: Path) -> None:
    """Its rows go with the request; at its end the best of all attempts counts."""
    job(tmp_path, row(1, "truncated"), row(2, "empty"))[0].ask([REQUEST])
    later, asker = job(tmp_path, row(3, "empty"))

    assert later.best([KEY]) == {}
    later.ask([REQUEST])
    assert [each.attempt for each in asker.asked[0].earlier] == [1, 2]
    assert job(tmp_path)[0].best([KEY]) == {KEY: row(1, "truncated", ok=True)}


def test_again_takes_nothing_from_earlier_runs(tmp_path: Path) -> None:
    """What it has asked itself it takes, so twins in one run are asked once."""
    job(tmp_path, row(1, ok=True))[0].ask([REQUEST])
    anew, asker = job(tmp_path, row(1, ok=True), again=True)

    assert anew.best([KEY]) == {}
    anew.ask([REQUEST])
    assert asker.asked == [REQUEST]
    assert anew.best([KEY]) == {KEY: row(1, ok=True)}


def test_a_document_belongs_to_the_run_that_makes_it_until_that_is_through(tmp_path: Path) -> None:
    """Another reads it, and has the rest of its time for others."""
    (source := tmp_path / "notes.txt").write_text("The library lends tools. " * 20)
    config = Settings(home=tmp_path / "home", results=tmp_path / "results")

    def reading() -> tuple[Job, Plan]:
        asker = cast(Asker, FakeAsker())
        made = Job(config, fake_spec(), Summaries(SummaryOptions()), asker, Progress(1))
        plan = made.read(str(source)).plan
        assert plan is not None
        return made, plan

    (first, plan), (second, same) = reading(), reading()
    assert first.claim(plan)
    assert not second.claim(same)

    first.drop(plan)
    assert second.claim(same)


def test_what_follows_the_summaries_does_not_fail_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All are landed by then; that their ledger can't be put together is worth a warning."""
    (folder := tmp_path / "generations").mkdir()
    (folder / "part-1-00000000.parquet").write_bytes(b"damaged")

    with job(tmp_path)[0]:
        pass

    assert "the ledger stays as many small files" in caplog.text


def test_what_killed_runs_have_claimed_is_tidied_away(tmp_path: Path) -> None:
    """The files of locks that are free go; what a living run holds stays its own."""
    living = Claims(tmp_path)
    living.take("held")
    (tmp_path / "claims" / "left.lock").touch()

    Claims(tmp_path).tidy()

    assert [path.name for path in (tmp_path / "claims").iterdir()] == ["held.lock"]
    living.give_all_back()
