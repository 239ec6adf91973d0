"""What a process that talks to strangers may do: which addresses it may reach, which programs run.

Owns an audit hook of the interpreter, which sees every connection and every program that Python
code starts, redirects and names that resolve anew included. C code that opens sockets by itself
escapes it. Knows nothing of yt-dlp.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

PRIVATE = "Set LECTERN_ALLOW_PRIVATE_ADDRESSES=true to allow addresses of this network"
_SCHEMES = ("http", "https", "data")
_SENDING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_PROGRAMS = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system",
     "pty.spawn", "webbrowser.open"}
)  # fmt: skip
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits
_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291: all that IANA gives to the internet


class NotAllowedError(PermissionError):
    """The guard does not let it through.

    Args:
        problem, remedy: as a PipelineError has them.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(errno.EACCES, problem)
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True)
class Guard:
    """What is let through.

    Attributes:
        allowed: addresses, each with its port, that may be private: the proxy's.
        programs: file names of those that may be started.
    """

    allow_private: bool = False
    allowed: frozenset[tuple[str, int]] = frozenset()
    programs: frozenset[str] = frozenset()


def install(guard: Guard) -> None:
    """Hold this process to it, for good: an audit hook can't be taken away again."""
    watch = _Watch(guard)
    handlers: dict[str, Callable[..., None]] = {
        "socket.getaddrinfo": watch.resolve,
        "urllib.Request": watch.request,
        "subprocess.Popen": watch.start,
        "ftplib.connect": watch.ftp,
        **dict.fromkeys(_SENDING, watch.send),
        **dict.fromkeys(_PROGRAMS, watch.run),
    }

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if handler := handlers.get(event):
            handler(*arguments)

    sys.addaudithook(hook)


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the open internet, also where it wraps another."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = _wrapped(ip)
        if wrapped is not None and not is_public(str(wrapped)):
            return False
        return ip in _NAT64 or (ip in _UNICAST and ip.is_global)
    return ip.is_global and not ip.is_multicast


def private_literal(host: str) -> str | None:
    """Return the private address that a URL's host spells out; None for names and public ones.

    Also in the old spellings that systems take for IPv4: 127.1, 0x7f000001, 2130706433.
    """
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761: always this machine
        return "127.0.0.1"
    try:
        address = str(ipaddress.ip_address(name.partition("%")[0]))
    except ValueError:
        try:
            address = socket.inet_ntoa(socket.inet_aton(name))
        except (OSError, UnicodeError):
            return None
    return None if is_public(address) else address


def _wrapped(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that is reached in the end: 6to4, Teredo, NAT64."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


class _Watch:
    """The handlers of audit events; their arguments are as Python documents them."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._resolved = threading.local()  # the name that a thread's next connection is to

    def resolve(self, host: Any, *rest: Any) -> None:
        self._resolved.host = os.fsdecode(host) if isinstance(host, str | bytes) else ""

    def send(self, _: object, address: Any = None, *rest: Any) -> None:
        if self._guard.allow_private or address is None:  # connected already
            return
        if not (isinstance(address, tuple) and len(address) >= 2):
            raise NotAllowedError(f"leads to a socket of this machine ({address!r})")
        ip, port = str(address[0]), address[1]
        if (ip, port) not in self._guard.allowed and not is_public(ip):
            raise _private(getattr(self._resolved, "host", ip), ip)

    def request(self, url: str, *rest: Any) -> None:
        """Look at a URL before it is asked for: a proxy would resolve and connect by itself."""
        address = urlsplit(url)
        if address.scheme.lower() not in _SCHEMES:
            raise NotAllowedError(f"leads to {address.scheme}:, which is not fetched")
        if self._guard.allow_private or not address.hostname:
            return
        if (private := private_literal(address.hostname)) is not None:
            raise _private(address.hostname, private)

    def ftp(self, *rest: Any) -> None:
        raise NotAllowedError("leads to ftp:, which is not fetched")

    def start(self, executable: Any, *rest: Any) -> None:
        if PurePath(os.fsdecode(executable)).name not in self._guard.programs:
            raise NotAllowedError(f"needs the program {os.fsdecode(executable)}, which is not run")

    def run(self, *rest: Any) -> None:
        raise NotAllowedError("needs another program, which is not run")


def _private(host: str, address: str) -> NotAllowedError:
    return NotAllowedError(f"{host} leads to the private address {address}", PRIVATE)
