"""Fetch GGUF files from a hub that speaks Hugging Face's API (HF_ENDPOINT, HF_HUB_OFFLINE, HF_HOME
are respected, since huggingface_hub does most of the work).

Owns fetching the bytes so that a broken download goes on where it stopped. What is in the cache is
used as it is, without asking the hub: a model does not change under a run.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import httpx
from filelock import FileLock, Timeout
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from tasks.files import make_folders, put_in_place
from tasks.models import hub_cache, hub_names, hub_search
from tasks.models.files import Progress

Report = Callable[[int, int], None]

log = logging.getLogger(__name__)

TRIES = 5
_LOOK_EVERY_S = 1.0
CHUNK = 1024 * 1024
SHA256 = re.compile(r"[0-9a-f]{64}")
_ETAG = re.compile(r"[\w-]+")  # it becomes a file's name


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Return the (first) file of hf:owner/repo:quantization or hf:owner/repo/file.gguf.

    Raises:
        ModelError: no such repository or quantization, no connection, no permission, no room.
    """
    if found := cached(name):
        return found
    repo, files = files_meant(name)
    with hub_search.explaining(name, repo):
        paths = [download(repo, file, progress) for file in files]
    return paths[0]


def cached(name: str) -> Path | None:
    """Return the (first) file of a name if it is in the hub's cache, without asking the hub.

    Only where the name says exactly that: what else it may mean the hub must tell.

    Raises:
        ModelError: the name is none.
    """
    wanted = hub_names.parse(name)
    files = hub_cache.files_of(wanted.repo)
    chosen = hub_names.exactly(files, wanted.wanted)
    return files[chosen[0][0]] if len(chosen) == 1 else None


def files_meant(name: str) -> tuple[str, list[str]]:
    """Ask the hub for a name's repository, and the files in it, all parts in order.

    Raises:
        ModelError: no such repository or quantization, no connection, no permission.
    """
    wanted = hub_names.parse(name)
    with hub_search.explaining(name, wanted.repo):
        # Not list_repo_files, which tries for half a minute where there is no connection.
        files = [file.rfilename for file in HfApi().model_info(wanted.repo).siblings or ()]
        if any(".." in file.split("/") or file.startswith("/") for file in files):
            raise OSError("it names files outside of the repository")
    if not any(file.lower().endswith(".gguf") for file in files):
        raise hub_search.no_gguf(name, wanted.repo)
    return wanted.repo, hub_names.only(name, files, wanted.wanted)


def download(repo: str, file: str, progress: Progress | None) -> Path:
    """Return a file of a repository, fetched into the hub's cache, or the rest of it.

    huggingface_hub throws a part away when its process ends, which for gigabytes over a bad
    line means never. So the bytes are fetched here, and huggingface_hub does the rest: it finds
    the blob in its place.
    """
    url = hf_hub_url(repo, file)
    remote = get_hf_file_metadata(url)
    if remote.etag and not _ETAG.fullmatch(remote.etag):
        raise OSError("it gives a checksum that is none")
    if remote.etag and remote.size:
        blob = hub_cache.folder_of(repo) / "blobs" / remote.etag
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
    if not SHA256.fullmatch(etag):
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
