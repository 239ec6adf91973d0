"""Fetch GGUF files from a hub that speaks Hugging Face's API (HF_ENDPOINT, HF_HUB_OFFLINE, HF_HOME
are respected, since huggingface_hub does most of the work).

Owns putting files into the hub's cache, whole and checked, so that a download goes on where one
before it stopped. What is in the cache is used as it is, without asking the hub: a model does not
change under a run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url

from tasks.errors import ModelError
from tasks.files import make_folders, put_in_place
from tasks.models import hub_bytes, hub_cache, hub_names, hub_search
from tasks.models.files import Progress
from tasks.models.hub_bytes import patiently
from tasks.models.identity import content_hash

Report = Callable[[int, int], None]

_LOOK_EVERY_S = 1.0
_REPORT_BYTES = 1024 * 1024
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
    return next(iter(_cached_parts(name)), None)


def discard_damaged(name: str, home: Path, progress: Progress | None = None) -> list[str]:
    """Remove from the hub's cache those files of a model that are not what their checksum says,
    and return their names.

    Raises:
        ModelError: the name is none, or a file can't be read or removed.
    """
    damaged = []
    for path in _cached_parts(name):
        blob = path.resolve()  # its name is the hub's checksum
        try:
            if SHA256.fullmatch(blob.name) and content_hash([path], home, progress) != blob.name:
                blob.unlink()
                damaged.append(path.name)
        except OSError as error:
            problem = f"{path.name} can't be read or removed ({error.strerror})"
            raise ModelError(name, problem, "Check the permissions of HF_HOME") from error
    return damaged


def _cached_parts(name: str) -> list[Path]:
    wanted = hub_names.parse(name)
    files = hub_cache.files_of(wanted.repo)
    chosen = hub_names.exactly(files, wanted.wanted)
    return [files[part] for part in chosen[0]] if len(chosen) == 1 else []


def files_meant(name: str) -> tuple[str, list[str]]:
    """Ask the hub for a name's repository, and the files in it, all parts in order.

    Raises:
        ModelError: no such repository or quantization, no connection, no permission.
    """
    wanted = hub_names.parse(name)
    with hub_search.explaining(name, wanted.repo):
        files = files_in(wanted.repo)
    if not any(file.lower().endswith(".gguf") for file in files):
        raise hub_search.no_gguf(name, wanted.repo)
    return wanted.repo, hub_names.only(name, files, wanted.wanted)


def files_in(repo: str) -> list[str]:
    """Ask the hub for a repository's files.

    Raises:
        OSError, httpx.HTTPError and others (hub_search.FAILURES): it can't be asked, or answers
            what no hub does.
    """
    try:
        # Not list_repo_files, which tries for half a minute where there is no connection.
        model = patiently(partial(HfApi().model_info, repo))
        files = [file.rfilename for file in model.siblings or ()]
    except hub_search.NO_ANSWERS as error:
        raise OSError(hub_search.NO_HUB) from error
    if any(".." in file.split("/") or file.startswith("/") for file in files):
        raise OSError("it names files outside of the repository")
    return files


def download(repo: str, file: str, progress: Progress | None) -> Path:
    """Return a file of a repository, fetched into the hub's cache, or the rest of it.

    huggingface_hub throws a part away when its process ends, which for gigabytes over a bad
    line means never. So the bytes are fetched here, and huggingface_hub does the rest: it finds
    the blob in its place.
    """
    url = hf_hub_url(repo, file)
    remote = patiently(partial(get_hf_file_metadata, url))
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
    return Path(patiently(partial(hf_hub_download, repo, file)))


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
    """Append to part until it has size bytes."""
    with part.open("ab") as file:
        if file.tell() > size:  # it is of something else
            file.seek(file.truncate(0))
        for piece in hub_bytes.pieces(url, start := file.tell(), None, size):
            file.write(piece)
            start, before = start + len(piece), start
            if report and (start == size or start // _REPORT_BYTES > before // _REPORT_BYTES):
                report(start, size)


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
