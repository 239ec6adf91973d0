"""Videos and recordings from URLs: what is there already is used, the rest is fetched.

Owns when the network is needed. The fetching is another process's (`tasks.media.fetch_process`),
what is kept is `tasks.media.cache`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tasks.errors import SourceError
from tasks.media.cache import Cache, Kept
from tasks.media.fetch_process import NoMedia, run
from tasks.media.fetch_request import Choice, FetchRequest, choose, language_of_tag
from tasks.naming import file_name
from tasks.records import CaptionsMode, Chapter

if TYPE_CHECKING:
    from tasks.settings import Settings

__all__ = ["CaptionsFile", "Fetched", "NoMedia", "entries", "fetch"]

Progress = Callable[[str, int, int], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptionsFile:
    """Captions as their site has them.

    Attributes:
        language: ISO 639-1 code; "" where the site does not tell.
    """

    path: Path
    language: str
    is_automatic: bool


@dataclass(frozen=True)
class Fetched:
    """What a URL leads to.

    Attributes:
        media: None where captions are used instead.
        content: hex sha256 of the media file; "" without one.
        language: ISO 639-1 code of what is spoken; "" where the site does not tell.
    """

    url: str
    media: Path | None
    content: str
    title: str
    duration_s: float | None
    language: str
    chapters: tuple[Chapter, ...]
    captions: CaptionsFile | None


def fetch(
    url: str,
    settings: Settings,
    *,
    captions: CaptionsMode,
    languages: Sequence[str] = (),
    progress: Progress | None = None,
) -> Fetched:
    """Fetch a video, a recording, or its captions; without the network where all is there.

    Args:
        languages: that are spoken, as the user says, the best first; they count more than the
            site's word.
        progress: called with what is done, and bytes; it may raise, to end it.

    Raises:
        NoMedia: the page is there, but there is nothing to play on it.
        SourceError: it can't be fetched, or must not be.
        StorageError: it can't be kept.
    """
    cache = Cache(settings.home)
    if found := _kept(cache, url, captions, languages):
        return found
    with cache.hold(url, partial(_wait, url, progress)) as lock:
        if found := _kept(cache, url, captions, languages):
            return found
        request = _request("fetch", url, cache.partial(url), settings, captions, languages)
        answer = run(request, settings.home, progress, lock)
        cache.keep(url, answer)
    if found := _kept(cache, url, captions, languages):
        return found
    raise SourceError(url, "is gone as soon as it was fetched", "Run again")


def entries(url: str, settings: Settings, progress: Progress | None = None) -> list[str]:
    """Return the URLs of a playlist's videos, in order; the URL itself for anything else.

    What can't be told by now is told by `fetch`; where the list was seen before, that is returned.

    Args:
        progress: called several times a second; it may raise, to end it.

    Raises:
        StorageError: the list can't be kept.
    """
    cache = Cache(settings.home)
    if cache.load(url):
        return [url]
    try:
        request = _request("entries", url, cache.folder, settings)
        answer = run(request, settings.home, progress)
    except SourceError as error:
        log.info("can't be listed: %s", error)
        return cache.load_list(url) or [url]
    found = list(answer.entries)
    if answer.n_beyond:
        what = f"the first {len(found)} are taken, and {answer.n_beyond} or more are left out"
        log.warning("%s: %s. Raise LECTERN_PLAYLIST_MAX for them.", url, what)
    if found != [url]:
        cache.keep_list(url, found)
    return found


def _kept(cache: Cache, url: str, mode: CaptionsMode, languages: Sequence[str]) -> Fetched | None:
    """Return what is there already; None where some of it is missing, or nothing was to be had."""
    kept = cache.load(url)
    if kept is None:
        return None
    choice = choose(mode, kept.offered, kept.language, languages)
    return _fetched(cache, kept, choice) if choice else None


def _fetched(cache: Cache, kept: Kept, choice: Choice) -> Fetched | None:
    captions = None
    if choice.captions:
        path = cache.captions(kept, choice.captions)
        if path is None:
            return None
        language = language_of_tag(choice.captions.language)
        captions = CaptionsFile(path, language, choice.captions.is_automatic)
    media = cache.media(kept) if choice.media else None
    if choice.media and media is None:
        return None
    return Fetched(
        url=kept.url,
        media=media,
        content=kept.content if media else "",
        title=kept.title,
        duration_s=kept.duration_s,
        language=language_of_tag(kept.language),
        chapters=kept.chapters,
        captions=captions,
    )


def _wait(url: str, progress: Progress | None) -> None:
    if progress:
        progress(f"waiting for another run that fetches {file_name(url)}", 0, 0)


def _request(
    task: Literal["fetch", "entries"],
    url: str,
    folder: Path,
    settings: Settings,
    mode: CaptionsMode = "prefer",
    languages: Sequence[str] = (),
) -> FetchRequest:
    cookies = settings.media_cookies
    if cookies and not cookies.is_file():
        raise SourceError(str(cookies), "does not exist", "Correct LECTERN_MEDIA_COOKIES")
    return FetchRequest(
        task=task,
        url=url,
        folder=str(folder),
        mode=mode,
        languages=list(languages),
        max_mb=settings.media_max_mb,
        max_hours=settings.media_max_hours,
        playlist_max=settings.playlist_max,
        proxy=settings.media_proxy or "",
        cookies=str(cookies or ""),
        js_runtime=settings.media_js_runtime,
        allow_private=settings.allow_private_addresses,
    )
