"""Make what scenarios need, where it is not there: programs, models, and their best settings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.progress import Progress

from .build import build_programs
from .models import F16, drop_whole, make_model, model_path
from .places import Places
from .scenarios import N_CTX, NEEDS_PROGRAMS, Scenario
from .tuned import find_best, is_tuned


def prepare(scenarios: Sequence[Scenario], places: Places, progress: Progress) -> None:
    """Make what is missing.

    Raises:
        BuildError: the programs can't be built.
        PipelineError: a model's best settings can't be measured.
    """
    task = progress.add_task("preparing", total=None)

    def building(what: str, done: float) -> None:
        progress.update(task, description=what, total=100, completed=int(100 * done))

    if any(NEEDS_PROGRAMS & {*each.peers} for each in scenarios):
        build_programs(places, building)
    wanted = {(each.shape, each.quantization) for each in scenarios}
    progress.update(task, total=len(wanted), completed=0)
    for shape, quantization in wanted:
        make_model(
            places.models, shape, quantization, lambda text: progress.update(task, description=text)
        )
        progress.advance(task)
    for shape in {shape for shape, quantization in wanted if quantization != F16}:
        drop_whole(places.models, shape)
    tuned = {(each.shape, each.quantization) for each in scenarios if each.tunes}
    for shape, quantization in sorted(tuned, key=str):
        model = model_path(places.models, shape, quantization)
        if not is_tuned(model, places, N_CTX):
            what = f"measuring how {model.name} runs best"
            progress.update(task, description=what, total=None)
            find_best(model, places, N_CTX)
    progress.remove_task(task)
