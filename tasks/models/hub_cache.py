"""The hub's cache on this disk: which models are in it. Asks no hub.

The layout is documented: huggingface.co/docs/huggingface_hub/guides/manage-cache. The cache is
shared with every program that uses the hub, and lies where HF_HOME or HF_HUB_CACHE says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from tasks.models import hub_names


@dataclass(frozen=True)
class CachedModel:
    """A model in the cache.

    Attributes:
        name: hf:owner/repo:quantization.
        parts: its files, in order.
    """

    name: str
    parts: tuple[Path, ...]


def folder_of(repo: str) -> Path:
    """Return where a repository's files lie, whether there are any or not."""
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")


def files_of(repo: str) -> dict[str, Path]:
    """Return a repository's GGUF files that are here, by their names in it. Links to content that
    was removed are not."""
    root = folder_of(repo)
    reference = root / "refs" / "main"
    if not reference.exists():
        return {}
    snapshot = root / "snapshots" / reference.read_text().strip()
    files = (path for path in snapshot.rglob("*.gguf") if path.exists())
    return {path.relative_to(snapshot).as_posix(): path for path in files}


def cached_models() -> Iterator[CachedModel]:
    """Yield all models that are here completely.

    Raises:
        OSError: the cache can't be read.
    """
    for folder in sorted(Path(constants.HF_HUB_CACHE).glob("models--*--*")):
        repo = folder.name.removeprefix("models--").replace("--", "/", 1)
        if not hub_names.is_repository(repo):
            continue
        files = files_of(repo)
        called = hub_names.labels(hub_names.models_in(files).values())
        for label, parts in called.items():
            yield CachedModel(f"hf:{repo}{label}", tuple(files[part] for part in parts))
