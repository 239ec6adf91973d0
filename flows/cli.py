"""The command `lectern`: what it takes, and which part does it.

Imports late: `lectern --help` must not wait for Prefect and polars.
"""

from __future__ import annotations

import io
import json
import sys
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tasks.errors import PipelineError
from tasks.files import make_folder
from tasks.naming import as_uri
from tasks.settings import settings

if TYPE_CHECKING:
    from tasks.extract import Extracted

app = typer.Typer(
    help="Summarise long PDFs on this machine, with your own GGUF model.",
    epilog="Begin with: lectern summarize data/samples",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
pool = typer.Typer(
    help="The process that holds the model, shared by all runs.", no_args_is_help=True
)
app.add_typer(pool, name="pool")


class Length(StrEnum):
    """Of a summary."""

    short = "short"
    medium = "medium"
    long = "long"
    outline = "outline"


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
        help="Of the summary: en, zh, …; auto is the document's own.",
    ),
]  # fmt: skip
LengthOption = Annotated[
    Length,
    typer.Option("--length", metavar="NAME", help=f"Of the summary: {', '.join(Length)}."),
]
Password = Annotated[
    str | None, typer.Option("--password", metavar="TEXT", help="Opens encrypted PDFs.")
]
Prompts = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="FOLDER", help="Prompt files that replace the project's."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="A PDF file or URL.")]


@app.callback(invoke_without_command=True)
def _lectern(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
) -> None:
    if show_version:
        typer.echo(f"lectern {version('lectern')}")
        raise typer.Exit


@app.command()
def summarize(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="PDF files, folders with PDFs, and URLs."),
    ],
    model: Model = None,
    language: Language = None,
    length: LengthOption = Length.medium,
    password: Password = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask anew what the tables already hold.")
    ] = False,
    prompts: Prompts = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log to the terminal, not to a file.")
    ] = False,
) -> None:
    """Summarise PDFs: every statement with the page it rests on.

    Uses the Prefect server that `lectern up` runs, or the one that PREFECT_API_URL names, else
    one of its own. What was asked once is never asked again; a run that was stopped or killed
    goes on where it was when you give the same command.

    Exit status: 0 all sources summarised, 1 the run failed, 2 some sources failed.

        lectern summarize books/ -m hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF:q4_0
        lectern summarize https://example.org/report.pdf --language zh --length long
    """
    from pydantic import SecretStr

    from flows.here import summarize_here

    parameters = {
        "sources": [as_uri(source, Path.cwd()) for source in sources],
        "model": _model(model),
        "language": language,
        "length": length.value,
        "again": again,
        "password": SecretStr(password) if password else None,  # Prefect stores stars
        "prompt_dir": str(prompts.resolve()) if prompts else None,
    }
    try:
        code = summarize_here(settings(), parameters, verbose=verbose)
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command goes on where this one was.", err=True)
        code = 130
    raise typer.Exit(code)


@app.command()
def extract(file: File, password: Password = None, as_json: Json = False) -> None:
    """Show the numbered segments of a PDF, with their pages and headings.

    lectern extract paper.pdf --json | head -3
    """
    for segment in _extracted(file, password).segments:
        if as_json:
            _print_json(
                n=segment.n, page=segment.page, page_label=segment.page_label,
                heading_path=segment.heading_path, kind=segment.kind, text=segment.text,
            )  # fmt: skip
        else:
            mark = {"sentence": " ", "heading": "#"}.get(segment.kind, segment.kind[0])
            typer.echo(f"p. {segment.page_label:>4} {mark} [{segment.n}] {segment.text}")


@app.command()
def chunks(
    file: File,
    model: Model = None,
    language: Language = None,
    length: LengthOption = Length.medium,
    password: Password = None,
    prompts: Prompts = None,
    as_json: Json = False,
) -> None:
    """Show what the model would be shown of a PDF: its chunks, exactly counted.

    lectern chunks paper.pdf --model ~/models/qwen2.5-1.5b-instruct-q4_0.gguf
    """
    from flows.job import plan, prompt_library
    from flows.terminal import Terminal
    from tasks.generate.summarize import SummaryOptions
    from tasks.pool.spec import load_spec

    config = settings()
    make_folder(config.home)
    extracted = _extracted(file, password)
    with Terminal() as terminal:
        spec = load_spec(_model(model) or config.model, config, terminal.fetched)
    options = SummaryOptions(language=language or config.language, length=length.value)
    folder = prompts.resolve() if prompts else None
    for chunk in plan(extracted, spec, prompt_library(config, folder), options, config).chunks:
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


@app.command()
def stats(
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="ID", help="The first characters of a flow run's id."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show tokens, latencies (p50 / p95), rates and coverage, from the tables."""
    from flows.terminal import print_runs, print_table
    from tasks.land import statistics

    found = statistics(settings().results, run)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    elif not found.calls:
        typer.echo("Nothing was asked yet." if run is None else f"No run's id begins with {run}.")
    else:
        print_runs(*found.call_table())
        print_table(*found.coverage_table())


@app.command()
def up(
    port: Annotated[int, typer.Option("--port", help="Of Prefect's server.")] = 4200,
) -> None:
    """Run Prefect's server, a worker and the deployments, until Ctrl-C.

    While it runs, in a second shell and the project's folder:

        prefect deployment run summarize-pdf -p 'sources=["paper.pdf"]'
    """
    from flows.up import run_up

    raise typer.Exit(run_up(settings(), port))


@pool.command()
def serve() -> None:
    """Run the pool here, in the foreground, until Ctrl-C."""
    from tasks.pool.server import main as serve_pool

    raise typer.Exit(serve_pool())


@pool.command()
def status() -> None:
    """Say whether the pool runs, where, and what it is doing."""
    from tasks.pool.lifecycle import pool_status

    found = pool_status(settings())
    if found is None:
        typer.echo("The pool is not running. It starts by itself when a run needs it.")
        raise typer.Exit(1)
    typer.echo(
        f"{found.url} (pid {found.pid}): {found.state}, model {found.model or 'none yet'}, "
        f"{found.running} running, {found.waiting} waiting"
    )


@pool.command()
def stop() -> None:
    """Stop the pool. Runs that need it start it again."""
    from tasks.pool.lifecycle import stop_pool

    typer.echo("Stopped." if stop_pool(settings()) else "The pool is not running.")


def main() -> NoReturn:
    """Run the command; errors of ours are one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no name is worth losing a run
    try:
        app()
    except PipelineError as error:
        print(f"lectern: {error}", file=sys.stderr)
    raise SystemExit(1)


def _model(name: str | None) -> str | None:
    """Make a model's path absolute; other names mean the same everywhere."""
    from tasks.pool.models import absolute_name

    return absolute_name(name, Path.cwd()) if name else None


def _extracted(file: str, password: str | None) -> Extracted:
    from flows.terminal import Terminal
    from tasks.extract import extract as read

    with Terminal() as terminal:
        extracted = read(
            as_uri(file, Path.cwd()), settings(), password=password, progress=terminal.fetched
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


if __name__ == "__main__":
    main()
