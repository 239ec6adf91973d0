"""What went wrong at a hub, in one line, with what there is instead: repositories of a similar
name, or what is in the cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from json import JSONDecodeError

import httpx
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is httpx's
    GatedRepoError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from tasks.errors import ModelError
from tasks.models import hub_cache
from tasks.models.nearest import close, listed, nearest

# JSONDecodeError: what answers is no hub, but a proxy or a mirror's front page.
FAILURES = (
    HTTPError,
    httpx.HTTPError,
    httpx.InvalidURL,
    HFValidationError,
    JSONDecodeError,
    OSError,
)
_LONGEST_CAUSE = 300
_SEARCHES = 4  # each takes a request
_FOUND = 20  # repositories of a search, of which the nearest are shown


@contextmanager
def explaining(name: str, repo: str, kind: type[ModelError] = ModelError) -> Iterator[None]:
    """Turn what fails at the hub into one line, with the nearest right names.

    Args:
        kind: of the error.

    Raises:
        ModelError: something failed.
    """
    try:
        yield
    except FAILURES as error:
        told = explained(name, repo, error)
        if isinstance(error, GatedRepoError):
            remedy = told.remedy
        elif isinstance(error, RepositoryNotFoundError | HFValidationError):
            remedy = _instead(repositories_like(repo)) or told.remedy
        else:
            remedy = told.remedy + _here(name)
        raise kind(name, told.problem, remedy) from error


def explained(name: str, repo: str, error: Exception) -> ModelError:
    """Return what an error at the hub means for the user."""
    if isinstance(error, GatedRepoError):
        return ModelError(name, "its owner grants access by request", f"Ask at the page of {repo}")
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return ModelError(name, f"there is no repository {repo}", "Check the spelling")
    if isinstance(error, OfflineModeIsEnabled):
        return ModelError(name, "it is not in the cache, and HF_HUB_OFFLINE is set", "Unset it")
    return ModelError(
        name,
        f"it can't be fetched from {constants.ENDPOINT} ({_cause(error)})",
        "Check the connection and the room on the disk, and run the same again: "
        "it goes on from what is already here",
    )


def _cause(error: Exception) -> str:
    """Return what went wrong; hubs put several lines into it."""
    if isinstance(error, JSONDecodeError):
        return "its answer is not that of a hub"
    return str(error).strip().partition("\n")[0][:_LONGEST_CAUSE] or type(error).__name__


def no_gguf(name: str, repo: str) -> ModelError:
    """Return the error of a repository with no GGUF files, with those that have them."""
    others = [each for each in repositories_like(repo) if each != f"hf:{repo}"]
    remedy = _instead(others) or "Look for its GGUF version"
    return ModelError(name, "the repository holds no GGUF file", remedy)


def repositories_like(repo: str) -> list[str]:
    """Return hf:owner/repo of repositories with GGUF files and a similar name, the nearest first;
    none where the hub can't be searched.

    It searches for names that contain a text: so what may be wrong is left out, the last words of
    the name first.
    """
    words = re.split(r"(?=[-_])", repo.rpartition("/")[2])
    with suppress(*FAILURES):
        for n_words in range(len(words), max(0, len(words) - _SEARCHES), -1):
            text = "".join(words[:n_words])
            found = HfApi().list_models(search=text, filter="gguf", sort="downloads", limit=_FOUND)
            if names := [model.id for model in found]:
                return [f"hf:{each}" for each in nearest(repo, names)]
    return []


def _instead(repositories: list[str]) -> str:
    return f"Similar ones with GGUF files are {listed(repositories)}" if repositories else ""


def _here(name: str) -> str:
    """Return what is in the cache, as the end of a remedy."""
    with suppress(OSError):
        names = [each.name for each in hub_cache.cached_models()]
        if near := close(name, names) or names:
            return f". In the cache there is {listed(near)}"
    return ""
