"""A disk that loses, when the power goes, what was not synced.

`record` runs a script under strace and returns what it did to the files below a folder, with its
prints among it. `outages` then gives every state (or, of many, some) in which a power cut could
leave that folder: a write counts as kept for sure only once its file was synced, a name only once
its folder was; the rest is kept or lost in any combination.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_CALLS = (
    "openat,close,dup,dup2,dup3,fcntl,lseek,write,pwrite64,fsync,fdatasync,ftruncate,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "writev,pwritev,pwritev2,copy_file_range,sendfile,truncate"
)
_LINE = re.compile(r"^(?P<call>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_ALL_BELOW = 9  # so many operations in doubt have few enough combinations to try all
_SAMPLES = 48
_ROOT = 0  # the folder's own inode


@dataclass(frozen=True)
class Name:
    """Folder entries that change together: (folder, name) to the inode, or to None."""

    entries: dict[tuple[int, str], int | None]
    folder: bool = False  # what gets a name is a folder, and new

    @property
    def synced_by(self) -> set[int]:
        return {folder for folder, _ in self.entries}


@dataclass(frozen=True)
class Data:
    """Bytes written to a file; without any, it was cut to the offset's length."""

    inode: int
    offset: int
    data: bytes | None

    @property
    def synced_by(self) -> set[int]:
        return {self.inode}


@dataclass(frozen=True)
class Sync:
    """All of an inode's data, or of a folder's names, is on the disk now."""

    inode: int


@dataclass(frozen=True)
class Said:
    """The script has printed this, so it holds what it has done until here for done."""

    text: str


Operation = Name | Data | Sync | Said


@dataclass(frozen=True)
class Outage:
    """What is left: files by their path, and what had been said by then."""

    files: dict[str, bytes]
    folders: frozenset[str]
    said: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Put it into an empty folder."""
        for name in sorted(self.folders):
            (folder / name).mkdir(parents=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


def record(
    script: str, folder: Path, trace: Path, *arguments: object, **environment: str
) -> list[Operation]:
    """Run a Python script on `folder`, which is its first argument; return what it did there."""
    if not _has_strace():
        pytest.skip("needs strace: run `make debian`")
    command = ["strace", "-f", "-qq", "-xx", "-s", "100000000", "-e", f"trace={_CALLS}",
               "-o", str(trace), sys.executable, "-c", script,
               str(folder), *map(str, arguments)]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={
        **os.environ, "PYTHONUNBUFFERED": "1", "POLARS_MAX_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path), **environment,
    })  # fmt: skip
    recorder = _Recorder(folder)
    for line in _whole_lines(trace):
        recorder.take(line)
    return recorder.operations


def _has_strace() -> bool:
    try:
        done = subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0  # a container may forbid it


def _whole_lines(trace: Path) -> Iterator[str]:
    """Yield calls as lines, those that another thread's call interrupts put together."""
    begun: dict[str, str] = {}
    with trace.open() as file:
        for line in file:
            pid, _, rest = line.rstrip("\n").partition(" ")
            rest = rest.lstrip()
            if rest.endswith("<unfinished ...>"):
                begun[pid] = rest.removesuffix("<unfinished ...>")
            elif resumed := re.match(r"<\.\.\. \w+ resumed>", rest):
                yield begun.pop(pid, "") + rest[resumed.end() :]
            else:
                yield rest


@dataclass
class _Open:
    """An open file, which several descriptors may share."""

    inode: int
    position: int = 0
    append: bool = False


@dataclass
class _Recorder:
    """Follows names, descriptors and positions as the system calls go by."""

    root: Path
    operations: list[Operation] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=lambda: {"": _ROOT})
    _sizes: dict[int, int] = field(default_factory=dict)
    _open: dict[int, _Open] = field(default_factory=dict)
    _inodes: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def take(self, line: str) -> None:
        match = _LINE.match(line)
        if match is None or (result := int(match["result"])) < 0:
            return
        call, arguments = match["call"], match["arguments"].strip()
        strings = [bytes.fromhex(each.replace("\\x", "")) for each in _STRING.findall(arguments)]
        numbers = [int(each) for each in re.findall(r"(?:^|, )(-?\d+)(?=,|$)", arguments)]
        if call in ("openat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "truncate"):
            name = self._relative(strings[0])
            if name is not None:
                self._on_name(call, name, arguments, result)
        elif call in ("rename", "renameat", "renameat2", "link", "linkat"):
            self._moved(call, *(self._relative(each) for each in strings))
        elif call in ("write", "pwrite64") and numbers[0] == 1:
            self.operations += [Said(word) for word in strings[0].decode().split()]
        else:
            self._on_descriptor(call, numbers, arguments, strings, result)

    def _relative(self, path: bytes) -> str | None:
        """Return a path below the folder; "" for itself, None for elsewhere."""
        text = os.path.normpath(os.fsdecode(path))
        if text == str(self.root):
            return ""
        return text[len(str(self.root)) + 1 :] if text.startswith(f"{self.root}/") else None

    def _on_name(self, call: str, name: str, arguments: str, result: int) -> None:
        inode = self._names.get(name)
        if call in ("mkdir", "mkdirat"):
            self._named({name: next(self._inodes)}, folder=True)
        elif call in ("unlink", "unlinkat", "rmdir"):
            self._named({name: None})
        elif call == "truncate":
            raise AssertionError("truncate by name is not recorded yet")
        else:
            if inode is None:
                if "O_CREAT" not in arguments:  # through a symbolic link, which is not followed
                    return
                inode = next(self._inodes)
                self._sizes[inode] = 0
                self._named({name: inode})
            elif "O_TRUNC" in arguments and self._sizes[inode]:
                self._cut(inode, 0)
            self._open[result] = _Open(inode, append="O_APPEND" in arguments)

    def _moved(self, call: str, old: str | None, new: str | None) -> None:
        if old is None and new is None:
            return
        assert old is not None, "a file comes from elsewhere"
        assert new is not None, "a file goes elsewhere"
        gone: dict[str, int | None] = {} if call.startswith("link") else {old: None}
        self._named({**gone, new: self._names[old]})

    def _named(self, changes: dict[str, int | None], *, folder: bool = False) -> None:
        entries = {}
        for name, inode in changes.items():
            above, _, last = name.rpartition("/")
            entries[self._names[above], last] = inode
            if inode is None:
                del self._names[name]
            else:
                self._names[name] = inode
        self.operations.append(Name(entries, folder))

    def _on_descriptor(
        self, call: str, numbers: list[int], arguments: str, strings: list[bytes], result: int
    ) -> None:
        if call == "close":
            self._open.pop(numbers[0], None)
            return
        file = self._open.get(numbers[0])
        if file is None:
            if call.startswith("dup"):
                self._open.pop(result, None)
            return
        if call in ("fsync", "fdatasync"):
            self.operations.append(Sync(file.inode))
        elif call.startswith("dup") or (call == "fcntl" and "F_DUPFD" in arguments):
            self._open[result] = file
        elif call == "lseek":
            file.position = result
        elif call == "ftruncate":
            self._cut(file.inode, numbers[1])
        elif call == "write":
            if file.append:
                file.position = self._sizes[file.inode]
            self._wrote(file.inode, file.position, strings[0][:result])
            file.position += result
        elif call == "pwrite64":
            self._wrote(file.inode, numbers[-1], strings[0][:result])
        else:
            assert call == "fcntl", f"{call} is not recorded yet"

    def _wrote(self, inode: int, offset: int, data: bytes) -> None:
        self._sizes[inode] = max(self._sizes[inode], offset + len(data))
        self.operations.append(Data(inode, offset, data))

    def _cut(self, inode: int, size: int) -> None:
        self._sizes[inode] = size
        self.operations.append(Data(inode, size, None))


def outages(operations: list[Operation], seed: int = 0) -> Iterator[Outage]:
    """Yield the states that a power cut, after any operation, could leave; each once."""
    rng, seen = random.Random(seed), set[object]()
    for end in range(len(operations) + 1):
        done = operations[:end]
        doubtful = [n for n, each in enumerate(done) if not _is_kept(each, done[n + 1 :])]
        for lost in _combinations(doubtful, rng):
            outage = _left([each for n, each in enumerate(done) if n not in lost])
            key = (tuple(sorted(outage.files.items())), outage.folders, outage.said)
            if key not in seen:
                seen.add(key)
                yield outage


def _is_kept(operation: Operation, later: list[Operation]) -> bool:
    if isinstance(operation, Sync | Said):
        return True
    synced = {each.inode for each in later if isinstance(each, Sync)}
    return operation.synced_by <= synced


def _combinations(doubtful: list[int], rng: random.Random) -> Iterator[set[int]]:
    """Yield sets of operations to lose: all there are, or of many some that matter and others."""
    if len(doubtful) <= _ALL_BELOW:
        for size in range(len(doubtful) + 1):
            yield from map(set, itertools.combinations(doubtful, size))
        return
    for n in range(len(doubtful) + 1):
        yield set(doubtful[n:])
    for each in doubtful:
        yield {each}
        yield set(doubtful) - {each}
    for _ in range(_SAMPLES):
        yield {each for each in doubtful if rng.random() < 0.5}


def _left(operations: list[Operation]) -> Outage:
    """Return what these operations, and no others, have made of an empty folder."""
    folders: dict[int, dict[str, int]] = {_ROOT: {}}
    contents: dict[int, bytearray] = {}
    said = []
    for each in operations:
        if isinstance(each, Said):
            said.append(each.text)
        elif isinstance(each, Name):
            for (folder, name), inode in each.entries.items():
                names = folders.setdefault(folder, {})
                if each.folder and inode is not None:
                    folders.setdefault(inode, {})
                if inode is None:
                    names.pop(name, None)
                else:
                    names[name] = inode
        elif isinstance(each, Data):
            content = contents.setdefault(each.inode, bytearray())
            if each.data is None:
                del content[each.offset :]
            else:
                content.extend(bytes(max(0, each.offset - len(content))))
                content[each.offset : each.offset + len(each.data)] = each.data
    files: dict[str, bytes] = {}
    made: set[str] = set()

    def walk(folder: int, path: str) -> None:
        for name, inode in folders[folder].items():
            if inode in folders:
                made.add(path + name)
                walk(inode, f"{path}{name}/")
            else:
                files[path + name] = bytes(contents.get(inode, b""))

    walk(_ROOT, "")
    return Outage(files, frozenset(made), tuple(said))
