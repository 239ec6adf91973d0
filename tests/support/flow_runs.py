"""Run the flow `summarize-pdf` in this process, and hear how its sources ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.progress import Watcher, watcher
from flows.rounds import Outcome


class Looker(Watcher):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}

    def ended(self, outcome: Outcome) -> None:
        self.outcomes[Path(outcome.uri).name] = outcome


def summarize(model: Path, *sources: object, **parameters: Any) -> tuple[Any, dict[str, Outcome]]:
    """Return the flow run's last state, and the outcomes by file name."""
    from flows.summarize_pdf import summarize_pdf  # late: Prefect reads its settings once

    looker = Looker()
    token = watcher.set(looker)
    try:
        state = summarize_pdf(
            sources=[str(each) for each in sources],
            model=str(model),
            return_state=True,
            **parameters,
        )
    finally:
        watcher.reset(token)
    return state, looker.outcomes
