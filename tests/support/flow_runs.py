"""Run the flows in this process, and hear how their sources ended."""

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


Ended = tuple[Any, dict[str, Outcome]]
"""A flow run's last state, and the outcomes by file name."""


def summarize(model: Path, *sources: object, **parameters: Any) -> Ended:
    from flows.summarize_pdf import summarize_pdf  # late: Prefect reads its settings once

    return _run(summarize_pdf, model, sources=[str(each) for each in sources], **parameters)


def translate(model: Path, *sources: object, to: str | None = "zh", **parameters: Any) -> Ended:
    from flows.translate_pdf import translate_pdf

    return _run(translate_pdf, model, sources=[str(each) for each in sources], to=to, **parameters)


def translate_inbox(model: Path, folder: Path, to: str | None = "zh", **parameters: Any) -> Ended:
    from flows.translate_inbox import translate_inbox as flow

    return _run(flow, model, folder=str(folder), to=to, **parameters)


def summarize_video(model: Path, *sources: object, **parameters: Any) -> Ended:
    from flows.summarize_video import summarize_video as flow

    return _run(flow, model, sources=[str(each) for each in sources], **parameters)


def translate_video(
    model: Path, *sources: object, to: str | None = "zh", **parameters: Any
) -> Ended:
    from flows.translate_video import translate_video as flow

    return _run(flow, model, sources=[str(each) for each in sources], to=to, **parameters)


def transcribe(*sources: object, **parameters: Any) -> Ended:
    from flows.transcribe import transcribe as flow

    return _run(flow, None, sources=[str(each) for each in sources], **parameters)


def _run(flow: Any, model: Path | None, **parameters: Any) -> Ended:
    looker = Looker()
    token = watcher.set(looker)
    try:
        models = {"model": str(model)} if model else {}
        state = flow(return_state=True, **models, **parameters)
    finally:
        watcher.reset(token)
    return state, looker.outcomes
