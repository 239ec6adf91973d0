"""A site with lectures, on loopback: pages, media, playlists; slow, broken, or hostile ones.

It is an HTTP proxy too, for all hosts there are: so it is the whole internet behind itself.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

BLOCK = 16 << 10


@dataclass
class Resource:
    """What the site answers at a path.

    Attributes:
        cuts: the connection is closed after so many bytes: the first request's, the second's, …;
            the first is often yt-dlp's, which looks into it and leaves.
        ranges: whether it answers requests for a part of it.
        has_length: whether it tells its length.
        gate: without it, only half of the body comes.
        pause_s: after each block of 16 KB.
    """

    body: bytes = b""
    media_type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    has_length: bool = True
    gate: threading.Event | None = None
    pause_s: float = 0.0


@dataclass(frozen=True)
class Asked:
    """A request: its path, its host as the client names it, and the start of its range."""

    path: str
    host: str
    start: int | None
    if_range: str | None
    cookie: str | None


class LectureSite:
    """What is there, and what was asked for."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.resources: dict[str, Resource] = {}
        self.asked: list[Asked] = []
        self.halfway = threading.Event()  # a gate was reached

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def put(self, path: str, body: bytes | str, media_type: str = "", **options: object) -> str:
        data = body.encode() if isinstance(body, str) else body
        resource = Resource(data, **options)  # type: ignore[arg-type]
        resource.media_type = media_type or resource.media_type
        self.resources[path] = resource
        return self.url(path)

    def redirect(self, path: str, target: str) -> str:
        return self.put(path, b"", status=302, headers={"Location": target})

    def starts(self, path: str) -> list[int | None]:
        """Return from where each request wanted the file at this path; None: from its start."""
        return [each.start for each in self.asked if each.path == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: LectureSite

    def do_GET(self) -> None:
        address = urlsplit(self.path)  # a proxy is asked with the whole URL
        start = self._start()
        host = address.netloc or self.headers.get("Host", "")
        get = self.headers.get
        self.site.asked.append(Asked(address.path, host, start, get("If-Range"), get("Cookie")))
        found = self.site.resources.get(address.path, Resource(b"not here", status=404))
        self.close_connection = True
        self._answer(found, start)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _start(self) -> int | None:
        asked = self.headers.get("Range", "")
        return int(asked.removeprefix("bytes=").split("-")[0]) if asked else None

    def _answer(self, found: Resource, start: int | None) -> None:
        body, status = found.body, found.status
        if_range = self.headers.get("If-Range")
        is_same = if_range in (None, found.headers.get("ETag"), found.headers.get("Last-Modified"))
        if start is not None and found.ranges and status == 200 and is_same:
            status = 206 if start < len(body) else 416
        self.send_response(status)
        for name, value in found.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", found.media_type)
        self.send_header("Connection", "close")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            body = body[start:]
        if status == 416:
            body = b""
        if found.has_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send(found, body)

    def _send(self, found: Resource, body: bytes) -> None:
        end = min(len(body), found.cuts.pop(0) if found.cuts else len(body))
        half = len(body) // 2
        try:
            for at in range(0, end, BLOCK):
                if found.gate and at >= half and not found.gate.is_set():
                    self.wfile.flush()
                    self.site.halfway.set()
                    found.gate.wait(60)
                self.wfile.write(body[at : min(at + BLOCK, end)])
                time.sleep(found.pause_s)
        except OSError:
            pass  # who asked has left

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def lecture_site() -> Iterator[LectureSite]:
    """Open the site for as long as the block lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.daemon_threads = True
        site = LectureSite(http.server_port)
        http.RequestHandlerClass = type("Handler", (_Handler,), {"site": site})
        thread = threading.Thread(target=http.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield site
        finally:
            for each in site.resources.values():
                if each.gate:
                    each.gate.set()
            http.shutdown()
            thread.join()


def tone(seconds: float, kind: Literal["mp3", "m4a", "mp4", "ts"], hertz: float = 440) -> bytes:
    """Return a sine tone as a file; mp4 has a grey picture too."""
    import av
    import numpy as np

    rate, size = 16_000, 1024
    file = io.BytesIO()
    container = {"m4a": "mp4", "ts": "mpegts"}.get(kind, kind)
    with av.open(file, "w", format=container) as out:
        sound = out.add_stream("mp3" if kind == "mp3" else "aac", rate=rate, layout="mono")
        picture = out.add_stream("mpeg4", rate=5, width=32, height=32) if kind == "mp4" else None
        for n in range(int(seconds * 5) if picture else 0):
            image = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), format="rgb24")
            image.pts = n
            out.mux(picture.encode(image))
        for at in range(0, int(seconds * rate), size):
            wave = np.sin(2 * np.pi * hertz * np.arange(at, at + size) / rate)
            samples = (wave * 8000).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, at
            out.mux(sound.encode(frame))
        for stream in filter(None, (sound, picture)):
            out.mux(stream.encode(None))
    return file.getvalue()


def page(media: str = "", tracks: str = "", title: str = "Eine Vorlesung") -> str:
    """Return a page that plays a file, if one is named."""
    video = f'<video src="{media}">{tracks}</video>' if media else "<p>Only words.</p>"
    return f"<!doctype html><html><head><title>{title}</title></head><body>{video}</body></html>"


def track(src: str, language: str) -> str:
    return f'<track kind="subtitles" src="{src}" srclang="{language}">'


def feed(items: list[str]) -> str:
    """Return a podcast's feed; each item is the XML inside <item>."""
    inner = "".join(f"<item>{each}</item>" for each in items)
    return (
        f'<?xml version="1.0"?><rss version="2.0"><channel><title>C</title>{inner}</channel></rss>'
    )


def hls(segments: list[str], seconds: float = 1) -> str:
    """Return a playlist of HLS."""
    lines = [line for each in segments for line in (f"#EXTINF:{seconds},", each)]
    head = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:0"]
    return "\n".join([*head, *lines, "#EXT-X-ENDLIST", ""])
