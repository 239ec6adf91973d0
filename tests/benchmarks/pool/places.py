"""Where the benchmark keeps what it makes: a folder that git ignores, and the documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.settings import PROJECT_ROOT

DOCS = PROJECT_ROOT / "docs" / "benchmarks"


@dataclass(frozen=True)
class Places:
    """The cache: models, programs, rounds, logs and the pool's home in it."""

    cache: Path = PROJECT_ROOT / ".benchmarks"

    @property
    def models(self) -> Path:
        return self.cache / "models"

    @property
    def source(self) -> Path:
        return self.cache / "source"

    @property
    def build(self) -> Path:
        return self.cache / "build"

    @property
    def rounds(self) -> Path:
        return self.cache / "rounds"

    @property
    def home(self) -> Path:
        return self.cache / "home"

    def program(self, name: str) -> Path:
        return self.build / "bin" / name

    def log(self, name: str) -> Path:
        return self.cache / "logs" / f"{name}.log"
