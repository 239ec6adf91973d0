"""The flow `summarize-pdf`: documents in; cited summaries and Parquet rows out."""

# No `from __future__ import annotations`: Prefect reads the flow's signature to make its form.

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import SecretStr

from flows.documents import Parameters, make_documents
from flows.intake import Named
from flows.making import Summaries
from flows.rounds import WORKERS
from tasks.generate.summarize import SummaryOptions
from tasks.records import OcrMode, SummaryLength


@flow(
    name="summarize-pdf",
    task_runner=ThreadPoolTaskRunner(max_workers=WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def summarize_pdf(
    sources: list[str],
    model: str | None = None,
    language: str | None = None,
    length: SummaryLength = "medium",
    again: bool = False,
    password: SecretStr | None = None,
    ocr: OcrMode | None = None,
    prompt_dir: str | None = None,
) -> State[Any]:
    """Summarise documents: every statement with its page, every call of the model in a table.

    Args:
        sources: Documents, folders or URLs; relative paths count from the project's folder.
        model: A GGUF file, hf:owner/repository:quantization, ollama:name, or a name that `lectern
            models list` shows.
        language: Of the summary: en, zh, …; auto is the document's own.
        length: Of the summary; outline is a list under the document's own headings.
        again: Ask anew what the tables already hold.
        password: Opens encrypted PDFs. Whoever can log in to Prefect can read what is given here.
        ocr: Which pages of PDFs are recognised: auto (those without text), always, never.
        prompt_dir: A folder whose prompt files replace the project's.
    """
    return make_documents(
        Parameters(model, again, password, ocr, prompt_dir),
        lambda config: Summaries(
            SummaryOptions(language=language or config.language, length=length)
        ),
        lambda: Named(sources),
    )
