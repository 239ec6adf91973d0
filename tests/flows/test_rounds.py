"""The driving of a run, with documents and a model made of dicts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

import pytest
from support.crashing import wait_until

from flows.progress import Progress, Watcher
from flows.rounds import WORKERS, Outcome, Plan, Reading, Rounds
from tasks.errors import InferenceError, ModelError, PromptError, StorageError
from tasks.generate.flaws import Flaw
from tasks.generate.foresight import Foreseen
from tasks.records import (
    Coverage,
    Document,
    Generation,
    Line,
    PromptRef,
    Request,
    Sampling,
    Source,
)


def request(key: str, level: int = 0) -> Request:
    return Request(
        key=key,
        task="merge" if level else "summarize",
        source_id=key.split("/")[0],
        level=level,
        messages=(),
        sampling=Sampling(max_tokens=10),
        prompt=PromptRef(name="summarize", version=1, language="en", hash=""),
        prompt_tokens=100,
        lines=(Line(1, "text", 1),),
    )


def answer(asked: Request) -> Generation:
    return Generation(
        key=asked.key, attempt=1, task=asked.task, source_id=asked.source_id,
        first_n=1, last_n=1, level=asked.level, text="- it [1]", status="ok", prompt_tokens=100,
    )  # fmt: skip


class TwoLevels:
    """A plan of some notes and one merge of them."""

    def __init__(self, name: str, chunks: int) -> None:
        self.document_id = name
        self.notes = [request(f"{name}/{n}") for n in range(1, chunks + 1)]
        self.merge = request(f"{name}/merge", level=1)

    def requests(self, done: Mapping[str, Generation]) -> list[Request]:
        notes = [note for note in self.notes if note.key not in done]
        return notes or [merge for merge in [self.merge] if merge.key not in done]

    def foreseen(self, done: Mapping[str, Generation]) -> Foreseen:
        notes = [note for note in self.notes if note.key not in done]
        return Foreseen(1, self.merge.prompt_tokens) if notes else Foreseen()

    def flaws(self, done: Mapping[str, Generation]) -> list[Flaw]:
        return []

    def document(self, done: Mapping[str, Generation]) -> Document:
        assert done.keys() >= {note.key for note in self.notes} | {self.merge.key}
        return Document(
            document_id="d", source_id=self.merge.source_id, kind="summary", language="en",
            length="short", model="m", title="", sections=(), coverage=Coverage(ok=1),
        )  # fmt: skip


class FakeWork:
    """Sources by name, and a model that answers all."""

    def __init__(self, chunks: Mapping[str, int]) -> None:
        self.chunks = chunks
        self.ledger: dict[str, Generation] = {}
        self.batches: list[tuple[str, list[str]]] = []
        self.landed: list[str] = []
        self.dropped: list[str] = []
        self.elsewhere: set[str] = set()  # another run is making these
        self.open: set[str] = set()
        self.most_open = 0
        self._threads = ThreadPoolExecutor(WORKERS)

    def read(self, label: str, uri: str) -> Future[Reading]:
        return self._threads.submit(self.reading, uri)

    def reading(self, uri: str) -> Reading:
        self.open.add(uri)
        self.most_open = max(self.most_open, len(self.open))
        return Reading(Source(source_id=uri, uri=uri), TwoLevels(uri, self.chunks[uri]))

    def claim(self, plan: Plan) -> bool:
        return plan.document_id not in self.elsewhere

    def ask(self, label: str, requests: Sequence[Request]) -> Future[None]:
        self.batches.append((label, [each.key for each in requests]))
        return self._threads.submit(self.answer, requests)

    def answer(self, requests: Sequence[Request]) -> None:
        self.ledger.update({each.key: answer(each) for each in requests})

    def best(self, keys: Collection[str]) -> dict[str, Generation]:
        return {key: self.ledger[key] for key in keys if key in self.ledger}

    def land(self, reading: Reading, done: Mapping[str, Generation]) -> Document:
        self.landed.append(reading.source.uri)
        self.open.discard(reading.source.uri)
        assert reading.plan is not None
        return reading.plan.document(done)

    def drop(self, plan: Plan) -> None:
        self.dropped.append(plan.document_id)

    @property
    def asked(self) -> list[str]:
        return [key for _, keys in self.batches for key in keys]


def run(work: FakeWork, **options: Any) -> list[Outcome]:
    uris = list(work.chunks)
    return Rounds(uris, work, Progress(len(uris)), Watcher(), **options).run()


def test_every_chunk_is_asked_once_and_every_document_landed() -> None:
    """Notes and merges of all documents are asked, each once, and the outcomes keep the order."""
    work = FakeWork({"a": 3, "b": 1, "c": 20})

    outcomes = run(work)

    assert sorted(work.asked) == sorted(
        [f"a/{n}" for n in (1, 2, 3)] + ["b/1"] + [f"c/{n}" for n in range(1, 21)]
        + ["a/merge", "b/merge", "c/merge"]
    )  # fmt: skip
    assert [(each.uri, each.asked, each.failed) for each in outcomes] == [
        ("a", 4, False),
        ("b", 2, False),
        ("c", 21, False),
    ]


def test_what_the_ledger_holds_is_not_asked() -> None:
    """A second run asks nothing."""
    work = FakeWork({"a": 3})
    run(work)
    work.batches.clear()

    [second] = run(work)
    assert work.batches == []
    assert (second.asked, second.from_ledger) == (0, 4)


def test_a_run_goes_on_where_one_was_cut_off() -> None:
    """Only what is missing is asked, at the level where it is missing."""
    work = FakeWork({"a": 5})
    work.answer([request("a/1"), request("a/4")])

    [outcome] = run(work)

    assert work.asked == ["a/2", "a/3", "a/5", "a/merge"]
    assert (outcome.asked, outcome.from_ledger) == (4, 2)


def test_a_bad_document_does_not_stop_the_others() -> None:
    """A source that can't be read, one that makes our code fail, and one whose plan fails."""

    class Work(FakeWork):
        def reading(self, uri: str) -> Reading:
            if uri == "failed":
                error = "failed: it is damaged. Get another copy."
                return Reading(Source(source_id="f", uri=uri, status="failed", error=error), None)
            if uri == "mistake":
                raise ZeroDivisionError("ours")
            plan = super().reading(uri)
            if uri == "unplannable":
                plan.plan.requests = self.no_plan  # type: ignore[method-assign, union-attr]
            return plan

        def no_plan(self, done: Mapping[str, Generation]) -> list[Request]:
            raise PromptError("merge.toml", "it does not fit")

    work = Work({"failed": 1, "mistake": 1, "unplannable": 1, "good": 1})
    outcomes = run(work)

    assert [(each.uri, each.error) for each in outcomes] == [
        ("failed", "failed: it is damaged. Get another copy."),
        ("mistake", "mistake: ZeroDivisionError: ours"),
        ("unplannable", "merge.toml: it does not fit"),
        ("good", ""),
    ]
    assert work.dropped == ["unplannable"]


def test_a_model_that_cannot_be_asked_ends_the_run() -> None:
    """A batch that fails as a whole is not a document's fault: the run stops with its error."""

    class Work(FakeWork):
        def answer(self, requests: Sequence[Request]) -> None:
            raise InferenceError("the pool", "it does not start")

    with pytest.raises(InferenceError, match="does not start"):
        run(Work({"a": 1, "b": 1}))


def test_answers_that_do_not_reach_the_ledger_are_not_asked_for_ever() -> None:
    """Completion is decided from the ledger; what never gets there is that document's failure."""

    class Work(FakeWork):
        def answer(self, requests: Sequence[Request]) -> None:
            return None

    [outcome] = run(Work({"a": 2}))

    assert outcome.error == str(StorageError("a", "2 answers are not in the ledger"))


def test_a_document_that_cannot_be_landed_is_dropped() -> None:
    """Else another run that makes the same one would wait for it till this run's end."""

    class Work(FakeWork):
        def land(self, reading: Reading, done: Mapping[str, Generation]) -> Document:
            raise StorageError("results", "No space left on device")

    work = Work({"a": 1})
    [outcome] = run(work)

    assert outcome.failed
    assert work.dropped == ["a"]


def test_the_same_content_is_summarised_once() -> None:
    """A copy under another name stands for itself in the outcomes, and asks nothing."""

    class Work(FakeWork):
        def reading(self, uri: str) -> Reading:
            return Reading(Source(source_id="same", uri=uri), TwoLevels("same", 2))

    work = Work({"a": 2, "copy-of-a": 2})
    outcomes = run(work)

    assert len(work.asked) == 3
    assert [each.failed for each in outcomes] == [False, False]
    assert sorted(each.twin for each in outcomes)[0] == ""
    assert sorted(each.twin for each in outcomes)[1] in {"a", "copy-of-a"}


def test_copies_of_what_fails_fail_for_the_same_reason() -> None:
    """Whether they are read before or after it has failed; and they say what it was."""

    class Work(FakeWork):
        def reading(self, uri: str) -> Reading:
            if uri == "late":
                wait_until(lambda: self.dropped, 20)
            return Reading(Source(source_id="same", uri=uri), TwoLevels("same", 2))

        def land(self, reading: Reading, done: Mapping[str, Generation]) -> Document:
            raise StorageError("results", "No space left on device", "Free some")

    outcomes = run(Work({"/books/a.pdf": 2, "/books/b.pdf": 2, "late": 2}))

    first, second, late = sorted(outcomes, key=lambda each: (bool(each.twin), each.uri))
    name = first.uri.removeprefix("/books/")
    why = f"same content as {name}: results: No space left on device. Free some."
    assert [each.error for each in (second, late)] == [f"{second.uri}: {why}", f"late: {why}"]
    assert {each.remedy for each in outcomes} == {"Free some"}
    assert all(each.failed for each in outcomes)


def test_documents_that_another_run_makes_hold_no_other_up() -> None:
    """However many: they are taken up when that run is through, and found done."""

    class Work(FakeWork):
        def land(self, reading: Reading, done: Mapping[str, Generation]) -> Document:
            if reading.source.uri == "last":
                for name in self.elsewhere:
                    self.answer([*TwoLevels(name, 2).notes, TwoLevels(name, 2).merge])
                self.elsewhere.clear()
            return super().land(reading, done)

    names = [f"theirs-{n}" for n in range(40)]
    work = Work(dict.fromkeys([*names, "mine", "last"], 2))
    work.elsewhere.update(names)

    outcomes = run(work)

    assert sorted(work.asked) == sorted(
        f"{name}/{part}" for name in ("mine", "last") for part in (1, 2, "merge")
    )
    assert set(work.landed[:2]) == {"mine", "last"}
    assert [each.failed for each in outcomes] == [False] * 42


def test_a_document_that_cannot_be_claimed_fails_alone() -> None:
    class Work(FakeWork):
        def claim(self, plan: Plan) -> bool:
            if plan.document_id == "a":
                raise StorageError("claims", "No space left on device")
            return True

    outcomes = run(Work({"a": 1, "b": 1}))

    assert [each.error for each in outcomes] == ["claims: No space left on device", ""]


def test_documents_are_opened_only_as_fast_as_they_are_needed() -> None:
    """A thousand sources never lie in memory at once, and the first lands early."""
    work = FakeWork({f"{n:04}": 4 for n in range(300)})

    run(work)

    assert work.most_open <= 32
    assert int(work.landed[0]) < 32
    assert len(work.landed) == 300


def test_batches_grow_with_the_work_and_carry_its_name() -> None:
    """A long book makes tens of task runs, not thousands; each says which chunks it is."""
    work = FakeWork({"/books/long.pdf": 2000})

    run(work, batch=16)

    assert len(work.batches) < 70
    assert work.batches[0][0] == "summarize long.pdf 1-250"
    assert work.batches[-1][0] == "merge long.pdf 1"
    assert min(len(keys) for _, keys in work.batches[:-2]) >= 16


def test_the_watcher_hears_of_each_source_and_sees_the_end() -> None:
    """Outcomes as they come; at the end a snapshot in which everything is done."""
    heard: list[str] = []
    fractions: list[float] = []

    class Looker(Watcher):
        def ended(self, outcome: Outcome) -> None:
            heard.append(outcome.uri)

        show: Callable[..., None] = lambda self, snapshot: fractions.append(snapshot.fraction)

    work = FakeWork({"a": 1, "b": 1})
    Rounds(["a", "b"], work, Progress(2), Looker()).run()

    assert sorted(heard) == ["a", "b"]
    assert fractions[-1] == 1.0


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("用小望远镜看星空.pdf", "用小望远镜看星空.pdf"),
        ("two\nlines\t.pdf", "two\\nlines\\t.pdf"),
        ("a" * 251 + ".pdf", "a" * 30 + "…" + "a" * 25 + ".pdf"),
        ("{label} %s.pdf", "{label} %s.pdf"),
    ],
)
def test_task_runs_are_named_in_a_line(name: str, shown: str) -> None:
    """After the document and its chunks, however odd or long its name is."""
    work = FakeWork({f"/books/{name}": 2})

    run(work)

    assert [label for label, _ in work.batches] == [f"summarize {shown} 1-2", f"merge {shown} 1"]


def test_after_the_hour_nothing_is_begun_and_nothing_lost() -> None:
    over = threading.Event()

    class Work(FakeWork):
        def answer(self, requests: Sequence[Request]) -> None:
            super().answer([] if over.is_set() else requests[:2])
            over.set()

        def reading(self, uri: str) -> Reading:
            if uri == "c":  # a long one
                over.wait(20)
                raise CancelledError
            return super().reading(uri)

    work = Work({"a": 5, "b": 1, "c": 1, "d": 1})
    rounds = Rounds(
        list(work.chunks), work, Progress(4), Watcher(), batch=4, go_on=lambda: not over.is_set()
    )

    assert rounds.run() == []
    assert rounds.left == ["a", "b", "c", "d"]

    later = FakeWork(work.chunks)
    later.ledger = dict(work.ledger)
    assert [each.failed for each in run(later)] == [False] * 4
    assert not set(later.asked) & set(work.ledger)
    assert work.ledger


def test_what_waits_for_its_turn_when_the_hour_strikes_is_left() -> None:
    """It is not answered, and the run ends well."""
    over = threading.Event()

    class Work(FakeWork):
        def answer(self, requests: Sequence[Request]) -> None:
            over.set()
            raise CancelledError

    work = Work({"a": 5})
    rounds = Rounds(["a"], work, Progress(1), Watcher(), batch=4, go_on=lambda: not over.is_set())

    assert rounds.run() == []
    assert rounds.left == ["a"]


def test_a_model_of_speech_that_cannot_be_had_may_be_there_the_next_night() -> None:
    class Work(FakeWork):
        def reading(self, uri: str) -> Reading:
            raise ModelError("small", "it could not be fetched", "Check the connection")

    [outcome] = run(Work({"a": 1}))
    assert outcome.failed
    assert outcome.transient
