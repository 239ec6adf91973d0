"""yt-dlp, held to what Lectern wants of it.

Owns how yt-dlp is set up, and how it goes on with what broke off. Is imported only by the process
that fetches, once it is guarded.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import yt_dlp
from yt_dlp.networking import Request, Response
from yt_dlp.networking._urllib import UrllibRH
from yt_dlp.networking.exceptions import RequestError, TransportError
from yt_dlp.utils import parse_http_range

from tasks.media.fetch_failures import is_live, is_refused, no_media, problem, too_large
from tasks.media.fetch_partial import NAME, Partial
from tasks.media.fetch_request import FetchRequest

Info = dict[str, Any]  # what yt-dlp's extractors return; see InfoExtractor in its source
Tell = Callable[[str, int, int], None]

# Sound alone where there is such a format; else a small picture with it, for the sound's sake.
_FORMAT = "bestaudio/best[height<=?480]/worst"
CAPTION_KINDS = ("subtitles", "automatic_captions")
PLAYLISTS = ("playlist", "multi_video", "compat_list")
_LIVE = ("is_live", "is_upcoming")
_ATTEMPTS = 3


class _Quiet:
    """Where yt-dlp's messages go: nowhere. What matters comes as an error."""

    def debug(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


@dataclass
class _Failures:
    """How often in a row a download failed, without a byte more than before; and with what."""

    n: int = 0
    n_bytes: int = 0
    last: Exception | None = None


class Site(yt_dlp.YoutubeDL):  # type: ignore[misc]
    """yt-dlp for one request.

    Attributes:
        partial: set while one file comes by plain HTTP; fragmented: while it comes in pieces.
    """

    def __init__(self, request: FetchRequest, tell: Tell) -> None:
        super().__init__(_parameters(request, self._pause))
        self.request = request
        self.partial: Partial | None = None
        self.fragmented: Partial | None = None
        self.name = ""
        self._failures = _Failures()
        self._tell = tell
        self.add_progress_hook(self._on_progress)

    def build_request_director(self, handlers: object, preferences: object = None) -> Any:
        """Use nothing but Python's own HTTP: what is written in C escapes the guard."""
        return super().build_request_director([UrllibRH])

    def urlopen(self, request: Request | str) -> Response:
        """Ask for the rest of the file that was begun, never of another one (If-Range)."""
        try:
            return self._open(request)
        except RequestError as error:
            self._failures.last = error
            raise

    def _open(self, request: Request | str) -> Response:
        partial = self.partial
        if partial is None or not isinstance(request, Request):
            return super().urlopen(request)
        is_rest = bool(parse_http_range(request.headers.get("Range"))[0])
        if is_rest and partial.validator:
            request.headers["If-Range"] = partial.validator
        elif is_rest:  # nothing would tell that it is another file by now
            del request.headers["Range"]
            is_rest = False
        response = super().urlopen(request)
        if is_rest and not partial.matches(_total(response)):
            response.close()
            del request.headers["Range"]
            request.headers.pop("If-Range", None)
            response = super().urlopen(request)
        partial.note_file(response.headers, _total(response))
        return response

    def look(self, url: str, key: str | None, *, needs_formats: bool) -> Info:
        """Return what is known of the one video that a URL, or a name of `key`'s, leads to."""
        self.params["ignore_no_formats_error"] = not needs_formats
        info = self.extract_info(url, download=False, ie_key=key)
        if info and info.get("_type") in PLAYLISTS:
            info = self._only(list(info.get("entries") or []))
        if not info:
            raise no_media()
        assert isinstance(info, dict)
        if info.get("is_live") or info.get("live_status") in _LIVE:
            raise is_live()
        for kind in CAPTION_KINDS:
            info[kind] = _named(info.get(kind) or {})
        return info

    def forget_failures(self) -> None:
        """Begin to count them anew: what comes now is another file."""
        self._failures = _Failures()

    def _only(self, entries: list[Info]) -> Info:
        if not entries:
            raise no_media("is a playlist without anything to play")
        if len(entries) > 1:
            raise problem("is a playlist of several videos", "Name one of them")
        found: Info = self.process_ie_result(entries[0], download=False)
        return found

    def _pause(self, n: int) -> float:
        """Return how many seconds to wait before the next attempt at what failed, or give up.

        yt-dlp would count the attempts at a file of hours, however much each has brought.
        """
        partial, failures = self.partial or self.fragmented, self._failures
        n_bytes = partial.n_bytes if partial else 0
        failures.n = 1 if n_bytes > failures.n_bytes else failures.n + 1
        failures.n_bytes = n_bytes
        if failures.n > _ATTEMPTS or is_refused(failures.last):
            raise TransportError("the connection broke off") from failures.last
        return failures.n - 1.0

    def _on_progress(self, status: Info) -> None:
        done, total = status.get("downloaded_bytes") or 0, status.get("total_bytes") or 0
        if max(done, total) > self.request.max_mb * 2**20:
            if coming := self.partial or self.fragmented:
                coming.clear()  # nobody is to go on with it
            raise too_large(self.request.max_mb)
        if self.fragmented:
            self.fragmented.note_fragments()
        estimate = status.get("total_bytes_estimate") or 0
        self._tell(self.name, int(done), int(total or estimate))


def _parameters(request: FetchRequest, pause: Callable[[int], float]) -> Info:
    """Return yt-dlp's options. No configuration, cache, post-processor or program of its own."""
    return {
        "quiet": True, "noprogress": True, "logger": _Quiet(), "color": "never",
        "cachedir": False, "enable_file_urls": False, "updatetime": False,
        "noplaylist": True, "extract_flat": "in_playlist", "playlist_items": "1:2",
        "outtmpl": {"default": str(Path(request.folder).absolute() / NAME).replace("%", "%%")},
        "format": _FORMAT,
        "continuedl": True, "nopart": False, "overwrites": None,
        "postprocessors": [], "fixup": "never", "hls_prefer_native": True,
        "external_downloader": {"default": "native"},
        "retries": inf, "fragment_retries": inf,  # until `pause` gives up
        "retry_sleep_functions": {"http": pause, "fragment": pause},
        "extractor_retries": 1, "file_access_retries": 0,
        "skip_unavailable_fragments": False,
        "socket_timeout": 20,
        "proxy": request.proxy,  # "": none, whatever the environment says
        "js_runtimes": {} if request.js_runtime == "none" else {request.js_runtime: {}},
        "cookiefile": _cookies(request.cookies),
    }  # fmt: skip


def _named(captions: Mapping[object, list[Info]]) -> dict[str, list[Info]]:
    """Return captions by their tag or label; "" where yt-dlp has None for want of any."""
    named: dict[str, list[Info]] = {}
    for tag, formats in captions.items():
        named.setdefault(str(tag or ""), []).extend(formats)
    return named


def _cookies(path: str) -> io.StringIO | None:
    """Return a copy of the cookies: yt-dlp writes into what it is given."""
    return io.StringIO(Path(path).read_text(errors="replace")) if path else None


def _total(response: Response) -> int:
    """Return how many bytes the whole file has; 0 where the server does not tell."""
    if response.status == 206:
        return parse_http_range(response.headers.get("Content-Range"))[2] or 0
    length = response.headers.get("Content-Length") or ""
    return int(length) if length.isdecimal() else 0
