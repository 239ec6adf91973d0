"""The command `lectern`: which commands there are. Each is in a module beside this one.

Those import late: `lectern --help` must not wait for Prefect and polars.
"""

from __future__ import annotations

import io
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from flows.cli import (
    bench,
    clean,
    doctor,
    inspect,
    models,
    pool,
    service,
    summarize,
    transcribe,
    translate,
    up,
)
from tasks.errors import PipelineError

app = typer.Typer(
    help="Summarise and translate long PDFs, books and lecture videos on this machine, with your "
    "own GGUF model.",
    epilog="Begin with: lectern summarize data/samples",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command()(summarize.summarize)
app.command()(translate.translate)
app.command()(transcribe.transcribe)
app.command()(inspect.extract)
app.command()(inspect.chunks)
app.command()(inspect.stats)
app.command()(up.up)
app.command()(doctor.doctor)
app.command()(clean.clean)
app.command()(bench.bench)
app.add_typer(models.app, name="models")
app.add_typer(pool.app, name="pool")
app.add_typer(service.app, name="service")


@app.callback(invoke_without_command=True)
def _lectern(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
) -> None:
    if show_version:
        typer.echo(f"lectern {version('lectern')}")
        raise typer.Exit


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
