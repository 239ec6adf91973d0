"""What a person at a terminal sees of a run: a bar while it lasts, and what came of it.

Only shows; counts nothing. Results go to stdout, what is merely news to stderr.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from flows.progress import Snapshot, Watcher, duration, fetched_in_words, in_words
from flows.rounds import Outcome
from flows.run_tables import accounted_for, warning_lines
from flows.words import Words
from tasks.naming import file_name
from tasks.records import Document, Source


class _Console(Console):
    """One that goes on when its reader has gone: a run must not end with `| head`."""

    def on_broken_pipe(self) -> None:
        with suppress(SystemExit):
            super().on_broken_pipe()


out = _Console(highlight=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, soft_wrap=True)


class Terminal(Watcher):
    """A bar on stderr for as long as the block lasts; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._bar = Progress(
            SpinnerColumn(), BarColumn(bar_width=30), TextColumn("{task.description}"),
            console=err, transient=True, disable=not err.is_terminal,
        )  # fmt: skip
        self._task: TaskID = self._bar.add_task("starting", total=None)
        self._phase = ""
        self.snapshot: Snapshot | None = None  # the last one shown
        self.outcomes: list[Outcome] = []

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        err.print(f"[yellow]{escape(text)}[/]")

    def fetched(self, label: str, done_bytes: int, total_bytes: int) -> None:
        if label != self._phase:  # a bar that has a total can't be made to have none
            self._phase = label
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task("", total=total_bytes or None)
        words = fetched_in_words(label, done_bytes, total_bytes)
        self._bar.update(self._task, completed=done_bytes, description=escape(words))

    def show(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._bar.update(
            self._task,
            completed=snapshot.fraction,
            total=1.0,
            description=escape(in_words(snapshot)),
        )

    def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        for line in outcome_lines(outcome):
            (err if outcome.failed else out).print(line)


def outcome_lines(outcome: Outcome) -> list[str]:
    """Return what to print of a source: how it went, its coverage, where its summary is."""
    name = escape(file_name(outcome.uri))
    if outcome.twin and not outcome.failed:
        return [f"[green]=[/] {name}: same content as {escape(file_name(outcome.twin))}"]
    document, source = outcome.document, outcome.source
    if outcome.error or document is None or source is None:
        return [f"[red]✗[/] {escape(outcome.error)}"]
    mark = "[yellow]![/]" if outcome.warnings else "[green]✓[/]"
    lines = [f"{mark} {name}: {_accounted(outcome, document, source)}{_asked(outcome, document)}"]
    lines += [f"  [yellow]{escape(line)}[/]" for line in warning_lines(outcome)]
    return [*lines, *(f"  {escape(path)}" for path in document.paths)]


def _asked(outcome: Outcome, document: Document) -> str:
    if document.kind == "transcript":
        return ""
    return f"; {outcome.asked} asked, {outcome.from_ledger} from the ledger"


def _accounted(outcome: Outcome, document: Document, source: Source) -> str:
    if document.kind == "translation":
        return accounted_for([outcome])
    if document.kind == "transcript":
        how = "recognised" if source.transcription == "speech" else "from captions"
        count = "1 sentence" if source.n_segments == 1 else f"{source.n_segments:,} sentences"
        return f"{count}, {how}"
    cover = document.coverage
    done = cover.ok + cover.repaired
    how = f"{done} summarised, {cover.kept} left out by rule, {cover.failed} failed"
    return f"{cover.total} of {source.n_segments} segments accounted for: {how}"


def print_totals(
    outcomes: Sequence[Outcome], snapshot: Snapshot, seconds: float, words: Words
) -> None:
    """Print what the whole run came to."""
    done = sum(not each.failed for each in outcomes)
    asked = sum(each.asked for each in outcomes)
    found = sum(each.from_ledger for each in outcomes)
    cost = (
        f": {asked} asked, {found} from the ledger; {snapshot.prompt_tokens:,} tokens read, "
        f"{snapshot.completion_tokens:,} written"
    )
    line = f"{done} of {snapshot.sources} sources {words.done} in {duration(seconds)}"
    out.print(line + (cost if asked or found else ""))


def print_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under their names."""
    table = Table(*map(escape, names), box=box.SIMPLE)
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)


def print_runs(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table a run, whose rows are what `names` lists: there are too many for columns.

    The first two names are the run and the task.
    """
    for run, tasks in groupby(rows, key=lambda row: row[0]):
        columns = list(zip(*tasks, strict=True))
        table = Table(f"run {escape(run)}", box=box.SIMPLE)
        for task in columns[1]:
            table.add_column(escape(task), justify="right")
        for name, cells in zip(names[2:], columns[2:], strict=True):
            table.add_row(escape(name), *map(escape, cells))
        out.print(table)
