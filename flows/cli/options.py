"""Options and arguments that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.completion import model_names


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


class Captions(StrEnum):
    """Whether captions that people made are used instead of recognising speech."""

    prefer = "prefer"
    ignore = "ignore"
    only = "only"


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
        help="A GGUF file, hf:owner/repository:quant, ollama:name, or a name from `lectern models "
        "list`; with adapters behind it: NAME+adapter.gguf@0.5.", autocompletion=model_names,
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
CaptionsOption = Annotated[
    Captions | None,
    typer.Option(
        "--captions", metavar="NAME", show_default="the setting `captions`",
        help="Made by people, instead of recognising speech: prefer, ignore, only.",
    ),
]  # fmt: skip
SpeechModel = Annotated[
    str | None,
    typer.Option(
        "--speech-model", metavar="NAME", show_default="the setting `speech_model`",
        help="Recognises speech: tiny, base, small, …, a folder with a Whisper, or auto.",
    ),
]  # fmt: skip
Spoken = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="CODE", show_default="as heard",
        help="The language that is spoken.", autocompletion=_codes,
    ),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
File = Annotated[
    str,
    typer.Argument(metavar="FILE", help="A document, a video, a recording or captions, or a URL."),
]


def are_played(sources: list[str]) -> bool:
    """Tell whether videos, recordings or captions may be among these uris."""
    from tasks.extract.lectures import is_lecture, leads_to_document
    from tasks.extract.sources import documents_below
    from tasks.naming import is_url, path_of

    def is_played(uri: str) -> bool:
        if is_url(uri):
            return not leads_to_document(uri)
        path = path_of(uri)
        return any(map(is_lecture, documents_below(path))) if path.is_dir() else is_lecture(path)

    return any(map(is_played, sources))


def lecture_parameters(captions: Captions | None, speech_model: str | None) -> dict[str, Any]:
    """Return what flows take that read what is played."""
    return {
        "captions": captions.value if captions else None,
        "speech_model": speech_model_name(speech_model),
        "urls": "any",
    }


def speech_model_name(name: str | None) -> str | None:
    """Make the path of a folder absolute; other names mean the same everywhere."""
    from tasks.models.split_files import user_path

    if name is None or not user_path(name).is_dir():
        return name
    return str(user_path(name).resolve())


def absolute_model(name: str | None) -> str | None:
    """Make a model's path absolute; other names mean the same everywhere."""
    from tasks.models.files import absolute_name

    return absolute_name(name, Path.cwd()) if name else None
