"""The table of the families in docs/models.md, from the cases that were checked."""

from __future__ import annotations

import json
from pathlib import Path

from support.family_cases import CASES, Case

_HEAD = ("Family", "Prompt", "Told by", "Tokenizer", "Golden prompt", "Ends an answer")
_TALKS = {
    "one_turn": "one turn",
    "with_system": "with system",
    "two_turns": "two turns",
    "talk": "two turns with system",
}


def family_table(material: Path) -> str:
    rows = [_HEAD, ("---",) * len(_HEAD), *(_row(case, material) for case in CASES)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(case: Case, material: Path) -> tuple[str, ...]:
    talks = ", ".join(_TALKS[talk] for talk in case.goldens.prompts(material))
    real = f"real (`ggml-vocab-{case.vocabulary}.gguf`)"
    return (
        case.family,
        f"`{case.form}`" if case.form else f"its file's (`{case.template}.jinja`)",
        _told_by(case),
        case.stands_in or real,
        f"{case.goldens.source}: {talks}",
        ", ".join(_code(end) for end in case.ends),
    )


def _told_by(case: Case) -> str:
    if case.form and case.template:
        return f"`{case.template}` in the place of a template"
    if case.form:
        return "its vocabulary" if case.name == "unknown" else f"the name `{case.name}`"
    return "its template"


def _code(text: str) -> str:
    shown = json.dumps(text, ensure_ascii=False)[1:-1]
    return f"`{shown}`".replace("|", "\\|")
