"""Whispers in CTranslate2's format from a hub, by tasks.models.hub, which fetches GGUF files too.

Owns which files of a repository they are, and what to say where they can't be had. They lie in the
hub's cache, as those of every program with faster-whisper do: what is there is used, without
asking the hub.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from tasks.errors import ModelError
from tasks.models.files import Progress

NEEDED = ("model.bin", "config.json", "tokenizer.json")  # without the last the hub is asked for it
# The weights last: where they are, everything is.
WANTED = ("config.json", "preprocessor_config.json", "tokenizer.json", "vocabulary.*", "model.bin")


def cached(repo: str) -> Path | None:
    """Return a repository's folder in the hub's cache, where all that is needed is in it.

    The layout is documented: huggingface.co/docs/huggingface_hub/guides/manage-cache.
    """
    from huggingface_hub import constants

    root = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    try:
        snapshot = root / "snapshots" / (root / "refs" / "main").read_text().strip()
    except OSError:
        return None
    return snapshot if all((snapshot / name).is_file() for name in NEEDED) else None


def fetch(name: str, repo: str, here: Sequence[str], progress: Progress | None) -> Path:
    """Return a repository's folder, with its model fetched, or the rest of it.

    Args:
        name: as the user has it; here: models that are on this disk.

    Raises:
        ModelError: no such repository, no model in it, no connection, no room.
    """
    if found := cached(repo):
        return found
    from tasks.models import hub, hub_search

    try:
        files = hub.files_in(repo)
        chosen = [file for wanted in WANTED for file in files if fnmatch(file, wanted)]
        missing = [each for each in NEEDED if each not in chosen]
        if missing:
            problem = f"the repository {repo} holds no Whisper for CTranslate2 (no {missing[0]})"
            raise ModelError(name, problem, f"Look for a converted one{_or_here(here)}")
        paths = [hub.download(repo, file, progress) for file in chosen]
    except hub_search.FAILURES as error:
        told = hub_search.explained(name, repo, error)
        remedy = f"{told.remedy}{_or_here(here)}"
        raise ModelError(name, told.problem, remedy) from error
    return paths[-1].parent


def _or_here(here: Sequence[str]) -> str:
    """Return what else can be done, as the end of a sentence."""
    if here:
        return f". Or set LECTERN_SPEECH_MODEL to one that is on this disk: {', '.join(here)}"
    return ". Or set LECTERN_SPEECH_MODEL to a Whisper's folder; none is on this disk"
