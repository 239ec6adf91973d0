"""How far a campaign is: a bar, and a line for every round."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .scenarios import Scenario
from .store import Round


def progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


class Shown:
    """A campaign's listener.

    Args:
        steps: measurements to come.
    """

    def __init__(self, progress: Progress, steps: int) -> None:
        self._progress = progress
        self._task = progress.add_task("measuring", total=steps)
        self._done = 0

    def begins(self, scenario: Scenario, peer: str, number: int) -> None:
        text = f"round {number + 1}: {scenario.name}, {peer}"
        self._progress.update(self._task, description=text, completed=self._done)
        self._done += 1

    def measured(self, scenario: Scenario, round_: Round) -> None:
        seconds = (f"{peer} {sample.seconds:.1f} s" for peer, sample in round_.samples.items())
        text = f"round {round_.number + 1}: {scenario.name}: {', '.join(seconds)}"
        self._progress.console.print(text, markup=False, highlight=False)
        self._progress.update(self._task, description="measured", completed=self._done)
