"""`lectern extract`, `chunks` and `stats`: see what the model sees, and what it cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import (
    File,
    Json,
    Language,
    Length,
    LengthOption,
    Model,
    Ocr,
    OcrOption,
    Password,
    Prompts,
    absolute_model,
)
from tasks.files import make_folder
from tasks.naming import as_uri, clock
from tasks.settings import settings

if TYPE_CHECKING:
    from tasks.extract import Extracted
    from tasks.records import Segment


def extract(
    file: File, password: Password = None, ocr: OcrOption = None, as_json: Json = False
) -> None:
    """Show the numbered segments of a document or lecture, with their places and headings.

    lectern extract paper.pdf --json | head -3
    """
    for segment in _extracted(file, password, ocr).segments:
        if as_json:
            _print_json(
                n=segment.n, page=segment.page, page_label=segment.page_label,
                paragraph=segment.paragraph, heading_path=segment.heading_path,
                kind=segment.kind, start_s=segment.start_s, end_s=segment.end_s,
                speaker=segment.speaker, marks=segment.marks, text=segment.text,
            )  # fmt: skip
        else:
            mark = {"sentence": " ", "heading": "#", "code": "`"}.get(segment.kind, segment.kind[0])
            typer.echo(f"{_place(segment)} {mark} [{segment.n}] {segment.text}")


def _place(segment: Segment) -> str:
    if segment.start_s is not None:
        return f"{clock(segment.start_s):>7}"
    if segment.page is None:
        return f"¶ {segment.paragraph:>5}"
    return f"p. {segment.page_label:>4}"


def chunks(
    file: File,
    model: Model = None,
    language: Language = None,
    length: LengthOption = Length.medium,
    password: Password = None,
    ocr: OcrOption = None,
    prompts: Prompts = None,
    as_json: Json = False,
) -> None:
    """Show what the model would be shown of a document: its chunks, exactly counted.

    lectern chunks paper.pdf --model ~/models/qwen2.5-1.5b-instruct-q4_0.gguf
    """
    from flows.job import prompt_library
    from flows.making import Summaries
    from flows.terminal import Terminal
    from tasks.generate.summarize import SummaryOptions
    from tasks.models.spec import load_spec

    config = settings()
    make_folder(config.home)
    extracted = _extracted(file, password, ocr)
    with Terminal() as terminal:
        name = absolute_model(model) or config.model
        spec = load_spec(name, config, terminal.fetched, header_only=True)
    options = SummaryOptions(language=language or config.language, length=length.value)
    folder = prompts.resolve() if prompts else None
    plan = Summaries(options).plan(extracted, spec, prompt_library(config, folder), config)
    for chunk in plan.chunks:
        if as_json:
            _print_json(
                first_n=chunk.first_n, last_n=chunk.last_n, prompt_tokens=chunk.prompt_tokens,
                heading_path=chunk.heading_path, context=chunk.context,
                lines=[{"n": line.n, "text": line.text} for line in chunk.lines],
            )  # fmt: skip
        else:
            where = " > ".join(chunk.heading_path)
            typer.secho(
                f"{chunk.first_n}-{chunk.last_n}, {chunk.prompt_tokens} tokens  {where}", bold=True
            )
            for line in chunk.lines:
                typer.echo(f"  [{line.n}] {line.text}")


def stats(
    run: Annotated[
        str | None,
        typer.Option(
            "--run", metavar="ID", help="The first characters of a flow run's id, or: latest."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show tokens, latencies (p50 / p95), rates and coverage, from the tables."""
    from flows.terminal import print_runs, print_table
    from tasks.land import latest_run, statistics

    if run == "latest":
        run = latest_run(settings().results)
    found = statistics(settings().results, run)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    elif not found.calls:
        typer.echo("Nothing was asked yet." if run is None else f"No run's id begins with {run}.")
    else:
        print_runs(*found.call_table())
        print_table(*found.coverage_table())


def _extracted(file: str, password: str | None, ocr: Ocr | None) -> Extracted:
    from flows.terminal import Terminal
    from tasks.extract import extract as read
    from tasks.extract.lectures import LectureOptions
    from tasks.land.documents import landed_paths

    config = settings()
    lecture = LectureOptions(urls="any", written=lambda: landed_paths(config.results))
    with Terminal() as terminal:
        extracted = read(
            as_uri(file, Path.cwd()),
            config,
            password=password,
            ocr=ocr.value if ocr else None,
            progress=terminal.fetched,
            lecture=lecture,
        )
    source = extracted.source
    if source.status == "failed":
        typer.echo(f"lectern: {source.error}", err=True)
        raise typer.Exit(1)
    if source.error:
        typer.echo(source.error, err=True)
    return extracted


def _print_json(**values: Any) -> None:
    typer.echo(json.dumps(values, ensure_ascii=False))
