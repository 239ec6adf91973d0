"""A hub on loopback: the part of Hugging Face's HTTP API that fetching a model needs."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

COMMIT = "a" * 40


@dataclass
class Hub:
    """A repository's files, those of others, and what was asked for.

    Attributes:
        others: further repositories with their files; those with a GGUF file are found by search.
        knows_ranges: else the whole file is sent, whatever is asked for.
        break_after: the next answers with content stop after so many bytes, each once; a negative
            number is an answer with that status instead.
        break_each: all answers with content stop after so many bytes; 0: none does.
        statuses: of the next answers of any kind, each once.
        retry_after: seconds after which these, and what it refuses, say to ask again.
        tells_codes: of what there is not it says what that is, as mirrors do not.
        gated: who sends no token gets no file.
        holds: what is sent of a file waits for this, after its first half; not a header.
        page: what it answers to everything, as a proxy does.
        etag: what it says of every file's content; "": its sha256.
        holes: bytes that follow a file's content, all zeros, and are sent where a range ends among
            them; who wants them all is refused.
    """

    repo: str
    files: dict[str, bytes]
    url: str = ""
    others: dict[str, dict[str, bytes]] = field(default_factory=dict)
    knows_ranges: bool = True
    holds: threading.Event | None = None
    break_after: list[int] = field(default_factory=list)
    break_each: int = 0
    statuses: list[int] = field(default_factory=list)
    retry_after: int = 0
    tells_codes: bool = True
    gated: bool = False
    ranges: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    page: bytes = b""
    etag: str = ""
    holes: dict[str, int] = field(default_factory=dict)

    @property
    def repositories(self) -> dict[str, dict[str, bytes]]:
        return {self.repo: self.files, **self.others}


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
        path, _, query = self.path.partition("?")
        if self.hub.statuses and path != "/api/agent-harnesses":  # it may ask this before
            self._send(self.hub.statuses.pop(0), b"{}")
            return
        if self.hub.page:
            self._send(200, self.hub.page)
            return
        if path == "/api/models":
            self._send(200, json.dumps(self._search(parse_qs(query))).encode())
            return
        repo = next((r for r in self.hub.repositories if f"/{r}/" in f"{path}/"), "")
        files = self.hub.repositories.get(repo, {})
        file = unquote(path).removeprefix(f"/{repo}/resolve/main/")
        if repo and path == f"/api/models/{repo}/tree/main":
            self._send(200, json.dumps([_entry(*each) for each in files.items()]).encode())
        elif repo and path == f"/api/models/{repo}":
            siblings = [{"rfilename": name} for name in files]
            self._send(200, json.dumps({"id": repo, "siblings": siblings}).encode())
        elif file in files and self.hub.gated and not self.headers["Authorization"]:
            self._refuse(401, "GatedRepo")
        elif file in files:
            self._send_file(files[file], self.hub.holes.get(file, 0), with_body=with_body)
        else:
            self._refuse(404, "EntryNotFound" if repo else "RepoNotFound")

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if self.hub.tells_codes:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _search(self, query: dict[str, list[str]]) -> list[dict[str, object]]:
        """Find repositories as the hub does: by a text in their names, case aside."""
        (text,), (limit,) = query["search"], query["limit"]
        found = [
            repo
            for repo, files in self.hub.repositories.items()
            if text.lower() in repo.lower()
            and ("gguf" not in query.get("filter", []) or any(f.endswith(".gguf") for f in files))
        ]
        return [{"id": repo, "modelId": repo} for repo in found[: int(limit)]]

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 200:
            self.send_header("Retry-After", str(self.hub.retry_after))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, content: bytes, hole: int, *, with_body: bool) -> None:
        asked = self.headers.get("Range", "")
        if asked:
            self.hub.ranges.append(asked)
        if with_body and self.hub.break_after and self.hub.break_after[0] < 0:
            self._send(-self.hub.break_after.pop(0), b"{}")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked) if self.hub.knows_ranges else None
        start = int(wanted[1]) if wanted else 0
        stop = size = len(content) + hole
        if wanted and wanted[2]:
            stop = min(stop, int(wanted[2]) + 1)
        if with_body and hole and stop == size:
            self._send(500, b"{}")
            return
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("ETag", f'"{self.hub.etag or hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            if self.hub.break_after:
                stop = min(stop, start + self.hub.break_after.pop(0))
            elif self.hub.break_each:
                stop = min(stop, start + self.hub.break_each)
            content = content + bytes(max(0, stop - len(content))) if hole else content
            holds = self.hub.holds if stop == size else None
            half = (start + stop) // 2 if holds else stop
            self.wfile.write(content[start:half])
            if holds:
                holds.wait()
                with suppress(OSError):  # whoever asked may have gone
                    self.wfile.write(content[half:stop])
            self.close_connection = True


def _entry(path: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(content), "oid": "b" * 40}
