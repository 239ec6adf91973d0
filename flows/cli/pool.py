"""`lectern pool`: the process that holds the model, by hand."""

from __future__ import annotations

import typer

from tasks.settings import settings

app = typer.Typer(
    help="The process that holds the model, shared by all runs.", no_args_is_help=True
)


@app.command()
def serve() -> None:
    """Run the pool here, in the foreground, until Ctrl-C."""
    from tasks.pool.server import main as serve_pool

    raise typer.Exit(serve_pool())


@app.command()
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


@app.command()
def stop() -> None:
    """Stop the pool. Runs that need it start it again."""
    from tasks.pool.lifecycle import stop_pool

    typer.echo("Stopped." if stop_pool(settings()) else "The pool is not running.")
