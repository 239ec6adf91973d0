"""The headers of models on a hub, without the weights: what a model needs and how it tokenizes is
known before 40 GB are fetched.

Owns fetching the beginnings of files, and the files in home/cache/headers that stand for them: as
long as the real ones, with a hole where the weights are, so that llama.cpp loads them where it
reads no weights (vocab_only, no_alloc). A header that is there is used as it is, without asking
the hub, as the hub's cache is.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath

from huggingface_hub import get_hf_file_metadata, hf_hub_url

from tasks.errors import ModelError
from tasks.files import make_folder, put_in_place, state_errors, write_private
from tasks.locks import acquire
from tasks.models import hub_search
from tasks.models.files import Progress
from tasks.models.header_bytes import header_end
from tasks.models.hub import SHA256, Report, files_meant
from tasks.models.hub_bytes import patiently, pieces
from tasks.settings import Settings

MIB = 1 << 20
# Of the first part; vocabularies of 32,000 to 260,000 tokens take 1 to 16 MB. The others hold no
# more than their tensors' entries, some 80 bytes each.
_FIRST_BYTES, _OTHER_BYTES = 4 * MIB, MIB // 4
_MOST_BYTES = 512 * MIB


class HeaderError(ModelError):
    """The hub has the model, and does not give its header alone."""


@dataclass(frozen=True)
class RemoteHeader:
    """A model of which the header is here.

    Attributes:
        parts: absolute paths, in order, each as long as the real file.
        identity: of one file the sha256 of its content, as identify() has it once it is here, if
            the hub tells it; else "header-" and a hash, which tells that it is of the header.
        n_bytes: of all parts, the weights included.
    """

    parts: tuple[Path, ...]
    identity: str
    n_bytes: int


@dataclass(frozen=True)
class _RemoteFile:
    """A file on the hub.

    Attributes:
        etag: of large files the sha256 of the content.
    """

    name: str
    url: str
    etag: str
    size: int


def fetch_header(name: str, settings: Settings, progress: Progress | None = None) -> RemoteHeader:
    """Return the header of hf:owner/repo:quantization, fetched before or now.

    Raises:
        HeaderError: there is such a model, but its header can't be fetched.
        ModelError: no such model, no connection, no permission; or it is no GGUF.
    """
    folder = make_folder(settings.home / "cache" / "headers")
    memory = folder / f"{sha256(name.encode()).hexdigest()}.json"
    with acquire(memory.with_suffix(".lock"), "another run, which reads the same header"):
        if (found := _remembered(memory)) is not None:
            return found
        repo, files = files_meant(name)
        with hub_search.explaining(name, repo, HeaderError):
            remote = [_remote_file(repo, file) for file in files]
            header = _fetch(remote, folder, name, progress)
        write_private(memory, _encoded(header))
    return header


def _remote_file(repo: str, file: str) -> _RemoteFile:
    url = hf_hub_url(repo, file)
    remote = patiently(partial(get_hf_file_metadata, url))
    if not remote.size or not remote.etag:
        raise OSError(f"the hub does not tell the size of {file}")
    return _RemoteFile(PurePosixPath(file).name, url, remote.etag, remote.size)


def _fetch(
    files: Sequence[_RemoteFile], folder: Path, name: str, progress: Progress | None
) -> RemoteHeader:
    identity = _identity(files)
    parts = []
    own = make_folder(folder / identity)
    for file, first_bytes in zip(files, (_FIRST_BYTES, *[_OTHER_BYTES] * len(files)), strict=False):
        report = partial(progress, f"fetching the header of {file.name}") if progress else None
        data = _beginning(file, first_bytes, name, report)
        parts.append(_write_sparse(own / file.name, data, file.size))
    return RemoteHeader(tuple(parts), identity, sum(file.size for file in files))


def _identity(files: Sequence[_RemoteFile]) -> str:
    etags = [file.etag for file in files]
    if len(etags) == 1 and SHA256.fullmatch(etags[0]):
        return etags[0]
    return f"header-{sha256(' '.join(etags).encode()).hexdigest()}"


def _beginning(file: _RemoteFile, first_bytes: int, name: str, report: Report | None) -> bytes:
    """Return a file's header, fetched in ever larger pieces until it is complete.

    Raises:
        ModelError: it is no GGUF, or its header comes to no end.
        OSError, httpx.HTTPError: the hub does not give it.
    """
    data, wanted = b"", first_bytes
    while (end := header_end(data, name)) is None:
        if len(data) >= min(file.size, _MOST_BYTES):
            problem = f"the header of {file.name} comes to no end"
            raise ModelError(name, problem, "Choose another file")
        stop = min(wanted, file.size)
        data += b"".join(pieces(file.url, len(data), stop, file.size))
        if report:
            report(len(data), stop)
        wanted = 2 * len(data)
    return data[:end]


def _write_sparse(path: Path, data: bytes, size: int) -> Path:
    """Write a file that begins with data and is size bytes long, the rest of it a hole."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    with state_errors(path, "Make room for it, or make its folder writable"):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.truncate(size)
            put_in_place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def _encoded(header: RemoteHeader) -> str:
    parts = [str(part) for part in header.parts]
    return json.dumps({"parts": parts, "identity": header.identity, "n_bytes": header.n_bytes})


def _remembered(memory: Path) -> RemoteHeader | None:
    """Return what was fetched before, where all of it is still there."""
    with suppress(FileNotFoundError, json.JSONDecodeError):
        fields = json.loads(memory.read_bytes())
        parts = tuple(map(Path, fields["parts"]))
        header = RemoteHeader(parts, fields["identity"], fields["n_bytes"])
        if sum(part.stat().st_size for part in parts) == header.n_bytes:
            return header
    return None
