"""What is made of a page: one video with its captions or its media, or a playlist's URLs.

Owns what is taken from what yt-dlp finds, and what is refused before it is fetched. Runs in the
process that fetches.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import yt_dlp
from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import MEDIA_EXTENSIONS

from tasks.media.fetch_failures import no_media, problem, too_large
from tasks.media.fetch_partial import NAME, Partial
from tasks.media.fetch_request import Answer, CaptionsMade, MediaMade, Offered, choose
from tasks.media.fetch_site import PLAYLISTS, Info, Site
from tasks.naming import is_url
from tasks.records import Chapter

_CAPTIONS = ("vtt", "srt", "ttml", "dfxp", "ass", "ssa")  # the best first
_RECOGNISE = "Set LECTERN_CAPTIONS=prefer to have its speech recognised"
_DEPTH = 2  # of playlists in playlists: a channel's tabs
_NAME_LENGTH = 60
_MAGIC = re.compile(  # of files that are played, in their first bytes
    rb"....ftyp|....moov|....mdat|RIFF....(WAVE|AVI )|ID3|\xff[\xe2-\xff]|OggS|fLaC|\x1aE\xdf\xa3"
    rb"|\x47[\s\S]{187}\x47|FLV|#EXTM3U|#!AMR|caff|0&\xb2u|\x00\x00\x01\xba|FORM....AIF",
    re.S,
)


def fetch(site: Site, folder: Path) -> Answer:
    """Fetch captions or media into the folder, as the request says."""
    request = site.request
    info = site.look(needs_formats=request.mode == "ignore")
    site.name = _title(info)[:_NAME_LENGTH]
    offered = _offered(info)
    captions = media = None
    while True:
        choice = choose(request.mode, offered, _language(info), request.languages)
        if choice is None:
            if not _formats(info):
                site.look(needs_formats=True)  # may know better why
            raise problem("has no captions", _RECOGNISE)
        if choice.captions is None:
            break
        if captions := _fetch_captions(site, info, choice.captions, folder):
            break
        offered = tuple(each for each in offered if each != choice.captions)  # a dead link
    if choice.media:
        media = _fetch_media(site, info, Partial(folder))
    return _answer(info, request.url, offered, captions, media)


def list_entries(site: Site) -> Iterator[str]:
    """Yield the URLs of a playlist's videos, or the request's own."""
    site.params |= {"playlist_items": f"1:{site.request.playlist_max}", "ignoreerrors": True}
    found = list(dict.fromkeys(_expand(site, site.request.url, _DEPTH)))
    yield from found[: site.request.playlist_max] or [site.request.url]


def _expand(site: Site, url: str, depth: int, key: str | None = None) -> Iterator[str]:
    if not depth or _is_single(url, key):
        yield url
        return
    info = site.extract_info(url, download=False, ie_key=key)
    if not info and depth == _DEPTH:
        raise problem("can't be listed")
    if not info or info.get("_type") not in PLAYLISTS:
        yield url
        return
    for entry in filter(None, info.get("entries") or []):
        address, inner = _address(entry, info.get("webpage_url") or url), entry.get("ie_key")
        if is_url(address) and _is_playlist(address, inner):
            yield from _expand(site, address, depth - 1, inner)
        elif is_url(address):
            yield address


def _address(entry: Info, page: str) -> str:
    """Return where an entry is: its page, or the file itself where several are on one page."""
    formats = entry.get("formats") or [{}]
    return urljoin(page, str(entry.get("url") or formats[-1].get("url") or ""))


def _is_single(url: str, key: str | None) -> bool:
    return _tells(url, key) is True


def _is_playlist(url: str, key: str | None) -> bool:
    return key is not None and _tells(url, key) is False


def _tells(url: str, key: str | None) -> bool | None:
    """Return what the extractor for a URL says without looking: whether it is of one video."""
    for extractor in yt_dlp.extractor.gen_extractor_classes():
        if (key is None or extractor.ie_key() == key) and extractor.suitable(url):
            single: bool | None = extractor.is_single_video(url)
            return single
    return None


def _offered(info: Info) -> tuple[Offered, ...]:
    people, automatic = info.get("subtitles") or {}, info.get("automatic_captions") or {}
    return (
        *(Offered(language=str(tag)) for tag in people),
        *(Offered(language=str(tag), is_automatic=True) for tag in automatic),
    )


def _fetch_captions(site: Site, info: Info, offered: Offered, folder: Path) -> CaptionsMade | None:
    """Fetch captions; None where their link is dead.

    They are a file like any other: a site's `data`, or behind a URL.
    """
    kind = "automatic_captions" if offered.is_automatic else "subtitles"
    formats = info[kind][offered.language]
    best = next(
        (each for want in _CAPTIONS for each in formats if each.get("ext") == want),
        formats[-1],
    )
    path = folder / f"captions.{_suffix(best.get('ext'))}"
    path.unlink(missing_ok=True)
    if best.get("data") is not None:
        path.write_text(best["data"], encoding="utf-8", newline="")
        return CaptionsMade(file=path.name, offered=offered)
    best = {"http_headers": info.get("http_headers"), **best}
    try:
        done, _ = site.dl(str(path), best, subtitle=True)
    except HTTPError as error:
        if error.status not in (404, 410):
            raise
        done = False
    return CaptionsMade(file=path.name, offered=offered) if done else None


def _fetch_media(site: Site, info: Info, partial: Partial) -> MediaMade:
    if not _formats(info):
        info = site.look(needs_formats=True)  # raises what the first look passed over
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
        return bool(_MAGIC.match(response.read(512)))
    finally:
        response.close()


def _formats(info: Info) -> list[Info]:
    return [each for each in info.get("formats") or [info] if each.get("url")]


def _answer(
    info: Info,
    url: str,
    offered: tuple[Offered, ...],
    captions: CaptionsMade | None,
    media: MediaMade | None,
) -> Answer:
    return Answer(
        title=_title(info),
        duration_s=info.get("duration") or None,
        language=_language(info),
        chapters=tuple(_chapters(info)),
        uploader=str(info.get("uploader") or info.get("channel") or info.get("creator") or ""),
        webpage_url=str(info.get("webpage_url") or url),
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


def _chapters(info: Info) -> Iterator[Chapter]:
    for each in info.get("chapters") or []:
        title = " ".join(str(each.get("title") or "").split())
        untitled = re.fullmatch(r"<Untitled Chapter \d+>", title)  # yt-dlp's
        yield Chapter(start_s=float(each.get("start_time") or 0), title="" if untitled else title)


def _suffix(extension: object) -> str:
    """Return a file's extension as a name can bear it: it may be a stranger's word."""
    text = str(extension or "").lower()
    known = text in MEDIA_EXTENSIONS.video or text in MEDIA_EXTENSIONS.audio
    return text if known or re.fullmatch(r"[a-z0-9]{1,5}", text) else "bin"
