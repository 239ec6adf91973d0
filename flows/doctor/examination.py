"""Run all checks, beside each other, and survive each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from flows.doctor import build, machine, models, places, reading, serving
from flows.doctor.findings import Check, Finding, failed
from tasks.errors import PipelineError
from tasks.settings import PROJECT_ROOT, Settings, settings

AREAS: Mapping[str, Sequence[Check]] = {
    "Python": (machine.python, machine.packages),
    "llama.cpp": (build.compiler, build.llama, build.gpu),
    "Machine": (machine.memory, machine.locale_, machine.clock),
    "Places": (places.places, places.temporary),
    "Models": (
        models.known_models,
        models.default_model,
        models.chat_format,
        models.speech_model,
    ),
    "Prefect": (serving.prefect, serving.server, serving.environment, serving.pool, serving.units),
    "Documents": (reading.ocr, reading.books, reading.optional),
}


def examine() -> dict[str, list[Finding]]:
    """Return what was found, by area."""
    config, wrong = _settings()
    with ThreadPoolExecutor(max_workers=8) as threads:
        asked = {
            area: [threads.submit(_run, check, config) for check in checks]
            for area, checks in AREAS.items()
        }
    found = {area: [each for one in ran for each in one.result()] for area, ran in asked.items()}
    return {"Settings": wrong, **found} if wrong else found


def _run(check: Check, config: Settings) -> list[Finding]:
    name = check.__name__.strip("_").replace("_", " ")
    try:
        return list(check(config))
    except PipelineError as error:
        return [failed(name, f"{error.subject}: {error.problem}", error.remedy)]
    except Exception as error:  # one that fails must not hide what the others find
        return [failed(name, f"could not be examined ({type(error).__name__}: {error})")]


def _settings() -> tuple[Settings, list[Finding]]:
    """Return the settings, or where they are wrong the defaults, and what is wrong."""
    try:
        return settings(), []
    except PipelineError as error:
        defaults = {
            name: PROJECT_ROOT / field.default
            for name, field in Settings.model_fields.items()
            if name in ("results", "models", "prompts", "home")
        }
        found = f"{error.subject}: {error.problem}; the rest was looked at with the defaults"
        return Settings.model_construct(**defaults), [failed("settings", found, error.remedy)]
