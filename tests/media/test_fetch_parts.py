"""What fetching decides without a network: which captions, what an error means, what is kept."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import (
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    UnsupportedError,
    UserNotLive,
)

from tasks.errors import SourceError
from tasks.media.cache import Cache, tidy
from tasks.media.fetch_failures import explain
from tasks.media.fetch_listing import Entry, _entry, entry_of
from tasks.media.fetch_page import _chapters
from tasks.media.fetch_partial import Partial
from tasks.media.fetch_process import _Patience
from tasks.media.fetch_request import Answer, Choice, FetchRequest, MediaMade, Offered, Told, choose
from tasks.records import CaptionsMode, Chapter

REQUEST = FetchRequest(
    task="fetch", url="https://x.example/", folder="", max_mb=9, max_hours=1, playlist_max=1
)


@pytest.mark.parametrize(
    ("mode", "people", "automatic", "language", "languages", "expected"),
    [
        ("prefer", ["en", "de"], [], "de", [], "de"),
        ("prefer", ["en", "de-CH"], [], "de", [], "de-CH"),
        ("prefer", ["en", "deu"], [], "de-DE", [], "deu"),
        ("prefer", ["fr", "en", "de"], [], "", ["de", "en"], "de"),
        ("prefer", ["fr", "en"], [], "zh", [], "media"),
        ("prefer", ["ar", "en"], [], "", [], "en"),
        ("prefer", ["ar", "fr"], [], "", [], "media"),
        ("prefer", ["de-CH", "de"], [], "", [], "de-CH"),
        ("prefer", ["fr"], [], "", [], "fr"),
        ("prefer", ["fr"], [], "en", [], "media"),
        ("prefer", ["fr"], [], "fr", ["en"], "media"),
        ("prefer", ["en-US", "fr"], [], "fr", ["en"], "en-US"),
        ("prefer", ["fr"], ["fr", "en-orig"], "", [], "media"),
        ("prefer", ["fr", "en-nP7-2PuUl7o"], ["en-orig"], "und", [], "en-nP7-2PuUl7o"),
        ("prefer", ["English (US)", "Deutsch"], [], "en", [], "English (US)"),
        ("prefer", ["Deutsch", "Español"], [], "", [], "media"),
        ("prefer", ["fr", ""], [], "en", [], ""),
        ("prefer", ["ar", "en lost"], [], "", [], "media"),
        ("prefer", ["en lost", "en-GB"], [], "", [], "en-GB"),
        ("only", ["en lost", "ar"], [], "en", [], "ar"),
        ("prefer", ["live_chat", "en"], [], "", [], "en"),
        ("prefer", ["live_chat"], ["en"], "", [], "media"),
        ("prefer", [], ["en"], "en", [], "media"),
        ("ignore", ["en"], ["en"], "en", [], "media"),
        ("only", ["fr"], ["en"], "en", [], "fr"),
        ("only", ["fr", "de", "en"], [], "en", ["de"], "de"),
        ("only", ["fr", "en"], [], "zh", [], "en"),
        ("only", [], ["de", "en"], "en", [], "automatic en"),
        ("only", [], ["de", "ja-orig"], "", [], "automatic ja-orig"),
        ("only", [], [], "en", [], None),
    ],
)
def test_the_best_captions_are_chosen(
    mode: CaptionsMode,
    people: list[str],
    automatic: list[str],
    language: str,
    languages: list[str],
    expected: str | None,
) -> None:
    """Those of the language that is spoken; made by people, unless only captions are wanted."""
    offered = [
        Offered(language=tag.removesuffix(" lost"), is_lost=tag.endswith(" lost")) for tag in people
    ]
    offered += [Offered(language=tag, is_automatic=True) for tag in automatic]

    choice = choose(mode, offered, language, languages)

    assert _named(choice) == expected


def _named(choice: Choice | None) -> str | None:
    if choice is None or choice.captions is None:
        return choice and "media"
    kind = "automatic " if choice.captions.is_automatic else ""
    return f"{kind}{choice.captions.language}"


def _caused(cause: Exception) -> ExtractorError:
    return ExtractorError("Unable to download webpage", cause=cause)


def _http(status: int) -> HTTPError:
    return HTTPError(SimpleNamespace(status=status, reason="x"))


def _reported(error: Exception) -> DownloadError:
    """As yt-dlp reports an error of an extractor or a downloader."""
    return DownloadError(f"ERROR: {error}", (type(error), error, None))


@pytest.mark.parametrize(
    ("error", "kind", "problem", "remedy"),
    [
        (_caused(_http(410)), "source", "is not there (HTTP 410)", "in a browser"),
        (_caused(_http(429)), "source", "is asked too often (HTTP 429)", "later"),
        (_caused(_http(503)), "source", "its server fails (HTTP 503)", "later"),
        (_http(404), "source", "is not there (HTTP 404)", "in a browser"),
        (_caused(TransportError(cause=socket.gaierror(-2, "x"))), "source",
         "its host can't be found", "the connection"),
        (_caused(TransportError(cause=ConnectionRefusedError())), "source",
         "takes no connection", "the connection"),
        (_caused(TransportError(cause=TimeoutError())), "source", "answer in time", "Run again"),
        (_caused(_http(403)), "source", "refuses it (HTTP 403)", "set LECTERN_MEDIA_COOKIES"),
        (IncompleteRead(5, 9), "source", "the connection broke off", "Run again"),
        (UnsupportedError("https://x.example/"), "no_media", "nothing that can be played", "Name"),
        (GeoRestrictedError("not for you"), "source", "does not show it where you are", "PROXY"),
        (UserNotLive(), "source", "is live", "recording"),
        (ExtractorError("This video is DRM protected", expected=True), "source", "DRM", ""),
        (ExtractorError("Sign in to confirm your age. Use --cookies x", expected=True), "source",
         "wants to know who you are (Sign in to confirm your age)", "LECTERN_MEDIA_COOKIES"),
        (ExtractorError("\x1b[31mVideo unavailable.\x1b[0m It was removed", video_id="q", ie="s"),
         "source", "can't be fetched (Video unavailable)", ""),
        (OSError(errno.ENOSPC, "full"), "storage", "no space is left", "LECTERN_HOME"),
        (OSError(errno.EFBIG, "big"), "source", "is larger than 9 MB", "LECTERN_MEDIA_MAX_MB"),
        (MemoryError(), "source", "needs more memory", ""),
        (KeyError("x"), "source", "can't be fetched", ""),
    ],
)  # fmt: skip
def test_an_error_is_said_in_one_line(
    error: Exception, kind: str, problem: str, remedy: str
) -> None:
    """What it came from counts more than how yt-dlp words it."""
    failure = explain(_reported(error), REQUEST)

    assert failure.kind == kind
    assert problem in failure.problem
    assert remedy in failure.remedy


def test_a_sites_own_words_count_more_than_its_servers_answer() -> None:
    """An extractor that knows what a status means there says so."""
    try:
        try:
            raise _http(403)
        except HTTPError:
            raise ExtractorError("The lecture starts on Monday", expected=True) from None
    except ExtractorError as error:
        failure = explain(_reported(error), REQUEST)

    assert failure.problem == "can't be fetched (The lecture starts on Monday)"


@pytest.mark.parametrize(
    ("noted", "counted", "content", "left"),
    [
        (2, 2, b"aabb", b"aabb"),
        (2, 2, b"aabbcc", b"aabb"),  # appended, and killed before it was counted
        (2, 2, b"aabbc", b"aabb"),
        (2, 3, b"aabbcc", b"aabbcc"),  # counted, and killed before the next one began
        (2, None, b"aabbcc", b"aabb"),  # killed while it was counted
        (2, 5, b"aabb", b""),
        (2, 2, b"aa", b""),
    ],
)
def test_only_whole_fragments_are_gone_on_with(
    tmp_path: Path, noted: int, counted: int | None, content: bytes, left: bytes
) -> None:
    """Whenever yt-dlp was killed, none is there twice or in part."""

    def count(n: int | None) -> None:
        state = {"downloader": {"current_fragment": {"index": n}}}
        (tmp_path / "media.ytdl").write_text("" if n is None else json.dumps(state))

    partial = Partial(tmp_path)
    partial.begin("hls-1")
    (tmp_path / "media.part").write_bytes(b"aabb")
    count(noted)
    partial.note_fragments()
    (tmp_path / "media.part").write_bytes(content)
    count(counted)

    again = Partial(tmp_path)
    again.begin("hls-1")

    assert again.size == len(left)
    assert not left or (tmp_path / "media.part").read_bytes() == left


def test_another_format_is_begun_anew(tmp_path: Path) -> None:
    """A page may offer others the next time."""
    partial = Partial(tmp_path)
    partial.begin("audio")
    (tmp_path / "media.part").write_bytes(b"sound")

    Partial(tmp_path).begin("video")

    assert Partial(tmp_path).size == 0


def test_who_sends_next_to_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each megabyte has its time, however slowly the bytes drip; and so has the whole."""
    now = [0.0]
    monkeypatch.setattr("tasks.media.fetch_process.time.monotonic", lambda: now[0])
    patience = _Patience(REQUEST)
    for minute in range(59):
        now[0] = 60.0 * minute
        patience.hear(Told(name="x", done=minute << 20))
        patience.check()

    now[0] += 299
    patience.hear(Told(name="x", done=(58 << 20) + 9))
    now[0] += 2
    with pytest.raises(SourceError, match="next to nothing, for 5 minutes"):
        patience.check()
    patience.hear(Told(name="x", done=60 << 20))
    with pytest.raises(SourceError, match="is not fetched after 1 hours"):
        patience.check()


def test_what_is_known_of_a_url_is_kept(tmp_path: Path) -> None:
    """All of it; what can't be read is as if it were not there."""
    cache, url = Cache(tmp_path), "https://x.example/talk"
    chapters = (Chapter(start_s=0, title="Ebbe"), Chapter(start_s=60.5, title=""))
    answer = Answer(
        title="T", duration_s=90.5, language="de", chapters=chapters,
        offered=(Offered(language="de"),),
        media=MediaMade(file="media", suffix=".mp3", content="ab"),
    )  # fmt: skip
    with cache.hold(url, lambda: None):
        (cache.partial(url) / "media").write_bytes(b"sound")
        cache.keep(url, answer)

    kept = cache.load(url)
    assert kept is not None
    assert (kept.title, kept.duration_s, kept.language) == ("T", 90.5, "de")
    assert (kept.chapters, kept.offered) == (chapters, answer.offered)
    assert cache.media(kept) == tmp_path / "media" / "ab.mp3"
    assert not cache.partial(url).exists()
    (tmp_path / "media" / "ab.mp3").write_bytes(b"soun")
    assert cache.media(kept) is None
    next((tmp_path / "media" / "urls").glob("*.json")).write_text('{"version": 99}')
    assert cache.load(url) is None


def test_two_urls_of_one_content_share_its_file(tmp_path: Path) -> None:
    """What is known of each URL is its own."""
    cache = Cache(tmp_path)
    media = MediaMade(file="media", suffix=".mp3", content="ab")
    for url in ("https://x.example/1", "https://x.example/2"):
        with cache.hold(url, lambda: None):
            (cache.partial(url) / "media").write_bytes(b"sound")
            cache.keep(url, Answer(title=url, media=media))

    first, second = cache.load("https://x.example/1"), cache.load("https://x.example/2")
    assert first is not None
    assert second is not None
    assert cache.media(first) == cache.media(second) == tmp_path / "media" / "ab.mp3"
    assert (first.title, second.title) == ("https://x.example/1", "https://x.example/2")


def test_what_broke_off_long_ago_is_removed(tmp_path: Path) -> None:
    """Not what someone may still go on with, or holds."""
    cache = Cache(tmp_path)
    urls = [f"https://x.example/{name}" for name in ("old", "new", "held")]
    old, new, held = (cache.partial(url) for url in urls)
    for folder in (old, new, held):
        folder.mkdir(parents=True)
        (folder / "media.part").write_bytes(b"x")
    for folder in (old, held):
        os.utime(folder / "media.part", (0, 0))
        os.utime(folder, (0, 0))

    with cache.hold(urls[-1], lambda: None):
        tidy(tmp_path)

    assert (old.exists(), new.exists(), held.exists()) == (False, True, True)


def test_a_lock_whose_folder_is_removed_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another run, between its making and its opening."""
    cache, url, waited = Cache(tmp_path), "https://x.example/talk", []

    def make_once(folder: Path) -> Path:
        if waited:
            folder.mkdir(parents=True)
        return folder

    monkeypatch.setattr("tasks.media.cache.make_folder", make_once)
    with cache.hold(url, lambda: waited.append(1)):
        assert cache.partial(url).is_dir()

    assert waited == [1]


def test_chapters_come_by_their_starts() -> None:
    """One a start; none where none has a title."""
    untitled = {"start_time": 0, "title": "<Untitled Chapter 1>"}
    told = [untitled, {"start_time": 60, "title": "Flut"}, {"start_time": 0, "title": "Ebbe"}]

    chapters = _chapters({"chapters": [*told, {"start_time": 90, "title": ""}]})

    assert [(each.start_s, each.title) for each in chapters] == [
        (0, "Ebbe"),
        (60, "Flut"),
        (90, ""),
    ]
    assert _chapters({"chapters": [untitled, {"start_time": 9, "title": " "}]}) == ()


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        (Entry("https://x.example/v"), "https://x.example/v"),
        (Entry("kaltura:1:2", "Kaltura", "https://x.example/l?a=b#c"),
         "https://x.example/l?a=b#lectern-entry=Kaltura/kaltura%3A1%3A2"),
        (Entry("dQw4w9WgXcQ", "Youtube", "https://x.example/l"),
         "https://x.example/l#lectern-entry=Youtube/dQw4w9WgXcQ"),
        (Entry("ftp://x.example/v", None, "https://x.example/l"),
         "https://x.example/l#lectern-entry=/ftp%3A%2F%2Fx.example%2Fv"),
    ],
)  # fmt: skip
def test_what_has_no_page_of_its_own_has_an_address(entry: Entry, address: str) -> None:
    """A site's own name for it is found again behind that of the list."""
    again = entry_of(address)

    assert entry.address == address
    assert (again.url, again.key, again.address) == (entry.url, entry.key, address)


@pytest.mark.parametrize(
    ("info", "address"),
    [
        ({"url": "kaltura:1:2", "ie_key": "Kaltura"},
         "https://x.example/l#lectern-entry=Kaltura/kaltura%3A1%3A2"),
        ({"url": "../talk"}, "https://x.example/talk"),
        ({"formats": [{"url": "https://x.example/low"}, {"url": "https://x.example/high"}]},
         "https://x.example/high"),
        ({"title": "Nothing"}, None),
    ],
)  # fmt: skip
def test_an_entry_of_a_list_is_named(info: dict[str, object], address: str | None) -> None:
    """What its site names by itself is no path of the list's page."""
    entry = _entry(info, "https://x.example/l")

    assert (entry and entry.address) == address
