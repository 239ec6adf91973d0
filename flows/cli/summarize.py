"""`lectern summarize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.options import (
    CaptionsOption,
    Language,
    Length,
    LengthOption,
    Model,
    OcrOption,
    Password,
    Prompts,
    SpeechModel,
    Spoken,
    absolute_model,
    are_played,
    lecture_parameters,
)
from tasks.naming import as_uri
from tasks.settings import settings


def summarize(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", help="Documents, videos, recordings, folders with some, and URLs."
        ),
    ],
    model: Model = None,
    language: Language = None,
    length: LengthOption = Length.medium,
    captions: CaptionsOption = None,
    source_language: Spoken = None,
    speech_model: SpeechModel = None,
    password: Password = None,
    ocr: OcrOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask anew what the tables already hold.")
    ] = False,
    prompts: Prompts = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log to the terminal, not to a file.")
    ] = False,
) -> None:
    """Summarise documents and lectures: every statement with the page or the time it rests on.

    Reads PDF, EPUB, Word (.docx), HTML, Markdown and plain text; videos, recordings and captions,
    also by their URL, and playlists. A lecture's summary goes by its chapters.

    Uses the Prefect server that `lectern up` runs, or the one that PREFECT_API_URL names, else
    one of its own. What was asked once is never asked again; a run that was stopped or killed
    goes on where it was when you give the same command.

    Exit status: 0 all sources summarised, 1 the run failed, 2 some sources failed, 130 stopped by
    Ctrl-C.

        lectern summarize books/ -m hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF:q4_0
        lectern summarize https://example.org/report.pdf --language zh --length long
        lectern summarize https://example.org/lecture talk.mp4 course/ --language zh
    """
    from pydantic import SecretStr

    from flows.here import SUMMARIZE, SUMMARIZE_VIDEO, run_here

    uris = [as_uri(source, Path.cwd()) for source in sources]
    parameters: dict[str, Any] = {
        "sources": uris,
        "model": absolute_model(model),
        "language": language,
        "length": length.value,
        "again": again,
        "password": SecretStr(password) if password else None,  # Prefect stores stars
        "ocr": ocr.value if ocr else None,
        "prompt_dir": str(prompts.resolve()) if prompts else None,
    }
    flow = SUMMARIZE
    if are_played(uris):
        flow = SUMMARIZE_VIDEO
        parameters |= lecture_parameters(captions, speech_model)
        parameters["source_language"] = source_language
    raise typer.Exit(run_here(flow, settings(), parameters, verbose=verbose))
