"""The flow `translate-video`: lectures in; translated subtitles with their own times out."""

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
from tasks.records import CaptionsMode, OcrMode, TranslationMode


@flow(
    name="translate-video",
    task_runner=ThreadPoolTaskRunner(max_workers=WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def translate_video(
    sources: list[str],
    to: str | None = None,
    source_language: str | None = None,
    model: str | None = None,
    glossary: str | None = None,
    output: Literal["bilingual", "target"] = "bilingual",
    formats: list[Format] | None = None,
    mode: TranslationMode = "parallel",
    beside: bool = False,
    captions: CaptionsMode | None = None,
    speech_model: str | None = None,
    again: bool = False,
    prompt_dir: str | None = None,
    urls: Literal["videos", "any"] = "videos",
    password: SecretStr | None = None,
    ocr: OcrMode | None = None,
) -> State[Any]:
    """Translate lectures: subtitles with the times of the original cues, every doubt marked.

    Args:
        sources: Videos, recordings, captions, folders or URLs, playlists too; relative paths count
            from the project's folder. Documents among them are translated as well.
        to: The language to translate into: en, zh, de, … Default: the setting `translate_to`.
        source_language: The one that is spoken; default: what is heard.
        model: A GGUF file, hf:owner/repository:quantization, ollama:name, or a name that `lectern
            models list` shows.
        glossary: A CSV file of terms: source, target, and perhaps a note; speech recognition is
            told them, too.
        output: Both languages side by side, or the translation alone.
        formats: Of the files; default: all.
        mode: parallel, all at once; sequential tells each part the translation before it.
        beside: Put the files beside their source as well, as talk.zh.srt.
        captions: Made by people, instead of recognising speech: prefer, ignore, only.
        speech_model: A Whisper in CTranslate2's format: a folder, a name such as small, or auto.
        again: Ask anew what the tables already hold.
        prompt_dir: A folder whose prompt files replace the project's.
        urls: What URLs lead to; any: to a document where nothing is played.
        password: Opens encrypted PDFs. Whoever can log in to Prefect can read what is given here.
        ocr: Which pages of PDFs are recognised: auto (those without text), always, never.
    """
    wanted = Wanted(to, source_language, glossary, output, mode, beside, again, formats)
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
        wanted.translations,
        lambda: Named(sources, urls=urls),
    )
