"""`lectern summarize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import (
    Language,
    Length,
    LengthOption,
    Model,
    OcrOption,
    Password,
    Prompts,
    absolute_model,
)
from tasks.naming import as_uri
from tasks.settings import settings


def summarize(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="Documents, folders with documents, and URLs."),
    ],
    model: Model = None,
    language: Language = None,
    length: LengthOption = Length.medium,
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
    """Summarise documents: every statement with the page or paragraph it rests on.

    Reads PDF, EPUB, Word (.docx), HTML, Markdown and plain text.

    Uses the Prefect server that `lectern up` runs, or the one that PREFECT_API_URL names, else
    one of its own. What was asked once is never asked again; a run that was stopped or killed
    goes on where it was when you give the same command.

    Exit status: 0 all sources summarised, 1 the run failed, 2 some sources failed, 130 stopped by
    Ctrl-C.

        lectern summarize books/ -m hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF:q4_0
        lectern summarize https://example.org/report.pdf --language zh --length long
    """
    from pydantic import SecretStr

    from flows.here import SUMMARIZE, run_here

    parameters = {
        "sources": [as_uri(source, Path.cwd()) for source in sources],
        "model": absolute_model(model),
        "language": language,
        "length": length.value,
        "again": again,
        "password": SecretStr(password) if password else None,  # Prefect stores stars
        "ocr": ocr.value if ocr else None,
        "prompt_dir": str(prompts.resolve()) if prompts else None,
    }
    raise typer.Exit(run_here(SUMMARIZE, settings(), parameters, verbose=verbose))
