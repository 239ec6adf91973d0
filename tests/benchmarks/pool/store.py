"""The rounds that are measured, kept as they come, so that a run can go on where it was.

A round is kept when all its peers were measured. It counts as long as nothing has changed that
it depends on: the pool's code and settings, llama.cpp, the machine, the scenario.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from tasks.settings import PROJECT_ROOT

from .machine import describe
from .scenarios import Scenario
from .tuned import Tuned


@dataclass(frozen=True)
class Sample:
    """One peer in one round: its seconds, what else was seen, and who disturbed it."""

    seconds: float
    seen: dict[str, float]
    others: float
    stolen: float
    load: float


@dataclass(frozen=True)
class Round:
    key: str
    number: int
    samples: dict[str, Sample]


def key_of(scenario: Scenario, tuned: Tuned) -> str:
    """Return what a round's results depend on, hashed."""
    digest = sha256(repr((scenario, tuned, describe())).encode())
    for path in [*sorted((PROJECT_ROOT / "tasks" / "pool").glob("*.py"))]:
        digest.update(ast.dump(ast.parse(path.read_bytes())).encode())  # whatever comments say
    return f"{scenario.name} {digest.hexdigest()[:12]}"


class Store:
    """A file of rounds, one JSON line each."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rounds(self, key: str) -> list[Round]:
        """Return what is kept under a key, by the rounds' numbers."""
        return sorted((r for r in self._all() if r.key == key), key=lambda r: r.number)

    def add(self, round_: Round) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(round_)) + "\n")

    def forget(self, keys: Sequence[str]) -> None:
        """Remove all rounds under these keys."""
        kept = [json.dumps(asdict(r)) + "\n" for r in self._all() if r.key not in keys]
        if self._path.exists():
            self._path.write_text("".join(kept))

    def _all(self) -> list[Round]:
        if not self._path.exists():
            return []
        lines = (json.loads(line) for line in self._path.read_text().splitlines())
        return [
            Round(
                line["key"],
                line["number"],
                {name: Sample(**sample) for name, sample in line["samples"].items()},
            )
            for line in lines
        ]
