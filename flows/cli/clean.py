"""`lectern clean`."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flows.clean.items import Kind
from tasks.errors import PipelineError
from tasks.settings import Settings, settings

if TYPE_CHECKING:
    from flows.clean.removal import Found

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}


def clean(
    kinds: Annotated[
        list[Kind] | None,
        typer.Argument(metavar="[KIND]...", show_default=False, help=", ".join(Kind)),
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="Such as 12h, 30d, 8w, 1y.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would go, and remove nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The table as one JSON object; without kinds.")
    ] = False,
) -> None:
    """Show what takes room, or remove it by kind and age.

    Without a kind, a table of all. With kinds, everything of theirs is listed, and removed after
    a question. Files that are not Lectern's stay, links are not followed, and what a run, the pool
    or `lectern up` uses is refused. Ages count from when something was written; of models and the
    cache, from when it was last used; of runs in Prefect's history, from their end (an hour at
    least). A document goes with its row; its answers stay in the ledger (generations), from which
    it is made again without asking the model.

        lectern clean
        lectern clean logs cache history --older-than 30d --dry-run
    """
    from flows.clean.removal import find

    age_s = seconds(older_than)
    config = settings()
    if kinds:
        _remove(config, find(config, dict.fromkeys(kinds), age_s), age_s, dry_run, yes)
        return
    found = find(config, list(Kind), age_s)
    _print_json(config, found) if as_json else _print_table(config, found)


def seconds(age: str | None) -> float:
    """Return an age in seconds.

    Raises:
        PipelineError: it is none.
    """
    match = re.fullmatch(r"(\d+)([mhdwy])", age) if age is not None else None
    if age is not None and match is None:
        raise PipelineError(age, "this is no age", "Write a number and m, h, d, w or y, as in 30d")
    return float(match[1]) * _UNITS[match[2]] if match else 0.0


def _remove(config: Settings, found: Found, age_s: float, dry_run: bool, yes: bool) -> None:
    from flows.clean.kinds import KINDS
    from flows.clean.removal import remove
    from flows.doctor.findings import size

    for kind, items in found.items():
        for each in items:
            _list(f"{each.name}  {size(each.n_bytes)}" if each.files else each.name)
            for path in [*(file.path for file in each.files), *each.links]:
                if str(path) != each.name:
                    _list(f"  {path}")
        if items and KINDS[kind].loss:
            typer.echo(f"{kind}: {KINDS[kind].loss}", err=True)
    n_items = sum(map(len, found.values()))
    total = f"{n_items} things, {size(_bytes(found))}"
    if not n_items:
        typer.echo("There is nothing of that kind and age.")
    elif dry_run:
        typer.echo(f"Would remove {total}.")
    elif not yes and not typer.confirm(f"Remove {total}?"):
        typer.echo("Nothing was removed.")
        raise typer.Exit(1)
    else:
        removed = remove(config, found, age_s)
        typer.echo(f"Removed {removed.n_items} things, {size(removed.n_bytes)}.")
        for problem in removed.problems:
            typer.echo(f"lectern: {problem}", err=True)
        raise typer.Exit(1 if removed.problems else 0)


def _print_table(config: Settings, found: Found) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from flows.clean.kinds import KINDS
    from flows.doctor.findings import size

    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in ("kind", "things", "size", "oldest", "what it is", "what is lost with it"):
        table.add_column(title, justify="right" if title in ("things", "size") else "left")
    for kind, items in found.items():
        oldest = min((each.moment for each in items), default=None)
        days = f"{(time.time() - oldest) / 86400:.0f} d" if oldest else ""
        n_bytes = _kind_bytes(config, kind, found)
        table.add_row(kind, str(len(items)), size(n_bytes), days, KINDS[kind].what,
                      KINDS[kind].loss or "nothing")  # fmt: skip
    Console(highlight=False).print(table)
    typer.echo("Remove with: lectern clean KIND... --older-than 30d --dry-run")


def _print_json(config: Settings, found: Found) -> None:
    from flows.clean.kinds import KINDS

    rows = {
        kind: {
            "things": len(items),
            "bytes": _kind_bytes(config, kind, found),
            "oldest": min((_when(each.moment) for each in items), default=None),
            "what": KINDS[kind].what,
            "loss": KINDS[kind].loss,
        }
        for kind, items in found.items()
    }
    typer.echo(json.dumps(rows, ensure_ascii=False))


def _kind_bytes(config: Settings, kind: Kind, found: Found) -> int:
    """Return the size of a kind: of the history, that of the database, whatever is in it."""
    from flows.clean.history import database_bytes

    if kind is Kind.history:
        return database_bytes(config)
    return _bytes({kind: found[kind]})


def _bytes(found: Found) -> int:
    return sum(each.n_bytes for items in found.values() for each in items)


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")


def _list(text: str) -> None:
    typer.echo("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))
