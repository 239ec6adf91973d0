"""`lectern doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.doctor.findings import Finding

_COLOURS = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "failed": typer.colors.RED}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Look at all that Lectern needs: what is there, what is missing, and what mends it.

    Each line begins with ✓ (as it should be), ! (worth a look; Lectern works) or ✗ (broken), and
    is followed, where something is to be done, by the command that does it. Nothing is changed
    and nothing is fetched.

    Exit status: 0 if all that is needed works, 1 if something is broken.
    """
    from flows.doctor.examination import examine
    from flows.doctor.findings import Mark

    found = examine()
    broken = sum(each.mark is Mark.failed for area in found.values() for each in area)
    if as_json:
        areas = {area: [_as_dict(each) for each in lines] for area, lines in found.items()}
        typer.echo(json.dumps({"ok": not broken, "areas": areas}, ensure_ascii=False))
    else:
        _show(found)
        typer.echo(f"\n{_sum(found, broken)}")
    raise typer.Exit(1 if broken else 0)


def _show(found: Mapping[str, Sequence[Finding]]) -> None:
    for area, lines in found.items():
        typer.secho(area, bold=True)
        for each in lines:
            typer.secho(f"  {each.mark} ", fg=_COLOURS[each.mark.name], nl=False)
            typer.echo(f"{_one_line(each.subject)}: {_one_line(each.found)}")
            if each.mend:
                typer.secho(f"    {_one_line(each.mend)}", fg=typer.colors.CYAN)


def _sum(found: Mapping[str, Sequence[Finding]], broken: int) -> str:
    looks = sum(each.mark.name == "warning" for area in found.values() for each in area)
    broke = f"{broken} broken" if broken else "All that is needed works"
    return f"{broke}; {looks} worth a look." if looks else f"{broke}."


def _as_dict(finding: Finding) -> dict[str, str]:
    return {**asdict(finding), "mark": finding.mark.name}


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
