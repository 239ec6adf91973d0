"""The flow `transcribe`: lectures in; transcripts, subtitles and the times of words out."""

# No `from __future__ import annotations`: Prefect reads the flow's signature to make its form.

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows.documents import Parameters, make_documents
from flows.intake import Named
from flows.making import Transcripts
from flows.rounds import WORKERS
from tasks.records import CaptionsMode


@flow(
    name="transcribe",
    task_runner=ThreadPoolTaskRunner(max_workers=WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def transcribe(
    sources: list[str],
    captions: CaptionsMode | None = None,
    source_language: str | None = None,
    speech_model: str | None = None,
    hotwords: str = "",
    again: bool = False,
) -> State[Any]:
    """Write down what is said in videos and recordings, with the time of every word.

    Args:
        sources: Videos, recordings, folders or URLs, playlists too; relative paths count from the
            project's folder.
        captions: Made by people, instead of recognising speech: prefer, ignore, only.
        source_language: The one that is spoken; default: what is heard.
        speech_model: A Whisper in CTranslate2's format: a folder, a name such as small, or auto.
        hotwords: Names and terms to be expected, parted by commas.
        again: Recognise anew what was recognised before.
    """
    return make_documents(
        Parameters(
            captions=captions,
            speech_model=speech_model,
            spoken=source_language,
            hotwords=hotwords,
            speech_again=again,
            urls="videos",
        ),
        lambda config: Transcripts(),
        lambda: Named(sources, urls="videos", is_for_playing=True),
    )
