"""The process that fetches: `python -m tasks.media.fetch_child`, its request as JSON on stdin.

The only place where yt-dlp runs. It holds itself to its limits and to the guard before yt-dlp is
there, tells by an inherited descriptor how far it is, and ends when its parent does.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from tasks.extract.child import end_with_parent
from tasks.media import guarded
from tasks.media.fetch_failures import explain, problem
from tasks.media.fetch_request import Answer, FetchRequest, Told

_TELL_EVERY_S = 0.2
_MEMORY = 2 << 30  # bytes of address space; media go through in blocks, pages are read whole
_PROGRAMS = {"deno": {"deno"}, "node": {"node"}, "bun": {"bun"}, "quickjs": {"qjs", "quickjs"}}
# What yt-dlp would use if it were not there too: it takes a third of the time to load.
_UNWANTED = ("curl_cffi", "mutagen", "requests", "secretstorage", "urllib3", "websockets")
_PORTS = {"http": 80, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
_PROXY = "Correct LECTERN_MEDIA_PROXY"

Tell = Callable[[str, int, int], None]


def main() -> None:
    request = FetchRequest(**json.loads(sys.stdin.readline()))
    threading.Thread(target=end_with_parent, daemon=True).start()
    _limit(request)
    teller = _Teller(request.answers)
    teller.write(_outcome(request, teller.tell))
    os._exit(0)  # the watching thread would not end


class _Teller:
    """Writes lines for the parent; how far it is only so often."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._last = 0.0

    def tell(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _TELL_EVERY_S or done == total:
            self._last = now
            self.write(Told(name=name, done=done, total=total))

    def write(self, told: Told) -> None:
        line = json.dumps(asdict(told)).encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]


def _limit(request: FetchRequest) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limits = [(resource.RLIMIT_FSIZE, request.max_mb * 2**20 + 2**20)]  # behind the real check
    if request.js_runtime == "none":  # which reserves any amount of address space
        limits.append((resource.RLIMIT_AS, _MEMORY))
    for what, amount in limits:
        _, hard = resource.getrlimit(what)
        amount = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        resource.setrlimit(what, (amount, hard))


def _outcome(request: FetchRequest, tell: Tell) -> Told:
    try:
        return Told(answer=_answer(request, tell))
    except Exception as error:  # of any kind: a site's extractor may fail in any way
        return Told(failure=explain(error, request))


def _answer(request: FetchRequest, tell: Tell) -> Answer:
    guarded.install(_guard(request))
    _shut_out()
    from tasks.media.fetch_listing import list_entries
    from tasks.media.fetch_page import fetch
    from tasks.media.fetch_site import Site

    with Site(request, tell) as site:
        if request.task == "entries":
            return list_entries(site)
        return fetch(site, Path(request.folder))


def _shut_out() -> None:
    """Keep from yt-dlp what it would find by itself: plug-ins, proxies, C code that connects."""
    os.environ["YTDLP_NO_PLUGINS"] = "1"
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    sys.modules.update(dict.fromkeys(_UNWANTED))  # type: ignore[arg-type]  # None: not there


def _guard(request: FetchRequest) -> guarded.Guard:
    programs = _PROGRAMS.get(request.js_runtime, set())
    return guarded.Guard(request.allow_private, _addresses(request.proxy), frozenset(programs))


def _addresses(proxy: str) -> frozenset[tuple[str, int]]:
    """Resolve the proxy, which may be in this network: the user has named it."""
    if not proxy:
        return frozenset()
    address = urlsplit(proxy)
    if address.scheme not in _PORTS:
        names = ", ".join(f"{name}://" for name in _PORTS)
        raise problem(f"the proxy is of a kind that is not used; these are: {names}", _PROXY)
    port = address.port or _PORTS[address.scheme]
    try:
        found = socket.getaddrinfo(address.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        text = f"the proxy {address.hostname} can't be found"
        raise problem(text, _PROXY) from error
    return frozenset((str(entry[4][0]), port) for entry in found)


if __name__ == "__main__":
    main()
