"""What went wrong at a hub, in one line, with what there is instead: repositories of a similar
name, or what is in the cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from json import JSONDecodeError

import httpx
from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is httpx's
    GatedRepoError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from tasks.errors import ModelError
from tasks.models import hub_cache
from tasks.models.hub_bytes import answer_of, retry_after_s
from tasks.models.nearest import close, listed, nearest

FAILURES = (
    HTTPError,
    httpx.HTTPError,
    httpx.InvalidURL,
    HFValidationError,
    OSError,
    UnicodeEncodeError,
)
# What answers is no hub, but a proxy or a mirror's front page: no JSON, or another.
NO_ANSWERS = (JSONDecodeError, KeyError, TypeError, AttributeError)
NO_HUB = "its answer is not that of a hub"
_BAD_TOKEN = "Invalid credentials in Authorization header"  # as huggingface_hub knows it
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
        remedy = told.remedy
        if _is_missing(error):
            remedy = _instead(repositories_like(repo)) or remedy
        elif not _is_refused(error):
            remedy += _here(name)
        raise kind(name, told.problem, remedy) from error


def explained(name: str, repo: str, error: Exception) -> ModelError:
    """Return what an error at the hub means for the user."""
    if _is_missing(error):
        return ModelError(name, f"there is no repository {repo}", "Check the spelling")
    if _is_refused(error):
        return _refused(name, repo, error)
    if isinstance(error, OfflineModeIsEnabled):
        return ModelError(name, "it is not in the cache, and HF_HUB_OFFLINE is set", "Unset it")
    return ModelError(
        name,
        f"it can't be fetched from {constants.ENDPOINT} ({_cause(error)})",
        "Check the connection and the room on the disk, and run the same again: "
        "it goes on from what is already here",
    )


def _is_missing(error: Exception) -> bool:
    """Tell whether there is no such repository, or none that can be seen from here."""
    if isinstance(error, GatedRepoError):  # it is a RepositoryNotFoundError too
        return False
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return True
    # huggingface_hub tells those alone that have X-Error-Code, or are of an https:// address.
    answer = answer_of(error)
    return (
        answer is not None
        and answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.NOT_FOUND)
        and "/api/models/" in answer.url.path
        and not _is_refused(error)
    )


def _is_refused(error: Exception) -> bool:
    """Tell whether it takes another token."""
    answer = answer_of(error)
    return isinstance(error, GatedRepoError | UnicodeEncodeError) or (
        answer is not None
        and answer.status_code == httpx.codes.UNAUTHORIZED
        and ("/resolve/" in answer.url.path or _message(answer) == _BAD_TOKEN)
    )


def _refused(name: str, repo: str, error: Exception) -> ModelError:
    answer = answer_of(error)
    if answer is None or _message(answer) == _BAD_TOKEN:
        problem = f"{constants.ENDPOINT} knows no such token as yours"
        return ModelError(name, problem, "Correct HF_TOKEN, or unset it and `hf auth logout`")
    remedy = f"Ask at the page of {repo}"
    if get_token() is None:
        remedy += ", and set HF_TOKEN to a token of the account that was let in"
    return ModelError(name, "its owner grants access by request", remedy)


def _cause(error: Exception) -> str:
    """Return what went wrong; hubs put several lines into it."""
    answer = answer_of(error)
    if answer is None:
        cause = str(error) or type(error).__name__
    else:
        cause = f"it answers {answer.status_code} {answer.reason_phrase} {_message(answer)}"
        if (wait_s := retry_after_s(answer)) is not None:
            cause = f"{cause.strip()}, try again in {wait_s:.0f} s"
    return cause.strip().partition("\n")[0][:_LONGEST_CAUSE]


def _message(answer: httpx.Response) -> str:
    return str(answer.headers.get("X-Error-Message", ""))


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
    with suppress(*FAILURES, *NO_ANSWERS):
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
