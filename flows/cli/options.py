"""Options and arguments that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Length(StrEnum):
    """Of a summary."""

    short = "short"
    medium = "medium"
    long = "long"
    outline = "outline"


class Ocr(StrEnum):
    """Which pages of a PDF have their text recognised."""

    auto = "auto"
    always = "always"
    never = "never"


def _codes() -> list[str]:
    """For the shell's completion; imported late, as `--help` must not wait."""
    from tasks.generate.languages import language_codes

    return language_codes()


To = Annotated[
    str | None,
    typer.Option(
        "--to", "-t", metavar="CODE", show_default="the setting `translate_to`",
        help="Into which language: en, zh, ja, de, fr, es, …", autocompletion=_codes,
    ),
]  # fmt: skip
From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="CODE", show_default="as found in the text",
        help="The documents' own language.", autocompletion=_codes,
    ),
]  # fmt: skip
Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="NAME", show_default="the setting `model`",
        help="A GGUF file, hf:owner/repository:quant, or a name from models.toml.",
    ),
]  # fmt: skip
Language = Annotated[
    str | None,
    typer.Option(
        "--language", "-l", metavar="CODE", show_default="the setting `language`",
        help="Of the summary: en, zh, …; auto is the document's own.", autocompletion=_codes,
    ),
]  # fmt: skip
LengthOption = Annotated[
    Length,
    typer.Option("--length", metavar="NAME", help=f"Of the summary: {', '.join(Length)}."),
]
Password = Annotated[
    str | None, typer.Option("--password", metavar="TEXT", help="Opens encrypted PDFs.")
]
OcrOption = Annotated[
    Ocr | None,
    typer.Option(
        "--ocr", show_default="the setting `ocr`",
        help="Recognise text in PDFs: on pages without any, on all, on none. Needs ocrmypdf.",
    ),
]  # fmt: skip
Prompts = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="FOLDER", help="Prompt files that replace the project's."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="A PDF, EPUB, Word, HTML, Markdown or text file, or a URL."
    ),
]


def absolute_model(name: str | None) -> str | None:
    """Make a model's path absolute; other names mean the same everywhere."""
    from tasks.pool.models import absolute_name

    return absolute_name(name, Path.cwd()) if name else None
