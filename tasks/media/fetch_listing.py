"""What a playlist lists: the URLs of its videos.

Owns how a video is named that has no page of its own: by the playlist's, and how its site's
extractor knows it behind the `#`. Runs in the process that fetches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote, urldefrag, urljoin

import yt_dlp
from yt_dlp.utils import unsmuggle_url

from tasks.media.fetch_failures import problem
from tasks.media.fetch_request import Answer
from tasks.media.fetch_site import PLAYLISTS, Info, Site
from tasks.naming import is_url

_DEPTH = 2  # of playlists in playlists: a channel's tabs
_MARK = "lectern-entry="
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.I)


@dataclass(frozen=True)
class Entry:
    """Something in a playlist, as yt-dlp names it.

    Attributes:
        url: or another name that the extractor `key` knows: kaltura:1:2, or a bare number.
        page: the list that it is in.
    """

    url: str
    key: str | None = None
    page: str = ""

    @property
    def address(self) -> str:
        """A URL for it, which `entry_of` understands."""
        if is_url(self.url):
            return self.url
        return f"{urldefrag(self.page)[0]}#{_MARK}{self.key or ''}/{quote(self.url, safe='')}"


def entry_of(url: str) -> Entry:
    """Return what a URL names."""
    page, fragment = urldefrag(url)
    if not fragment.startswith(_MARK):
        return Entry(url)
    key, _, name = fragment.removeprefix(_MARK).partition("/")
    return Entry(unquote(name), key or None, page)


def list_entries(site: Site) -> Answer:
    """Return the URLs of a playlist's videos, or the request's own."""
    most = site.request.playlist_max
    site.params |= {"playlist_items": f"1:{most + 1}", "ignoreerrors": True}
    listing = _Listing(site)
    found = list(dict.fromkeys(listing.expand(entry_of(site.request.url), _DEPTH)))
    n_beyond = max(0, len(found) + listing.n_unseen - most)
    return Answer(entries=tuple(found[:most]) or (site.request.url,), n_beyond=n_beyond)


class _Listing:
    """One walk through a list and those in it; n_unseen are known of, but were not looked at."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.n_unseen = 0

    def expand(self, entry: Entry, depth: int) -> Iterator[str]:
        if not depth or _is_single(entry):
            yield entry.address
            return
        info = self._site.extract_info(entry.url, download=False, ie_key=entry.key)
        if not info and depth == _DEPTH:
            raise problem("can't be listed")
        if not info or info.get("_type") not in PLAYLISTS:
            yield entry.address
            return
        entries = list(info.get("entries") or [])
        self.n_unseen += max(0, (info.get("playlist_count") or 0) - len(entries))
        for each in filter(None, entries):
            page = str(info.get("webpage_url") or entry.url)
            inner = _entry(each, page if is_url(page) else self._site.request.url)
            if inner and _is_playlist(inner):
                yield from self.expand(inner, depth - 1)
            elif inner:
                yield inner.address


def _entry(info: Info, page: str) -> Entry | None:
    """Return what an entry names: its page, or the file itself where several are on one page."""
    formats = info.get("formats") or [{}]
    # What one extractor tells another behind the # is no part of an address.
    url, _ = unsmuggle_url(str(info.get("url") or formats[-1].get("url") or ""))
    key = info.get("ie_key")
    if not url:
        return None
    is_address = is_url(url) or not (key or _SCHEME.match(url))
    return Entry(urljoin(page, url) if is_address else url, key, page)


def _is_single(entry: Entry) -> bool:
    return _tells(entry) is True


def _is_playlist(entry: Entry) -> bool:
    return entry.key is not None and _tells(entry) is False


def _tells(entry: Entry) -> bool | None:
    """Return what the extractor for an entry says without looking: whether it is of one video."""
    key, url = entry.key, entry.url
    for extractor in yt_dlp.extractor.gen_extractor_classes():
        if (key is None or extractor.ie_key() == key) and extractor.suitable(url):
            single: bool | None = extractor.is_single_video(url)
            return single
    return None
