"""The flow `summarize-video`: lectures in; summaries by chapters, every statement with its time."""

# No `from __future__ import annotations`: Prefect reads the flow's signature to make its form.

from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import SecretStr

from flows.documents import Parameters, make_documents
from flows.intake import Named
from flows.making import Summaries
from flows.rounds import WORKERS
from tasks.generate.summarize import SummaryOptions
from tasks.records import CaptionsMode, OcrMode, SummaryLength


@flow(
    name="summarize-video",
    task_runner=ThreadPoolTaskRunner(max_workers=WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def summarize_video(
    sources: list[str],
    model: str | None = None,
    language: str | None = None,
    length: SummaryLength = "medium",
    captions: CaptionsMode | None = None,
    source_language: str | None = None,
    speech_model: str | None = None,
    again: bool = False,
    prompt_dir: str | None = None,
    urls: Literal["videos", "any"] = "videos",
    password: SecretStr | None = None,
    ocr: OcrMode | None = None,
) -> State[Any]:
    """Summarise lectures: by chapters, every statement with the time at which it is said.

    Args:
        sources: Videos, recordings, captions, folders or URLs, playlists too; relative paths count
            from the project's folder. Documents among them are summarised as well.
        model: A GGUF file, hf:owner/repository:quantization, ollama:name, or a name that `lectern
            models list` shows.
        language: Of the summary: en, zh, …; auto is the lecture's own.
        length: Of the summary of each chapter.
        captions: Made by people, instead of recognising speech: prefer, ignore, only.
        source_language: The one that is spoken; default: what is heard.
        speech_model: A Whisper in CTranslate2's format: a folder, a name such as small, or auto.
        again: Ask anew what the tables already hold.
        prompt_dir: A folder whose prompt files replace the project's.
        urls: What URLs lead to; any: to a document where nothing is played.
        password: Opens encrypted PDFs. Whoever can log in to Prefect can read what is given here.
        ocr: Which pages of PDFs are recognised: auto (those without text), always, never.
    """
    return make_documents(
        Parameters(
            model,
            again,
            password,
            ocr,
            prompt_dir,
            captions=captions,
            speech_model=speech_model,
            spoken=source_language,
            urls=urls,
        ),
        lambda config: Summaries(
            SummaryOptions(language=language or config.language, length=length)
        ),
        lambda: Named(sources, urls=urls),
    )
