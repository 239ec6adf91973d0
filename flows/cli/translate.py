"""`lectern translate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.options import (
    CaptionsOption,
    From,
    Model,
    OcrOption,
    Password,
    Prompts,
    SpeechModel,
    To,
    absolute_model,
    are_played,
    lecture_parameters,
)
from tasks.naming import as_uri
from tasks.settings import settings

_SHOWN = ("bilingual", "target")


class Mode(StrEnum):
    """What each part is told of what comes before it."""

    parallel = "parallel"
    sequential = "sequential"


def translate(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", help="Documents, videos, recordings, folders with some, and URLs."
        ),
    ],
    to: To = None,
    source_language: From = None,
    model: Model = None,
    glossary: Annotated[
        Path | None,
        typer.Option("--glossary", metavar="FILE", help="Terms as CSV: source, target, note."),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            metavar="NAMES",
            show_default="bilingual, in all formats",
            help="bilingual: side by side, or target alone; and formats of the files: md, html, "
            "epub; srt and vtt of lectures. Parted by commas. What can have none of these has all.",
        ),
    ] = "",
    mode: Annotated[
        Mode,
        typer.Option(
            "--mode",
            metavar="NAME",
            help="parallel: all at once; sequential: each part is told the translation before it.",
        ),
    ] = Mode.parallel,
    beside: Annotated[
        bool,
        typer.Option("--beside", help="Put the files beside their source too, as book.zh.html."),
    ] = False,
    captions: CaptionsOption = None,
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
    """Translate documents and lectures: every sentence accounted for, every doubt marked.

    Reads PDF, EPUB, Word (.docx), HTML, Markdown and plain text; writes Markdown and a page that
    opens anywhere, and EPUB where pandoc is installed. Code, formulas, addresses and lists of
    references stay as they are. Of videos, recordings and captions, also by their URL, it writes
    subtitles as well, with the times of the original ones.

    What was asked once is never asked again; a run that was stopped or killed goes on where it was
    when you give the same command.

    Exit status: 0 all sources translated, 1 the run failed, 2 some sources failed, 130 stopped by
    Ctrl-C.

        lectern translate book.pdf --to zh --glossary terms.csv
        lectern translate lecture.mp4 --to zh --output srt,vtt,md,html
        lectern translate papers/ --to en --output target -m hf:Qwen/Qwen2.5-7B-Instruct-GGUF:q4_0
    """  # fmt: skip
    from pydantic import SecretStr

    from flows.here import TRANSLATE, TRANSLATE_VIDEO, run_here

    uris = [as_uri(source, Path.cwd()) for source in sources]
    shown, formats = _output(output)
    parameters: dict[str, Any] = {
        "sources": uris,
        "to": to,
        "source_language": source_language,
        "model": absolute_model(model),
        "glossary": str(glossary.resolve()) if glossary else None,
        "output": shown,
        "formats": formats,
        "mode": mode.value,
        "beside": beside,
        "again": again,
        "password": SecretStr(password) if password else None,  # Prefect stores stars
        "ocr": ocr.value if ocr else None,
        "prompt_dir": str(prompts.resolve()) if prompts else None,
    }
    flow = TRANSLATE
    if are_played(uris):
        flow = TRANSLATE_VIDEO
        parameters |= lecture_parameters(captions, speech_model)
    raise typer.Exit(run_here(flow, settings(), parameters, verbose=verbose))


def _output(names: str) -> tuple[str, list[str] | None]:
    """Return what the files show, and their formats; None: all.

    Raises:
        typer.BadParameter: there is no such name.
    """
    from typing import get_args

    from tasks.land.translations import Format

    given = [name.strip().lower() for name in names.split(",") if name.strip()]
    formats = get_args(Format)
    if unknown := [name for name in given if name not in (*_SHOWN, *formats)]:
        known = ", ".join((*_SHOWN, *formats))
        raise typer.BadParameter(f"{unknown[0]} is none of {known}", param_hint="--output")
    shown = next((name for name in given if name in _SHOWN), "bilingual")
    return shown, [name for name in given if name in formats] or None
