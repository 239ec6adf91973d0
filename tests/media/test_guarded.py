"""The guard of the process that fetches, in processes of their own: it can't be taken away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.lecture_site import lecture_site

from tasks.media.guarded import is_public, private_literal
from tasks.settings import PROJECT_ROOT

_TRY = """
import http.client, json, os, socket, subprocess, sys, urllib.request
from tasks.media import guarded
open_port, closed_port, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
guarded.install(guarded.Guard(
    allowed=frozenset({("127.0.0.1", open_port)}), programs=frozenset({"true"})))

def connection(host, port):
    it = http.client.HTTPConnection(host, port)
    it.request("GET", "/")
    return it.getresponse().status

attempts = {
    "allowed": lambda: connection("127.0.0.1", open_port),
    "address": lambda: connection("127.0.0.1", closed_port),
    "name": lambda: connection("localhost", closed_port),
    "connect_ex": lambda: socket.socket().connect_ex(("127.0.0.1", closed_port)),
    "unresolved": lambda: socket.socket().connect(("localhost", closed_port)),
    "udp": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("10.0.0.1", 53)),
    "message": lambda: socket.socket(type=socket.SOCK_DGRAM).sendmsg(
        [b"x"], [], 0, ("10.0.0.1", 53)),
    "unix": lambda: socket.socket(socket.AF_UNIX).connect(folder + "/socket"),
    "file": lambda: urllib.request.urlopen("file:///etc/passwd"),
    "program": lambda: subprocess.run(["touch", folder + "/ran"]),
    "shell": lambda: subprocess.run("touch " + folder + "/ran", shell=True),
    "system": lambda: os.system("touch " + folder + "/ran"),
    "spawn": lambda: os.posix_spawn("/usr/bin/touch", ["touch", folder + "/ran"], {}),
    "fork": lambda: os.fork() or os._exit(0),
    "exec": lambda: os.execv("/usr/bin/touch", ["touch", folder + "/ran"]),
    "permitted": lambda: subprocess.run(["true"]).returncode,
}
said = {}
for name, attempt in attempts.items():
    try:
        said[name] = attempt()
    except OSError as error:
        said[name] = getattr(error, "problem", repr(error))
print(json.dumps(said))
"""


def test_the_guard_lets_through_only_what_is_allowed(tmp_path: Path) -> None:
    """No way of Python's to an address of this network, or to a program, is open."""
    with lecture_site() as allowed, lecture_site() as other:
        allowed.put("/", b"here")
        command = [sys.executable, "-c", _TRY, str(allowed.port), str(other.port), str(tmp_path)]
        done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, check=True)
        said = json.loads(done.stdout)

        assert other.asked == []
    assert (said.pop("allowed"), said.pop("permitted")) == (200, 0)
    private = ("address", "connect_ex", "udp", "message", "name", "unresolved")
    for name in private:
        assert "leads to the private address" in said.pop(name)
    assert said.pop("unix").startswith("leads to a socket of this machine")
    assert said.pop("file") == "leads to file:, which is not fetched"
    assert {text.rpartition(", ")[2] for text in said.values()} == {"which is not run"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1%eth0",
        "fd00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "nowhere",
        "2001:0:4136:e378:8000:63bf:80ff:fffe", "fec0::1", "64:ff9b:1::7f00:1", "::127.0.0.1",
        "::ffff:0:127.0.0.1", "::ffff:93.184.215.14", "5f00::1", "4000::1",
    ],
)  # fmt: skip
def test_these_are_no_addresses_of_the_internet(address: str) -> None:
    """Also where one kind of address wraps another."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "1.1.1.1", "2606:2800:21f::1", "64:ff9b::5db8:d70e"]
)
def test_these_are(address: str) -> None:
    """Or nothing could be fetched."""
    assert is_public(address)
    assert private_literal(address) is None


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("localhost", "127.0.0.1"),
        ("LOCALHOST.", "127.0.0.1"),
        ("x.localhost", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("::ffff:10.0.0.1", "::ffff:a00:1"),
        ("lectures.example", None),
        ("1.1.1.1", None),
    ],
)
def test_an_address_is_known_however_it_is_written(host: str, address: str | None) -> None:
    """A proxy would resolve them by itself."""
    assert private_literal(host) == address
