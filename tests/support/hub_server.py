"""A hub on loopback: the part of Hugging Face's HTTP API that fetching a model needs."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40


@dataclass
class Hub:
    """One repository's files, and what was asked for.

    Attributes:
        break_after: the next answers with content stop after so many bytes, each once; -1 is
            an answer that fails outright.
    """

    repo: str
    files: dict[str, bytes]
    url: str = ""
    break_after: list[int] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def serve_hub(hub: Hub) -> Iterator[Hub]:
    """Serve until the block ends; hub.url is set."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        file = path.removeprefix(f"/{self.hub.repo}/resolve/main/")
        if path == f"/api/models/{self.hub.repo}/tree/main":
            self._send(200, json.dumps([_entry(*each) for each in self.hub.files.items()]).encode())
        elif file in self.hub.files:
            self._send_file(self.hub.files[file], with_body=with_body)
        else:
            self.send_response(404)
            missing_repo = f"/{self.hub.repo}/" not in f"{path}/"
            self.send_header("X-Error-Code", "RepoNotFound" if missing_repo else "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, content: bytes, *, with_body: bool) -> None:
        if with_body and self.hub.break_after[:1] == [-1]:
            self.hub.break_after.pop(0)
            self._send(500, b"{}")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        if wanted:
            self.hub.ranges.append(self.headers["Range"])
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            end = start + self.hub.break_after.pop(0) if self.hub.break_after else None
            self.wfile.write(content[start:end])
            self.close_connection = True


def _entry(path: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(content), "oid": "b" * 40}
