"""What a shell offers behind an option or an argument. Imports late: a tab must not wait."""

from __future__ import annotations

from contextlib import suppress
from glob import escape
from pathlib import Path


def model_names(incomplete: str) -> list[str]:
    """Return names of models.toml, of Ollama's store, and GGUF files, that begin so."""
    from tasks.errors import ModelError
    from tasks.models import ollama
    from tasks.models.registry import read_known
    from tasks.settings import settings

    names = [*map(str, ollama.names())]
    with suppress(ModelError):  # a tab is no place for its mistakes
        names = [*read_known(settings().models / "models.toml"), *names]
    return [name for name in names if name.startswith(incomplete)] + _gguf_files(incomplete)


def _gguf_files(incomplete: str) -> list[str]:
    start = incomplete.rpartition("/")[2]
    before = incomplete.removesuffix(start)
    found = Path(before or ".").expanduser().glob(f"{escape(start)}*")
    return sorted(
        f"{before}{path.name}{'/' if path.is_dir() else ''}"
        for path in found
        if (path.is_dir() or path.suffix.lower() == ".gguf")
        and path.name.startswith(".") == start.startswith(".")
    )
