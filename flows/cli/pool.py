"""`lectern pool`: the process that holds the model, by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from tasks.settings import settings

app = typer.Typer(
    help="The process that holds the model, shared by all runs.", no_args_is_help=True
)


@app.command()
def serve(
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait while another pool runs, and take its place then.")
    ] = False,
) -> None:
    """Run the pool here, in the foreground, until Ctrl-C or nobody has asked for a while."""
    from tasks.pool.server import main as serve_pool

    raise typer.Exit(serve_pool(wait=wait))


@app.command()
def status() -> None:
    """Say whether the pool runs, where, and what it is doing."""
    from tasks.pool.lifecycle import pool_status

    config = settings()
    if config.pool_url:
        typer.echo(f"LECTERN_POOL_URL is set: runs ask {config.pool_url}, and no pool here.")
    found = pool_status(config)
    if found is None:
        typer.echo("The pool is not running. It starts by itself when a run needs it.")
        raise typer.Exit(1)
    said = [
        f"{found.url} (pid {found.pid}): {found.state}",
        f"model {found.model or 'none yet'}",
        *([f"{len(found.workers)} workers"] if len(found.workers) > 1 else []),
        f"{found.running} running",
        f"{found.waiting} waiting",
        *([f"{found.models} models", f"{found.swaps} swaps"] if found.swaps else []),
    ]
    typer.echo(", ".join(said))
    if found.note:
        typer.echo(found.note)


@app.command()
def stop() -> None:
    """Stop the pool. Runs that need it start it again."""
    from tasks.pool.lifecycle import stop_pool

    typer.echo("Stopped." if stop_pool(settings()) else "The pool is not running.")
