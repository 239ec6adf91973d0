"""How a source is named: as a uri that is valid text, and as a short name to show.

Owns what counts as a URL, the way from a path to a uri and back, how pages and times are written,
and the links that lead to a time. Touches no file.

A uri is an http(s) URL or an absolute path; a path that is no UTF-8 (file names are bytes) is
a file: URL, so that it can go through JSON, tables and terminals.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from urllib.parse import quote, unquote, unquote_to_bytes, urldefrag, urlsplit, urlunsplit

from tasks.errors import one_line

_URL_SAFE = ":/?#[]@!$&'*+,;=%~"  # what may stand in a URL, without the parentheses
# Sites whose pages begin at a time that the address names: in the query, or behind the #. See
# https://support.google.com/youtube/answer/57741 and https://help.vimeo.com, "Link to a timestamp".
_TIME_IN_QUERY = {
    "youtube.com": "t={}s",
    "youtu.be": "t={}",
    "bilibili.com": "t={}",
    "b23.tv": "t={}",
}
_TIME_IN_FRAGMENT = {"vimeo.com": "t={}s"}
_MEDIA_FRAGMENT = "t={}"  # https://www.w3.org/TR/media-frags/, which browsers follow in media files
_SPAN = re.compile(r"\d+(?::\d\d){1,2}–\d+(?::\d\d){1,2}")


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


def link_at(uri: str, seconds: float) -> str:
    """Return a link to a source that begins to play at a time, as far as its site can."""
    address, second = urlsplit(link(uri)), int(max(0.0, seconds))
    if form := _of_site(_TIME_IN_QUERY, address.hostname):
        others = [each for each in address.query.split("&") if each and not each.startswith("t=")]
        query = "&".join([*others, form.format(second)])
        return urlunsplit(address._replace(query=query))
    form = _of_site(_TIME_IN_FRAGMENT, address.hostname) or _MEDIA_FRAGMENT
    return urlunsplit(address._replace(fragment=form.format(second)))


def _of_site(forms: Mapping[str, str], host: str | None) -> str:
    """Return the form of a site, whichever of its hosts it is."""
    site = ".".join((host or "").split(".")[-2:])
    return forms.get(site, "")


def clock(seconds: float) -> str:
    """Return a time as players show it: 12:34, and over an hour 1:02:03."""
    minutes, second = divmod(int(max(0.0, seconds)), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def span(start_s: float, end_s: float) -> str:
    """Return a stretch of time: 12:30–18:05."""
    return f"{clock(start_s)}–{clock(end_s)}"


def is_span(text: str) -> bool:
    """Tell whether a text is a stretch of time and no more."""
    return _SPAN.fullmatch(text) is not None


def title_of(title: str, uri: str) -> str:
    """Return the title of a source, or its file's name without the ending."""
    return title or PurePath(file_name(uri)).stem


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
