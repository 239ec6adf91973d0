"""`lectern up`."""

from __future__ import annotations

from typing import Annotated

import typer

from tasks.settings import settings


def up(
    port: Annotated[int, typer.Option("--port", help="Of Prefect's server.")] = 4200,
) -> None:
    """Run Prefect's server, a worker and the deployments, until Ctrl-C.

    While it runs, in a second shell and the project's folder:

        prefect deployment run summarize-pdf -p 'sources=["paper.pdf"]'
    """
    from flows.up import run_up

    raise typer.Exit(run_up(settings(), port))
