"""Videos and recordings from URLs, from a site on loopback, by real yt-dlp in its own process."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from support.lecture_site import Asked, LectureSite, feed, hls, lecture_site, page, tone, track
from support.processes import running

from tasks.errors import SourceError, StorageError
from tasks.extract.process import end_children
from tasks.media.cache import Cache
from tasks.media.fetch import Fetched, NoMedia, entries, fetch
from tasks.media.fetch_failures import FetchError
from tasks.media.fetch_page import fetch as fetch_here
from tasks.media.fetch_request import Answer, FetchRequest
from tasks.media.fetch_site import Site
from tasks.records import CaptionsMode
from tasks.settings import PROJECT_ROOT, Settings

MP3 = "audio/mpeg"
LONG = random.Random(6).randbytes(1 << 20)  # nobody opens it here
OTHER = bytes(reversed(LONG))
VTT = "WEBVTT\n\n00:00.000 --> 00:01.000\nGuten Morgen.\n"


@pytest.fixture
def site() -> Iterator[LectureSite]:
    with lecture_site() as opened:
        yield opened


@pytest.fixture
def here(config: Settings) -> Settings:
    """Settings under which the site may be reached: it is in this network."""
    return config.model_copy(update={"allow_private_addresses": True})


def until(condition: Callable[[], bool]) -> None:
    """Wait for it; the test's own time limit ends it."""
    while not condition():
        time.sleep(0.01)


def part(config: Settings) -> Path:
    """Return the file that a broken download has left, there or not."""
    return next((config.home / "media" / "partial").glob("*/*.part"), Path("/nonexistent"))


def files(config: Settings) -> list[str]:
    return sorted(path.name for path in (config.home / "media").rglob("*") if path.is_file())


def made(
    config: Settings, url: str, mode: CaptionsMode = "prefer", languages: Sequence[str] = ()
) -> Answer:
    """Return what the process that fetches would answer; here, which takes less time."""
    folder = config.home / "made"
    folder.mkdir(parents=True, exist_ok=True)
    request = FetchRequest(
        task="fetch", url=url, folder=str(folder), mode=mode, languages=list(languages),
        max_mb=config.media_max_mb, max_hours=config.media_max_hours, playlist_max=1,
    )  # fmt: skip
    with Site(request, lambda *moment: None) as opened:
        return fetch_here(opened, folder)


def test_a_recording_is_fetched_once_and_kept_by_its_content(
    site: LectureSite, here: Settings
) -> None:
    """What is there needs no network any more; how far it is can be heard."""
    sound = tone(1, "mp3")
    url = site.put("/talks/On%20Tides.mp3", sound, MP3)
    heard: list[tuple[str, int, int]] = []

    got = fetch(url, here, captions="prefer", progress=lambda *moment: heard.append(moment))
    asked = len(site.asked)
    again = fetch(url, here, captions="ignore")
    asked_again = len(site.asked)
    with pytest.raises(SourceError, match="has no captions"):
        fetch(url, here, captions="only")

    digest = hashlib.sha256(sound).hexdigest()
    assert (got.media, got.content) == (here.home / "media" / f"{digest}.mp3", digest)
    assert got.media is not None
    assert got.media.read_bytes() == sound
    assert (got.title, got.captions, got.chapters) == ("On Tides", None, ())
    assert heard[-1] == ("fetching On Tides", len(sound), len(sound))
    assert (again, asked_again) == (got, asked)


def test_captions_that_people_made_are_enough(site: LectureSite, here: Settings) -> None:
    """The video itself is fetched only where they are to be ignored; both are kept."""
    site.put("/v.mp4", tone(1, "mp4"), "video/mp4")
    site.put("/de.vtt", VTT, "text/vtt")
    tracks = track("/gone.vtt", "fr") + track("/de.vtt", "de")
    url = site.put("/lecture", page("/v.mp4", tracks, "Über Gezeiten"))

    heard = fetch(url, here, captions="ignore")
    site.asked.clear()
    read = fetch(url, here, captions="prefer", languages=["fr", "de"])
    asked = len(site.asked)
    only = fetch(url, here, captions="only")

    assert (read.title, read.media, read.content) == ("Über Gezeiten", None, "")
    assert read.captions is not None
    assert read.captions.path.read_text() == VTT
    assert (read.captions.language, read.captions.is_automatic) == ("de", False)
    assert {each.path for each in site.asked} == {"/lecture", "/gone.vtt", "/de.vtt"}
    assert (heard.captions, heard.media and heard.media.suffix) == (None, ".mp4")
    assert (only, len(site.asked)) == (read, asked)


def test_captions_that_can_not_be_had_are_passed_over(site: LectureSite, config: Settings) -> None:
    """Whatever ails them: others are taken, at last the media. Only where nothing but captions is
    wanted it is an error, which names them."""
    sound = tone(1, "m4a")
    site.put("/a.m4a", sound, "audio/mp4")
    site.put("/refused.vtt", b"", status=403)
    site.put("/odd.vtt", b"<html>Please log in</html>", "text/vtt")
    site.put("/de.vtt", VTT, "text/vtt")
    ill = track("/refused.vtt", "de") + track("/odd.vtt", "de-AT") + track("/x.json3", "de-LI")
    first = site.put("/first", page("/a.m4a", ill + track("/de.vtt", "de-CH")))
    url = site.put("/lecture", page("/a.m4a", ill))

    read = made(config, first, "prefer", ["de"])
    heard = made(config, url, "prefer", ["de"])
    with pytest.raises(FetchError, match=r"its captions \(de\): its server refuses it"):
        made(config, url, "only", ["de"])

    assert (read.captions and read.captions.offered.language, read.media) == ("de-CH", None)
    assert heard.captions is None
    assert heard.media is not None
    assert heard.media.content == hashlib.sha256(sound).hexdigest()
    assert "/x.json3" not in {each.path for each in site.asked}


def test_captions_of_no_named_language_are_taken(site: LectureSite, config: Settings) -> None:
    """A page need not say in which language they are."""
    site.put("/c.vtt", VTT, "text/vtt")
    url = site.put("/lecture", page("/v.mp4", '<track src="/c.vtt">'))

    got = made(config, url, "prefer", ["de"])

    assert (got.captions and got.captions.offered.language, got.media) == ("", None)


def test_what_has_no_page_of_its_own_is_fetched(site: LectureSite, config: Settings) -> None:
    """By the name that its site's extractor has for it."""
    sound = tone(1, "m4a")
    inner = site.put("/a.m4a", sound, "audio/mp4")
    url = f"{site.url('/list')}#lectern-entry=Generic/{quote(inner, safe='')}"

    got = made(config, url, "ignore")

    assert got.media is not None
    assert got.media.content == hashlib.sha256(sound).hexdigest()


def test_a_broken_connection_is_gone_on_with(site: LectureSite, config: Settings) -> None:
    """Only the rest is asked for, as long as something comes."""
    cuts = [len(LONG), 300_000, 50_000, 50_000, 50_000, 50_000, 50_000]
    url = site.put("/a.mp3", LONG, MP3, cuts=cuts, headers={"ETag": '"1"'})

    got = made(config, url)

    assert got.media is not None
    assert got.media.content == hashlib.sha256(LONG).hexdigest()
    assert site.starts("/a.mp3")[-6:] == [300_000 + 50_000 * n for n in range(6)]


def test_a_server_that_sends_no_rest_is_asked_for_all(site: LectureSite, config: Settings) -> None:
    """What is there already is not put before it."""
    tag = {"ETag": '"1"'}
    url = site.put("/a.mp3", LONG, MP3, cuts=[len(LONG), 300_000], ranges=False, headers=tag)

    got = made(config, url)

    assert got.media is not None
    assert got.media.content == hashlib.sha256(LONG).hexdigest()


def stop_halfway(site: LectureSite, url: str, config: Settings, n_bytes: int) -> None:
    """Let a download end in its midst, as a stopped run ends it."""

    def stop() -> None:
        assert site.halfway.wait(60)
        until(lambda: part(config).exists() and part(config).stat().st_size >= n_bytes)
        end_children()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(SourceError, match="the process that fetches it was ended"):
        fetch(url, config, captions="prefer")
    stopper.join()
    gate = next(each.gate for each in site.resources.values() if each.gate)
    gate.set()
    site.asked.clear()


@pytest.mark.parametrize(
    ("noted", "sent", "body", "if_range"),
    [
        ('"1"', '"1"', LONG, ['"1"']),
        ('"1"', '"2"', OTHER, ['"1"']),
        ('"1"', '"1"', OTHER + b"more", ['"1"']),
        ("", "", OTHER, []),
    ],
    ids=["same", "tagged", "longer", "untagged"],
)
def test_only_the_rest_of_the_same_file_is_put_behind(
    site: LectureSite, config: Settings, noted: str, sent: str, body: bytes, if_range: list[str]
) -> None:
    """By the next run: not that of one with another tag, or, if need be, of another length. Where
    the server tells of no tag, all is asked for."""
    folder = config.home / "made"
    folder.mkdir(parents=True)
    (folder / "media.part").write_bytes(LONG[:400_000])
    note = {"format_id": "mpeg", "validator": noted, "total": len(LONG)}
    (folder / "note.json").write_text(json.dumps(note))
    url = site.put("/a.mp3", body, MP3, headers={"ETag": sent} if sent else {})

    got = made(config, url)

    assert got.media is not None
    assert got.media.content == hashlib.sha256(body).hexdigest()
    assert [each.if_range for each in site.asked if each.start] == if_range


def test_when_all_is_killed_the_next_run_goes_on(site: LectureSite, here: Settings) -> None:
    """kill -9 of the run: the process that fetches for it ends too."""
    url = site.put("/a.mp3", LONG, MP3, gate=threading.Event(), headers={"ETag": '"1"'})
    script = (
        "import sys; from pathlib import Path; from tasks.settings import Settings\n"
        "from tasks.media.fetch import fetch\n"
        "config = Settings(home=Path(sys.argv[2]), allow_private_addresses=True)\n"
        "fetch(sys.argv[1], config, captions='prefer')"
    )
    command = [sys.executable, "-c", script, url, str(here.home)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT) as run:
        until(lambda: part(here).exists() and part(here).stat().st_size >= 400_000)
        children = psutil.Process(run.pid).children(recursive=True)
        run.kill()
    psutil.wait_procs(children)
    gate = site.resources["/a.mp3"].gate
    assert gate is not None
    gate.set()

    got = fetch(url, here, captions="prefer")

    assert children
    assert got.content == hashlib.sha256(LONG).hexdigest()
    assert (site.starts("/a.mp3")[-1] or 0) >= 400_000


def test_a_stream_of_pieces_is_gone_on_with(site: LectureSite, here: Settings) -> None:
    """HLS: whole pieces are not asked for again, and none is there twice."""
    pieces = [LONG[n << 16 : (n + 1) << 16] for n in range(5)]
    for n, piece in enumerate(pieces):
        gate = {"gate": threading.Event()} if n == 3 else {}
        site.put(f"/{n}.ts", piece, "video/mp2t", **gate)
    names = [f"{n}.ts" for n in range(5)]
    url = site.put("/l.m3u8", hls(names), "application/vnd.apple.mpegurl")
    stop_halfway(site, url, here, 3 << 16)

    got = fetch(url, here, captions="prefer")

    assert got.media is not None
    assert got.media.read_bytes() == b"".join(pieces)
    assert got.duration_s == 5
    assert [each.path for each in site.asked if ".ts" in each.path] == ["/3.ts", "/4.ts"]


class _CancelledError(Exception):
    pass


def test_whoever_hears_the_progress_may_end_it(site: LectureSite, here: Settings) -> None:
    """Also while nothing comes; what is there stays to be gone on with."""
    url = site.put("/a.mp3", LONG, MP3, gate=threading.Event())

    def cancel(name: str, done: int, total: int) -> None:
        if part(here).exists():
            raise _CancelledError

    with pytest.raises(_CancelledError):
        fetch(url, here, captions="prefer", progress=cancel)

    assert part(here).exists()
    assert running("tasks.media.fetch_child", psutil.Process().children()) == []


def test_two_runs_fetch_a_url_once(site: LectureSite, here: Settings) -> None:
    """The second waits, says so, and takes what the first has kept."""
    gate = threading.Event()
    url = site.put("/a.mp3", LONG, MP3, gate=gate)

    def hear(name: str, done: int, total: int) -> None:
        if name == "waiting for another run that fetches a.mp3":
            gate.set()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fetch, url, here, captions="prefer")
        assert site.halfway.wait(60)
        second = pool.submit(fetch, url, here, captions="prefer", progress=hear)

        assert first.result() == second.result()
    assert len(site.asked) == 2  # a look into it, and the download


@pytest.mark.parametrize(
    ("path", "body", "media_type", "problem"),
    [
        ("/words", page(), "", "holds nothing that can be played"),
        ("/paper", b"%PDF-1.7\n%\xe2\xe3\n1 0 obj", "application/octet-stream", "is not a video"),
        ("/empty.mp3", b"", MP3, "Did not get any data blocks"),
    ],
)
def test_where_nothing_is_played_callers_can_tell(
    site: LectureSite, here: Settings, path: str, body: bytes | str, media_type: str, problem: str
) -> None:
    """A page of words and a paper are documents, for someone else to read."""
    url = site.put(path, body, media_type)
    kind = SourceError if problem.startswith("Did") else NoMedia

    with pytest.raises(kind, match=problem):
        fetch(url, here, captions="prefer")
    assert files(here) == []


def test_a_recording_without_a_type_is_known_by_its_bytes(
    site: LectureSite, config: Settings
) -> None:
    """Servers call anything application/octet-stream, and names need no suffix."""
    sound = tone(1, "m4a")

    got = made(config, site.put("/get", sound, "application/octet-stream"))

    assert got.media is not None
    assert got.media.content == hashlib.sha256(sound).hexdigest()


def test_what_is_not_there_is_said_in_one_line(site: LectureSite, here: Settings) -> None:
    """It names the URL and what to do; nothing is left of it, and it is no playlist either."""
    url = site.url("/gone.mp3")

    with pytest.raises(SourceError) as caught:
        fetch(url, here, captions="prefer")

    says = f"{url}: is not there (HTTP 404). Check the address in a browser."
    assert str(caught.value) == says
    assert not Cache(here.home).partial(url).exists()
    assert entries(url, here) == [url]


def test_what_turns_out_too_large_is_refused(site: LectureSite, here: Settings) -> None:
    """Also where the server does not tell."""
    small = here.model_copy(update={"media_max_mb": 1})
    url = site.put("/a.mp3", LONG + LONG, MP3, has_length=False)

    with pytest.raises(SourceError, match="is larger than 1 MB"):
        fetch(url, small, captions="prefer")


def test_a_full_disk_is_told_as_such(site: LectureSite, here: Settings) -> None:
    """What to do about it is not to be found at the site."""
    url = site.put("/a.mp3", LONG, MP3)
    folder = Cache(here.home).partial(url)
    folder.mkdir(parents=True)
    (folder / "media.part").symlink_to("/dev/full")
    (folder / "note.json").write_text('{"format_id": "mpeg"}')

    with pytest.raises(StorageError, match="no space is left") as caught:
        fetch(url, here, captions="prefer")

    assert caught.value.subject == str(here.home)


def test_what_is_live_or_too_long_is_refused(site: LectureSite, config: Settings) -> None:
    """A stream without an end would be fetched for ever."""
    long = hls([f"{n}.ts" for n in range(9)], seconds=3600)
    ended = site.put("/long.m3u8", long, "application/vnd.apple.mpegurl")
    running = long.replace("#EXT-X-ENDLIST", "")
    live = site.put("/live.m3u8", running, "application/vnd.apple.mpegurl")
    short = config.model_copy(update={"media_max_hours": 8})

    with pytest.raises(FetchError, match="is longer than 8 hours"):
        made(short, ended)
    with pytest.raises(FetchError, match="is live"):
        made(short, live)


@pytest.fixture
def podcast(site: LectureSite) -> str:
    """A feed whose items are a file, nothing, what is not fetched, a page, and a dead link."""
    site.put("/a.mp3", LONG, MP3)
    items = [
        f'<enclosure url="{site.url("/a.mp3")}" type="audio/mpeg"/>',
        "<title>Nothing</title>",
        '<enclosure url="ftp://127.0.0.1/b.mp3"/>',
        f"<link>{site.url('/page')}</link>",
        f'<enclosure url="{site.url("/gone.mp3")}"/>',
    ]
    return site.put("/feed", feed(items), "application/rss+xml")


def test_a_playlist_is_its_videos(
    site: LectureSite, here: Settings, podcast: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In order, so many at most, which is told; without the network as it was seen last. What is
    not fetched is one of them, for its row."""
    found = entries(podcast, here.model_copy(update={"playlist_max": 3}))
    site.put("/feed", b"", status=500)

    ftp = f"{podcast}#lectern-entry=/ftp%3A%2F%2F127.0.0.1%2Fb.mp3"
    assert found == [site.url("/a.mp3"), ftp, site.url("/page")]
    assert entries(podcast, here) == found
    assert "the first 3 are taken, and 1 or more are left out" in caplog.text
    with pytest.raises(SourceError, match="leads to ftp:, which is not fetched"):
        fetch(ftp, here, captions="prefer")


def test_listing_may_be_ended(site: LectureSite, here: Settings) -> None:
    """By whoever hears the progress, and with all other processes that read for this one."""
    url = site.put("/feed", feed([" " * len(LONG)]), "application/rss+xml", gate=threading.Event())

    def cancel(name: str, done: int, total: int) -> None:
        if site.halfway.is_set():
            raise _CancelledError(name)

    def end(name: str, done: int, total: int) -> None:
        if site.halfway.is_set():
            end_children()

    with pytest.raises(_CancelledError, match="looking into feed"):
        entries(url, here, cancel)
    assert entries(url, here, end) == [url]


def test_a_playlist_can_not_be_fetched_as_one(config: Settings, podcast: str) -> None:
    """It says so, rather than fetching any of them."""
    with pytest.raises(FetchError, match="is a playlist of several videos"):
        made(config, podcast)


def test_private_addresses_are_refused(site: LectureSite, config: Settings) -> None:
    """It is told what would allow them; and no playlist of theirs is listed."""
    url = site.put("/feed", LONG, MP3).replace("127.0.0.1", "localhost")

    with pytest.raises(SourceError, match=r"leads to the private address 127\.0\.0\.1") as caught:
        fetch(url, config, captions="prefer")

    assert "Set LECTERN_ALLOW_PRIVATE_ADDRESSES=true" in str(caught.value)
    assert entries(url, config) == [url]
    assert site.asked == []


@pytest.fixture
def outside(site: LectureSite, config: Settings) -> Settings:
    """Settings under which the site is the proxy to all the internet, and nothing else."""
    return config.model_copy(update={"media_proxy": f"http://127.0.0.1:{site.port}"})


def test_all_goes_through_the_proxy(
    site: LectureSite, outside: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be in this network: the user has named it."""
    monkeypatch.setenv("no_proxy", "*")
    site.put("/a.mp3", LONG, MP3)

    got = fetch("http://lectures.example/a.mp3", outside, captions="prefer")

    assert got.content == hashlib.sha256(LONG).hexdigest()
    assert {each.host for each in site.asked} == {"lectures.example"}


def test_nobody_is_led_into_this_network(site: LectureSite, outside: Settings) -> None:
    """Not by a redirect, though the proxy, which is there itself, would follow it."""
    site.put("/in", LONG, MP3)
    site.redirect("/talk", site.url("/in"))

    with pytest.raises(SourceError, match=r"leads to the private address 127\.0\.0\.1"):
        fetch("http://lectures.example/talk", outside, captions="prefer")
    assert [each.path for each in site.asked] == ["/talk"]


def test_a_page_plays_nothing_of_this_network(site: LectureSite, outside: Settings) -> None:
    """Nor does what a page of the internet embeds get there."""
    site.put("/v.mp4", LONG, "video/mp4")
    site.put("/page", page(site.url("/v.mp4")))

    with pytest.raises(SourceError, match=r"leads to the private address 127\.0\.0\.1"):
        fetch("http://lectures.example/page", outside, captions="prefer")
    assert [each.path for each in site.asked] == ["/page"]


def test_only_the_web_is_fetched(site: LectureSite, here: Settings) -> None:
    """Not even where any address is allowed."""
    url = site.redirect("/talk", "ftp://127.0.0.1/a.mp3")

    with pytest.raises(SourceError, match="leads to ftp:, which is not fetched"):
        fetch(url, here, captions="prefer")


def test_what_lies_in_the_users_folders_is_not_run(
    site: LectureSite, here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plug-ins, configuration and programs that yt-dlp would find, and the environment's proxy."""
    ran = tmp_path / "ran"
    plugin = f"open({str(ran)!r}, 'w')"
    for folder in ("config/yt-dlp/plugins/x", "config/yt-dlp-plugins/x", "path"):
        module = tmp_path / folder / "yt_dlp_plugins" / "extractor" / "x.py"
        module.parent.mkdir(parents=True)
        module.write_text(plugin)
    (tmp_path / "config" / "yt-dlp" / "config").write_text(f"--exec 'touch {ran}'")
    for name in ("ffmpeg", "ffprobe", "deno", "node"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\ntouch {ran}\n")
        program.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT_ROOT}:{tmp_path / 'path'}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    site.put("/0.ts", tone(1, "ts"), "video/mp2t")

    got = fetch(
        site.put("/l.m3u8", hls(["0.ts"]), "application/vnd.apple.mpegurl"), here, captions="prefer"
    )

    assert isinstance(got, Fetched)
    assert not ran.exists()


def test_cookies_are_sent_and_stay_as_they_are(
    site: LectureSite, here: Settings, tmp_path: Path
) -> None:
    """yt-dlp would write to the file; one that is missing is named."""
    jar = tmp_path / "cookies.txt"
    jar.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\t42\n")
    before = jar.read_bytes()
    url = site.put("/a.mp3", LONG, MP3, headers={"Set-Cookie": "new=1"})

    fetch(url, here.model_copy(update={"media_cookies": jar}), captions="prefer")

    assert site.asked[0] == Asked("/a.mp3", f"127.0.0.1:{site.port}", None, None, "session=42")
    assert jar.read_bytes() == before
    with pytest.raises(SourceError, match="Correct LECTERN_MEDIA_COOKIES"):
        fetch(f"{url}?2", here.model_copy(update={"media_cookies": jar / "x"}), captions="prefer")
