"""`lectern service`: schedules that survive a reboot."""

from __future__ import annotations

from typing import Annotated

import typer

from tasks.settings import settings

app = typer.Typer(
    help="Run server, worker and pool from when the machine starts, as systemd user units.",
    no_args_is_help=True,
)


@app.command()
def install(
    port: Annotated[int, typer.Option("--port", help="Of Prefect's server.")] = 4200,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the units, write nothing.")
    ] = False,
) -> None:
    """Write the units, enable and start them: schedules then survive a reboot.

    There are three, in ~/.config/systemd/user: lectern-server (Prefect's server), lectern-worker
    (the worker, which also deploys deployments/prefect.yaml) and lectern-pool (the process that
    holds the model while it is used). They are what `lectern up` runs, so stop that first. Settings
    come from lectern.toml, and from this shell's LECTERN_* and the like, which are written into
    the units. After a change of these, or of Lectern, give the command again.

    No root is needed, but for running without a login: loginctl enable-linger.
    """
    from flows.service.install import advice, planned
    from flows.service.install import install as install_units

    if dry_run:
        for path, text in planned(settings(), port):
            typer.echo(f"# {path}\n{text}")
        return
    install_units(settings(), port, typer.echo)
    typer.echo("\n".join(advice()))


@app.command()
def uninstall() -> None:
    """Stop, disable and remove the units. Results, history and schedules stay."""
    from flows.service.install import uninstall as uninstall_units

    if not uninstall_units(typer.echo):
        typer.echo("There is nothing to remove: the service is not installed.")


@app.command()
def status() -> None:
    """Say how the units are, and where to look. Exit status: 0 if all of them run, else 1."""
    from flows.service.install import advice, unit_states

    found = unit_states()
    if not found:
        typer.echo("The service is not installed: `lectern service install` does it.")
        raise typer.Exit(1)
    for each in found:
        pid = f", pid {each.pid}" if each.pid else ""
        again = f", started again {each.restarts} times" if each.restarts else ""
        typer.echo(f"{each.unit}: {each.active}, {each.enabled}{pid}{again}")
    typer.echo("\n".join(advice()))
    raise typer.Exit(0 if all(each.works for each in found) else 1)
