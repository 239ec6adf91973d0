"""Resolve models' names in a process of its own: huggingface_hub reads its settings at import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.hub_server import Hub

from tasks.settings import PROJECT_ROOT

_PROGRAM = """
import json, sys
from tasks.errors import ModelError
from tasks.models.files import identify, resolve
from tasks.settings import Settings
config, header_only = Settings(), sys.argv[1] == "1"
for name in sys.argv[2:]:
    steps = []
    try:
        files = resolve(name, config, lambda *step: steps.append(step), header_only=header_only)
        answer = {"parts": [str(part) for part in files.parts], "header_only": files.header_only}
        answer["identity"] = identify(files, config.home) if files.header_only else ""
    except ModelError as error:
        answer = {"error": str(error)}
    print(json.dumps({**answer, "steps": steps}))
"""


@dataclass(frozen=True)
class Answer:
    """What a name was resolved to, or why not.

    Attributes:
        steps: of the progress, as they were reported.
        identity: where the header alone was fetched.
    """

    steps: list[list[str | int]]
    parts: tuple[str, ...] = ()
    header_only: bool = False
    identity: str = ""
    error: str = ""

    @property
    def content(self) -> list[bytes]:
        assert not self.error
        return [Path(part).read_bytes() for part in self.parts]


class Fetcher:
    """Resolves names at a hub, with a cache and a state of its own."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub = hub
        self.environment = {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(folder / "hf"),
            "LECTERN_HOME": str(folder / "home"),
            "OLLAMA_MODELS": str(folder / "ollama"),
            "PYTHONPATH": str(PROJECT_ROOT),
        }

    def __call__(self, name: str, *, header_only: bool = False, **environment: str) -> Answer:
        return self.all(name, header_only=header_only, **environment)[name]

    def all(self, *names: str, header_only: bool = False, **environment: str) -> dict[str, Answer]:
        """Resolve several names, one after the other."""
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(int(header_only)), *names],
            env={**os.environ, **self.environment, **environment},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        answers = (Answer(**json.loads(line)) for line in done.stdout.splitlines())
        return dict(zip(names, answers, strict=True))
