"""How a source is named: as a uri that is valid text, and as a short name to show.

Owns what counts as a URL, the way from a path to a uri and back, and how pages are listed.
Touches no file.

A uri is an http(s) URL or an absolute path; a path that is no UTF-8 (file names are bytes) is
a file: URL, so that it can go through JSON, tables and terminals.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from urllib.parse import quote, unquote, unquote_to_bytes, urldefrag, urlsplit

from tasks.errors import one_line

_URL_SAFE = ":/?#[]@!$&'*+,;=%~"  # what may stand in a URL, without the parentheses


def is_url(item: str) -> bool:
    """Say whether it has to be fetched."""
    return item.lower().startswith(("http://", "https://"))


def as_uri(item: str, base: Path) -> str:
    """Return the uri of what a user named: a path (relative ones count from `base`) or a URL."""
    if is_url(item):
        return item if _is_text(item) else quote(os.fsencode(item), safe=_URL_SAFE)
    return uri_of(as_path(item, base))


def as_path(item: str, base: Path) -> Path:
    """Return the absolute path that a user named; relative ones count from `base`."""
    path = base / os.path.expanduser(path_of(item))  # noqa: PTH111 - which fails for ~nobody
    return Path(os.path.abspath(path))  # noqa: PTH100 - which keeps a/../b


def uri_of(path: Path) -> str:
    """Return an absolute path as a uri."""
    return str(path) if _is_text(str(path)) else path.as_uri()


def path_of(uri: str) -> Path:
    """Return the path that a uri without http means."""
    if uri.lower().startswith("file://"):
        return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))
    return Path(uri)


def file_name(uri: str) -> str:
    """Return the last part of a uri as text to show, on one line."""
    if is_url(uri):
        address = urlsplit(uri)
        name = unquote(address.path.rstrip("/").rpartition("/")[2], errors="backslashreplace")
        return one_line(name or address.netloc)
    return one_line(os.fsencode(path_of(uri).name).decode(errors="backslashreplace"))


def short_name(uri: str, most: int = 60) -> str:
    """Return a name for one line of a list: its beginning and, for the kind of file, its end."""
    name = file_name(uri)
    half = most // 2
    return name if len(name) <= most else f"{name[: most - half]}…{name[1 - half :]}"


def link(uri: str) -> str:
    """Return a link to a source, safe to stand in Markdown and HTML."""
    if is_url(uri):
        return quote(urldefrag(uri).url, safe=_URL_SAFE)
    return path_of(uri).absolute().as_uri()


def model_name(model: str) -> str:
    """Return what a model is called: by its file's name, where it was named by its path."""
    return PurePath(model).name if PurePath(model).is_absolute() else model


def ranges(numbers: Sequence[int]) -> list[str]:
    """Return numbers as text, rising, runs of them drawn together: 1, 4–6."""
    runs: list[list[int]] = []
    for n in sorted(set(numbers)):
        if runs and runs[-1][-1] == n - 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return [str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
