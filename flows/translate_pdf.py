"""The flow `translate-pdf`: documents in; complete, checked translations and Parquet rows out."""

# No `from __future__ import annotations`: Prefect reads the flow's signature to make its form.

from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import SecretStr

from flows.documents import Parameters, make_documents
from flows.intake import Named
from flows.rounds import WORKERS
from flows.translating import Wanted
from tasks.land.translations import Format
from tasks.records import OcrMode, TranslationMode


@flow(
    name="translate-pdf",
    task_runner=ThreadPoolTaskRunner(max_workers=WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def translate_pdf(
    sources: list[str],
    to: str | None = None,
    source_language: str | None = None,
    model: str | None = None,
    glossary: str | None = None,
    output: Literal["bilingual", "target"] = "bilingual",
    formats: list[Format] | None = None,
    mode: TranslationMode = "parallel",
    beside: bool = False,
    again: bool = False,
    password: SecretStr | None = None,
    ocr: OcrMode | None = None,
    prompt_dir: str | None = None,
) -> State[Any]:
    """Translate documents: every sentence accounted for, every doubt marked.

    Args:
        sources: Documents, folders or URLs; relative paths count from the project's folder.
        to: The language to translate into: en, zh, de, … Default: the setting `translate_to`.
        source_language: The documents' own; default: what is found in the text.
        model: A GGUF file, hf:owner/repository:quantization, ollama:name, or a name that `lectern
            models list` shows.
        glossary: A CSV file of terms: source, target, and perhaps a note.
        output: Both languages side by side, or the translation alone.
        formats: Of the files; default: all.
        mode: parallel, all at once; sequential tells each part the translation before it.
        beside: Put the files beside their source as well, as book.zh.html.
        again: Ask anew what the tables already hold.
        password: Opens encrypted PDFs. Whoever can log in to Prefect can read what is given here.
        ocr: Which pages of PDFs are recognised: auto (those without text), always, never.
        prompt_dir: A folder whose prompt files replace the project's.
    """
    return make_documents(
        Parameters(model, again, password, ocr, prompt_dir),
        Wanted(to, source_language, glossary, output, mode, beside, again, formats).translations,
        lambda: Named(sources),
    )
