"""`lectern up`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tasks.settings import settings


class Part(StrEnum):
    """Of what runs."""

    server = "server"
    worker = "worker"


def up(
    port: Annotated[int, typer.Option("--port", help="Of Prefect's server.")] = 4200,
    only: Annotated[
        Part | None,
        typer.Option("--only", metavar="PART", help=f"One part alone: {' or '.join(Part)}."),
    ] = None,
) -> None:
    """Run Prefect's server, a worker and the deployments, until Ctrl-C.

    While it runs, in a second shell and the project's folder:

        prefect deployment run summarize-pdf -p 'sources=["paper.pdf"]'

    `lectern service install` runs the parts apart, from when the machine starts.
    """
    from flows.service.parts import run_server, run_worker
    from flows.up import run_up

    match only:
        case None:
            code = run_up(settings(), port)
        case Part.server:
            code = run_server(settings(), port)
        case Part.worker:
            code = run_worker(settings())
    raise typer.Exit(code)
