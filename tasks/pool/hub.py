"""Fetch GGUF files from a hub that speaks Hugging Face's API (HF_ENDPOINT, HF_HUB_OFFLINE, HF_HOME
are respected, since huggingface_hub does most of the work).

Owns choosing the files that a name means, fetching the bytes so that a broken download goes on
where it stopped, and the wording of what can go wrong. What is in the
cache is used as it is, without asking the hub: a model does not change under a run.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import httpx
from filelock import FileLock, Timeout
from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
)
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is httpx's
    GatedRepoError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from tasks.errors import ModelError
from tasks.files import make_folders, put_in_place
from tasks.pool.models import Progress

Report = Callable[[int, int], None]

log = logging.getLogger(__name__)

TRIES = 5
_LOOK_EVERY_S = 1.0
CHUNK = 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"hf:(?P<repo>[^/:]+/[^/:]+)(?:[:/](?P<wanted>.+))?")
_PART = re.compile(r"-(?P<n>\d{5})-of-(?P<total>\d{5})(?=\.gguf$)", re.IGNORECASE)
_QUANTIZATION = re.compile(
    r"(?<![a-z0-9])((?:UD-)?(?:I?Q|TQ)\d_?[a-z0-9_]*|BF16|F16|F32|FP16|MXFP4\w*)(?=[-./])", re.I
)


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Return the (first) file of hf:owner/repo:quantization or hf:owner/repo/file.gguf.

    Raises:
        ModelError: no such repository or quantization, no connection, no permission, no room.
    """
    if found := cached(name):
        return found
    repo, wanted = _repository(name)
    try:
        files = _only(name, HfApi().list_repo_files(repo), wanted)
        paths = [download(repo, file, progress) for file in files]
    except (HTTPError, httpx.HTTPError, HFValidationError, OSError) as error:
        raise explained(name, repo, error) from error
    return paths[0]


def cached(name: str) -> Path | None:
    """Return the (first) file of a name if it is in the hub's cache, without asking the hub.

    Raises:
        ModelError: the name is none.
    """
    repo, wanted = _repository(name)
    files = _cached(repo)
    chosen = choose(files, wanted)
    return files[chosen[0][0]] if len(chosen) == 1 else None


def choose(files: Iterable[str], wanted: str) -> list[list[str]]:
    """Return the models among a repository's files that a quantization (or a file's name) means.

    Each is the list of its parts, complete and in order. A whole word counts before a part of
    one: Q4_K means Q4_K, and Q4_K_M only where there is no Q4_K.
    """
    models = _models(files)
    if wanted.lower().endswith(".gguf"):
        return [parts for parts in models.values() if wanted in parts]
    word = re.compile(rf"(?<![a-z0-9]){re.escape(wanted)}(?![a-z0-9_])", re.IGNORECASE)
    whole = [parts for stem, parts in models.items() if word.search(stem)]
    if whole or not wanted:
        return whole if wanted else list(models.values())
    return [parts for stem, parts in models.items() if wanted.lower() in stem.lower()]


def _repository(name: str) -> tuple[str, str]:
    """Return a name's repository, and what of it is wanted."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ModelError(name, "this is no model name", "Write hf:owner/repo:quantization")
    return match["repo"], match["wanted"] or ""


def _models(files: Iterable[str]) -> dict[str, list[str]]:
    """Group the parts of split files; leave out incomplete ones and projectors for images."""
    groups: dict[str, list[str]] = defaultdict(list)
    for file in sorted(files):
        if file.lower().endswith(".gguf") and "mmproj" not in file.lower():
            groups[_PART.sub("", file)].append(file)
    return {stem: parts for stem, parts in groups.items() if len(parts) == _total(parts[0])}


def _total(part: str) -> int:
    match = _PART.search(part)
    return int(match["total"]) if match else 1


def _only(name: str, files: Sequence[str], wanted: str) -> list[str]:
    """Return the one model meant, or say what there is to choose from."""
    chosen = choose(files, wanted)
    if len(chosen) == 1:
        return chosen[0]
    models = choose(files, "")
    if not models:
        raise ModelError(name, "the repository holds no GGUF file", "Look for its GGUF version")
    found = {
        match[1] if (match := _QUANTIZATION.search(parts[0])) else parts[0] for parts in models
    }
    problem = "several files match" if len(chosen) > 1 else "there is no such quantization"
    raise ModelError(
        name,
        problem if wanted else "which quantization is not said",
        f"Write hf:owner/repo:quantization with one of {', '.join(sorted(found))}",
    )


def _cached(repo: str) -> dict[str, Path]:
    """Return a repository's GGUF files that are in the hub's cache, by their names in it.

    The layout is documented: huggingface.co/docs/huggingface_hub/guides/manage-cache.
    """
    root = _folder(repo)
    reference = root / "refs" / "main"
    if not reference.exists():
        return {}
    snapshot = root / "snapshots" / reference.read_text().strip()
    return {path.relative_to(snapshot).as_posix(): path for path in snapshot.rglob("*.gguf")}


def _folder(repo: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")


def download(repo: str, file: str, progress: Progress | None) -> Path:
    """Return a file of a repository, fetched into the hub's cache, or the rest of it.

    huggingface_hub throws a part away when its process ends, which for gigabytes over a bad
    line means never. So the bytes are fetched here, and huggingface_hub does the rest: it finds
    the blob in its place.
    """
    url = hf_hub_url(repo, file)
    remote = get_hf_file_metadata(url)
    if remote.etag and remote.size:
        blob = _folder(repo) / "blobs" / remote.etag
        make_folders(blob.parent)
        part = blob.with_name(f"{remote.etag}.part")
        report = partial(progress, f"fetching {file}") if progress else None
        with alone_with(part, remote.size, report):
            if not blob.exists():
                _fetch_rest(url, part, remote.size, report)
                _check(part, remote.etag)
                put_in_place(part, blob)
    return Path(hf_hub_download(repo, file))


@contextmanager
def alone_with(part: Path, size: int, report: Report | None) -> Iterator[None]:
    """Keep others from a part; while another fetches it, report how far that one is."""
    lock = FileLock(f"{part}.lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_LOOK_EVERY_S)
        except Timeout:
            with suppress(FileNotFoundError):  # it is not begun, or just finished
                n_bytes = part.stat().st_size
                if report:
                    report(n_bytes, size)
    try:
        yield
    finally:
        lock.release()


def _fetch_rest(url: str, part: Path, size: int, report: Report | None) -> None:
    """Append to part until it has size bytes, or TRIES in a row bring nothing."""
    tries_left = TRIES
    with part.open("ab") as file:
        while (start := file.tell()) < size:
            try:
                for _ in _append(url, file):
                    if report:
                        report(file.tell(), size)
            except httpx.TransportError as error:
                log.warning("fetching %s: %s; going on from byte %d", url, error, file.tell())
            tries_left = TRIES if file.tell() > start else tries_left - 1
            if tries_left == 0:
                raise OSError(f"the connection broke {TRIES} times")
            if file.tell() < size:
                time.sleep(1)
        if file.tell() > size:
            file.truncate(0)
            raise OSError(f"more came than the {size:,} bytes promised")


def _check(part: Path, etag: str) -> None:
    """Throw away what is not what the hub has: a power cut may have torn the part that was there.

    Large files' etag is the sha256 of their content; others are not checked.
    """
    if not _SHA256.fullmatch(etag):
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != etag:
        part.unlink()
        raise OSError("what came is damaged and was thrown away")


def _append(url: str, file: BinaryIO) -> Iterator[None]:
    """Write what is missing to the end of file; yield after each piece."""
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    headers["Range"] = f"bytes={file.tell()}-"
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=30) as answer:
        answer.raise_for_status()
        if answer.status_code != httpx.codes.PARTIAL_CONTENT:  # it sends the whole
            file.truncate(0)
        for piece in answer.iter_bytes(CHUNK):
            file.write(piece)
            yield


def explained(name: str, repo: str, error: Exception) -> ModelError:
    if isinstance(error, GatedRepoError):
        return ModelError(name, "its owner grants access by request", f"Ask at the page of {repo}")
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return ModelError(name, f"there is no repository {repo}", "Check the spelling")
    if isinstance(error, OfflineModeIsEnabled):
        return ModelError(name, "it is not in the cache, and HF_HUB_OFFLINE is set", "Unset it")
    return ModelError(
        name,
        f"it can't be fetched from {constants.ENDPOINT} ({error})",
        "Check the connection and the room on the disk, and run the same again: "
        "it goes on from what is already here",
    )
