"""`lectern translate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import (
    From,
    Model,
    OcrOption,
    Password,
    Prompts,
    To,
    absolute_model,
)
from tasks.naming import as_uri
from tasks.settings import settings


class Output(StrEnum):
    """What the files show."""

    bilingual = "bilingual"
    target = "target"


class Mode(StrEnum):
    """What each part is told of what comes before it."""

    parallel = "parallel"
    sequential = "sequential"


def translate(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="Documents, folders with documents, and URLs."),
    ],
    to: To = None,
    source_language: From = None,
    model: Model = None,
    glossary: Annotated[
        Path | None,
        typer.Option("--glossary", metavar="FILE", help="Terms as CSV: source, target, note."),
    ] = None,
    output: Annotated[
        Output,
        typer.Option("--output", metavar="NAME", help="bilingual: side by side; or target alone."),
    ] = Output.bilingual,
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
    """Translate documents: every sentence accounted for, every doubt marked.

    Reads PDF, EPUB, Word (.docx), HTML, Markdown and plain text; writes Markdown and a page that
    opens anywhere, and EPUB where pandoc is installed. Code, formulas, addresses and lists of
    references stay as they are.

    What was asked once is never asked again; a run that was stopped or killed goes on where it was
    when you give the same command.

    Exit status: 0 all sources translated, 1 the run failed, 2 some sources failed, 130 stopped by
    Ctrl-C.

        lectern translate book.pdf --to zh --glossary terms.csv
        lectern translate papers/ --to en --output target -m hf:Qwen/Qwen2.5-7B-Instruct-GGUF:q4_0
    """  # fmt: skip
    from pydantic import SecretStr

    from flows.here import TRANSLATE, run_here

    parameters = {
        "sources": [as_uri(source, Path.cwd()) for source in sources],
        "to": to,
        "source_language": source_language,
        "model": absolute_model(model),
        "glossary": str(glossary.resolve()) if glossary else None,
        "output": output.value,
        "mode": mode.value,
        "beside": beside,
        "again": again,
        "password": SecretStr(password) if password else None,  # Prefect stores stars
        "ocr": ocr.value if ocr else None,
        "prompt_dir": str(prompts.resolve()) if prompts else None,
    }
    raise typer.Exit(run_here(TRANSLATE, settings(), parameters, verbose=verbose))
