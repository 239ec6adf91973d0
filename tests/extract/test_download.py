"""PDFs from URLs, against a server on loopback."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from support.pdfs import drawn, paragraph

from tasks.extract import extract
from tasks.settings import Settings

PDF = drawn([paragraph(["This came over the wire."])])


ARTICLE = "<p>他们出去了。</p>".encode("gbk")


class _Handler(BaseHTTPRequestHandler):
    redirects: ClassVar = {
        "/moved": "/x.pdf",
        "/loop": "/loop",
        "/inside": "http://169.254.1.1/x.pdf",
        "/file": "file:///etc/passwd",
    }

    def do_GET(self) -> None:
        if self.path in self.redirects:
            self.send_response(302)
            self.send_header("Location", self.redirects[self.path])
            self.end_headers()
            return
        if self.path == "/slow":
            for _ in range(100):
                self.wfile.write(b"x")  # not even a status line
                time.sleep(0.05)
            return
        body = {
            "/article": ARTICLE,
            "/x.pdf": PDF,
            "/page": b"<html>",
            "/big": PDF + b" " * 3_000_000,
        }.get(self.path)
        self.send_response(200 if body else 404)
        if self.path == "/article":
            self.send_header("Content-Type", "text/html; charset=gbk")
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture
def open_config(config: Settings) -> Settings:
    return config.model_copy(update={"allow_private_addresses": True, "download_max_mb": 2})


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """However a download ends, no file of it stays."""
    folders = [tmp_path / "home", tmp_path / "tmp"]
    folders[1].mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folders[1]))
    yield
    assert [path for folder in folders for path in folder.rglob("*")] == []


@pytest.mark.parametrize("path", ["/x.pdf", "/moved"])
def test_a_url_is_read(server: str, open_config: Settings, path: str) -> None:
    """The URL stays the uri; how far the download is can be heard."""
    heard: list[tuple[str, int, int]] = []

    got = extract(server + path, open_config, progress=lambda *moment: heard.append(moment))

    assert ("ok", server + path) == (got.source.status, got.source.uri)
    assert heard[-2:] == [(f"fetching {path[1:]}", len(PDF), 0), (f"reading {path[1:]}", 0, 0)]


def test_a_page_without_a_suffix_is_read_as_the_server_says(
    server: str, open_config: Settings
) -> None:
    """Its type and its encoding stand in the header alone."""
    got = extract(server + "/article", open_config)

    assert (got.source.kind, [s.text for s in got.segments]) == ("html", ["他们出去了。"])


def test_a_server_that_drips_is_given_up(
    server: str, open_config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then keeps no reader for ever: there is a limit for the whole."""
    monkeypatch.setattr("tasks.extract.download._TOTAL_S", 0.3)

    error = extract(server + "/slow", open_config).source.error

    assert "could not be fetched within 0 s" in error


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/page", "holds no text"),
        ("/gone", "the server answered 404"),
        ("/big", "is larger than 2 MB"),
        ("/loop", "redirects more than 5 times"),
        ("/file", "leads to file:, which is not fetched"),
    ],
)
def test_what_can_not_be_fetched_gives_a_failed_row(
    server: str, open_config: Settings, path: str, problem: str
) -> None:
    """Each kind of trouble is told apart."""
    got = extract(server + path, open_config)

    assert got.source.status == "failed"
    assert problem in got.source.error


def test_private_addresses_are_refused(server: str, config: Settings) -> None:
    """Unless allowed: a URL is often someone else's word."""
    for url in (server + "/x.pdf", "http://localhost/x", "http://[::1]/x", "http://10.0.0.1/x"):
        error = extract(url, config).source.error

        assert "is the private address" in error
        assert "LECTERN_ALLOW_PRIVATE_ADDRESSES" in error


def test_a_redirect_into_the_network_is_refused(
    server: str, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every hop is checked: the first server is trusted here, the second address is not."""
    from tasks.extract import download

    resolve = download._resolve
    monkeypatch.setattr(
        download,
        "_resolve",
        lambda host, port, url, allow: resolve(host, port, url, allow or host == "127.0.0.1"),
    )

    error = extract(server + "/inside", config).source.error

    assert "169.254.1.1 is the private address" in error


def test_a_server_that_is_not_there(open_config: Settings) -> None:
    """The message names the address."""
    error = extract("http://127.0.0.1:9/x.pdf", open_config).source.error

    assert error.startswith("http://127.0.0.1:9/x.pdf: could not be fetched")
