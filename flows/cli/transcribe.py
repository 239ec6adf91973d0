"""`lectern transcribe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import CaptionsOption, SpeechModel, Spoken, speech_model_name
from tasks.naming import as_uri
from tasks.settings import settings


def transcribe(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="Videos, recordings, folders with some, and URLs."),
    ],
    captions: CaptionsOption = None,
    source_language: Spoken = None,
    speech_model: SpeechModel = None,
    hotwords: Annotated[
        str,
        typer.Option("--hotwords", metavar="TERMS", help="Names to expect, parted by commas."),
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Recognise anew what was recognised before.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log to the terminal, not to a file.")
    ] = False,
) -> None:
    """Write down what is said: a page to read, subtitles, and each word with its time.

    Takes any video or recording, also by its URL, and playlists. Captions that people made, beside
    the file, in it or on its page, are used instead of recognising speech; --captions ignore
    recognises all the same. No language model is needed.

    A transcription that was stopped or killed goes on where it was when you give the same command.

    Exit status: 0 all sources transcribed, 1 the run failed, 2 some sources failed, 130 stopped by
    Ctrl-C.

        lectern transcribe talk.mp3
        lectern transcribe https://example.org/lecture --speech-model small --from zh
    """
    from flows.here import TRANSCRIBE, run_here

    parameters = {
        "sources": [as_uri(source, Path.cwd()) for source in sources],
        "captions": captions.value if captions else None,
        "source_language": source_language,
        "speech_model": speech_model_name(speech_model),
        "hotwords": hotwords,
        "again": again,
    }
    raise typer.Exit(run_here(TRANSCRIBE, settings(), parameters, verbose=verbose))
