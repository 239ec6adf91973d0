"""The flow `translate-inbox`, which the schedule runs: what is new in a folder, each night."""

# No `from __future__ import annotations`: Prefect reads the flow's signature to make its form.

from datetime import datetime
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows.documents import Parameters, make_documents
from flows.intake import Inbox, begun_last, next_time
from flows.rounds import WORKERS
from flows.translating import Wanted
from tasks.naming import as_path
from tasks.records import TranslationMode
from tasks.settings import PROJECT_ROOT


@flow(
    name="translate-inbox",
    task_runner=ThreadPoolTaskRunner(max_workers=WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def translate_inbox(
    to: str | None = None,
    source_language: str | None = None,
    folder: str = "data/inbox",
    until: str | None = None,
    model: str | None = None,
    glossary: str | None = None,
    output: Literal["bilingual", "target"] = "bilingual",
    mode: TranslationMode = "parallel",
    again: bool = False,
    prompt_dir: str | None = None,
) -> State[Any]:
    """Translate what is new in a folder: by content, whatever its name; the rest the next night.

    Args:
        to: The language to translate into: en, zh, de, … Default: the setting `translate_to`.
        source_language: The documents' own; default: what is found in the text.
        folder: What is watched; relative paths count from the project's folder.
        until: When to begin nothing more, such as 06:30; what is left is for the next run.
        model: A GGUF file, hf:owner/repository:quantization, ollama:name, or a name that `lectern
            models list` shows.
        glossary: A CSV file of terms: source, target, and perhaps a note.
        output: Both languages side by side, or the translation alone.
        mode: parallel, all at once; sequential tells each part the translation before it.
        again: Try again what has failed before or has warnings. Only what got no answer is asked;
            `lectern translate FILE --again` asks everything anew.
        prompt_dir: A folder whose prompt files replace the project's.
    """

    def intake() -> Inbox:
        # A run that is late has less time, or none; by days, that of tonight, which it stands for.
        begun = begun_last(flow_run.scheduled_start_time, datetime.now().astimezone())
        deadline = next_time(until, begun) if until else None
        return Inbox(as_path(folder, PROJECT_ROOT), until=deadline, again=again)

    return make_documents(
        Parameters(model, prompt_dir=prompt_dir),
        Wanted(to, source_language, glossary, output, mode).translations,
        intake,
    )
