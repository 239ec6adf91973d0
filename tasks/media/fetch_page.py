"""What is made of a page: one video with its captions or its media.

Owns what is taken from what yt-dlp finds, and what is refused before it is fetched. Runs in the
process that fetches.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import MEDIA_EXTENSIONS

from tasks.errors import SourceError
from tasks.media.captions import MAX_BYTES, read_captions
from tasks.media.containers import HEAD, media_kind
from tasks.media.fetch_failures import explain, no_media, problem, too_large
from tasks.media.fetch_listing import entry_of
from tasks.media.fetch_partial import NAME, Partial
from tasks.media.fetch_request import Answer, CaptionsMade, MediaMade, Offered, choose
from tasks.media.fetch_site import CAPTION_KINDS, Info, Site
from tasks.records import Chapter

_CAPTIONS = ("vtt", "srt", "ttml", "dfxp", "ass", "ssa")  # the best first; then what has no name
_UNREAD = frozenset({"json", "json3", "srv1", "srv2", "srv3"})
_RECOGNISE = "Give --captions prefer to have its speech recognised"
_NAME_LENGTH = 60


def fetch(site: Site, folder: Path) -> Answer:
    """Fetch captions or media into the folder, as the request says."""
    request = site.request
    info = _look(site, needs_formats=request.mode == "ignore")
    site.name = _title(info)[:_NAME_LENGTH]
    offered = _offered(info)
    captions = media = None
    while True:
        choice = choose(request.mode, offered, _language(info), request.languages)
        if choice is None:
            if not _formats(info):
                _look(site, needs_formats=True)  # may know better why
            raise problem("has no captions", _RECOGNISE)
        if choice.captions is None:
            break
        if captions := _try_captions(site, info, choice.captions, folder):
            break
        lost = replace(choice.captions, is_lost=True)
        offered = tuple(lost if each == choice.captions else each for each in offered)
    if choice.media:
        media = _fetch_media(site, info, Partial(folder))
    return _answer(info, offered, captions, media)


def _look(site: Site, *, needs_formats: bool) -> Info:
    entry = entry_of(site.request.url)
    return site.look(entry.url, entry.key, needs_formats=needs_formats)


def _offered(info: Info) -> tuple[Offered, ...]:
    return tuple(
        Offered(
            language=tag, is_automatic=kind == "automatic_captions", is_lost=_best(formats) is None
        )
        for kind in CAPTION_KINDS
        for tag, formats in info[kind].items()
    )


def _best(formats: Sequence[Info]) -> Info | None:
    """Return the best of captions' formats; None where none of them is read."""
    readable = [each for each in formats if each.get("ext") not in _UNREAD]
    order = {extension: n for n, extension in enumerate(_CAPTIONS)}
    return min(readable, key=lambda each: order.get(str(each.get("ext")), len(order)), default=None)


def _try_captions(site: Site, info: Info, offered: Offered, folder: Path) -> CaptionsMade | None:
    """Fetch captions; None where others, or the media, are to be taken for them."""
    try:
        return _fetch_captions(site, info, offered, folder)
    except Exception as error:  # of any kind: a site's downloader may fail in any way
        failure = explain(error, site.request)
        gone = isinstance(error, HTTPError) and error.status in (404, 410)
        if failure.kind == "storage":
            raise
        if site.request.mode == "only" and not gone:
            text = f"its captions ({offered.language or 'of no named language'}): {failure.problem}"
            raise problem(text, failure.remedy) from error
        return None
    finally:
        site.forget_failures()


def _fetch_captions(site: Site, info: Info, offered: Offered, folder: Path) -> CaptionsMade:
    """Fetch captions: a file like any other, a site's `data` or behind a URL."""
    kind = "automatic_captions" if offered.is_automatic else "subtitles"
    best = _best(info[kind][offered.language])
    assert best is not None
    for left in folder.glob("captions.*"):  # a part of others must not be gone on with
        left.unlink()
    path = folder / f"captions.{_suffix(best.get('ext'))}"
    if best.get("data") is not None:
        path.write_text(best["data"], encoding="utf-8", newline="")
    else:
        best = {"http_headers": info.get("http_headers"), **best}
        done, _ = site.dl(str(path), best, subtitle=True)
        if not done:
            raise problem("can't be fetched (nothing came)")
    _read(path)
    return CaptionsMade(file=path.name, offered=offered)


def _read(path: Path) -> None:
    """Find out whether captions are any."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    try:
        read_captions(data, path.name)
    except SourceError as error:
        raise problem(error.problem, error.remedy) from error


def _fetch_media(site: Site, info: Info, partial: Partial) -> MediaMade:
    if not _formats(info):
        info = _look(site, needs_formats=True)  # raises what the first look passed over
    _check(site, info)
    partial.begin(str(info.get("format_id")))
    if not partial.media.exists():
        _download(site, info, partial)
    with partial.media.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
        if not os.fstat(file.fileno()).st_size:
            raise no_media("is empty: the server sent nothing")
    return MediaMade(file=NAME, suffix=f".{_suffix(info.get('ext'))}", content=content)


def _download(site: Site, info: Info, partial: Partial) -> None:
    is_plain = urlsplit(str(info.get("url"))).scheme in ("http", "https") and info.get(
        "protocol"
    ) in ("http", "https", None)
    site.partial, site.fragmented = (partial, None) if is_plain else (None, partial)
    try:
        site.process_ie_result(info, download=True)
    finally:
        site.partial = site.fragmented = None
    if not partial.media.exists():
        raise problem("can't be fetched (nothing came)", "Check the address and the connection")


def _check(site: Site, info: Info) -> None:
    """Refuse, before anything is fetched, what is too long or large, silent, or not played."""
    request = site.request
    if (info.get("duration") or 0) > 3600 * request.max_hours:
        text = f"is longer than {request.max_hours:g} hours"
        raise problem(text, "Raise LECTERN_MEDIA_MAX_HOURS to fetch it")
    if (info.get("filesize") or 0) > request.max_mb * 2**20:
        raise too_large(request.max_mb)
    if all(each.get("acodec") == "none" for each in _formats(info)):
        raise no_media("has no sound")
    if info.get("direct") and "formats" not in info and not _is_played(site, info):
        raise no_media("is not a video or a recording")


def _is_played(site: Site, info: Info) -> bool:
    """Look into a file that its server does not call a video or a recording."""
    response = site.urlopen(Request(info["url"], headers={"Accept-Encoding": "identity"}))
    try:
        return media_kind(response.read(HEAD)) is not None
    finally:
        response.close()


def _formats(info: Info) -> list[Info]:
    return [each for each in info.get("formats") or [info] if each.get("url")]


def _answer(
    info: Info,
    offered: tuple[Offered, ...],
    captions: CaptionsMade | None,
    media: MediaMade | None,
) -> Answer:
    return Answer(
        title=_title(info),
        duration_s=info.get("duration") or None,
        language=_language(info),
        chapters=_chapters(info),
        offered=offered,
        captions=captions,
        media=media,
    )


def _title(info: Info) -> str:
    title = " ".join(str(info.get("title") or "").split())
    is_numbered = info.get("extractor") in ("generic", "html5")  # by yt-dlp, and be it alone
    return title.removesuffix(" (1)") if is_numbered else title


def _language(info: Info) -> str:
    return str(info.get("language") or "")


def _chapters(info: Info) -> tuple[Chapter, ...]:
    """Return the chapters by their starts, one a start; none where none has a title."""
    titles: dict[float, str] = {}
    for each in info.get("chapters") or []:
        title = " ".join(str(each.get("title") or "").split())
        untitled = re.fullmatch(r"<Untitled Chapter \d+>", title)  # yt-dlp's
        start_s = float(each.get("start_time") or 0)
        titles[start_s] = titles.get(start_s) or ("" if untitled else title)
    if not any(titles.values()):
        return ()
    return tuple(Chapter(start_s=start_s, title=titles[start_s]) for start_s in sorted(titles))


def _suffix(extension: object) -> str:
    """Return a file's extension as a name can bear it: it may be a stranger's word."""
    text = str(extension or "").lower()
    known = text in MEDIA_EXTENSIONS.video or text in MEDIA_EXTENSIONS.audio
    return text if known or re.fullmatch(r"[a-z0-9]{1,5}", text) else "bin"
