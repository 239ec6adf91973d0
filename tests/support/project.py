"""A copy of the project with state of its own, and `lectern up` running in it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from flows.server import RunningServer
from tasks.settings import PROJECT_ROOT


@dataclass(frozen=True)
class Up:
    """A running `lectern up`."""

    process: subprocess.Popen[str]
    url: str
    children: list[psutil.Process]

    def stop(self) -> None:
        """End it as Ctrl-C does, and wait for it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)


@dataclass(frozen=True)
class Project:
    """A copy of the project, with its own state, and the environment of a shell in it."""

    root: Path
    environment: dict[str, str]

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *command], cwd=self.root, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command: str, timeout: float = 90) -> tuple[int, str]:
        process = self.start(*command)
        said = process.communicate(timeout=timeout)[0]
        return process.returncode, said

    def up(self) -> Up:
        """Start `lectern up`, and return when it can be used."""
        process = self.start("flows.cli", "up", "--port", "0")
        assert process.stdout is not None
        said = ""
        while "log in with" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        url = re.findall(r"http://127.0.0.1:\d+", said)[-1]
        return Up(process, url, psutil.Process(process.pid).children(recursive=True))


def copy_project(root: Path, server: RunningServer, **environment: object) -> Project:
    """Copy the project's code to `root`; data comes along as links, results do not.

    Args:
        server: one whose database is copied, to spare the new server its migrations.
        environment: of the shell, beside this process's own; nothing of Prefect's or Lectern's
            is inherited.
    """
    for name in ("flows", "tasks", "prompts", "deployments"):
        shutil.copytree(PROJECT_ROOT / name, root / name)
    shutil.copy(PROJECT_ROOT / "pyproject.toml", root)
    (root / "data").mkdir()
    for name in ("models", "samples"):
        (root / "data" / name).symlink_to(PROJECT_ROOT / "data" / name)
    shutil.copy(PROJECT_ROOT / "data" / "samples" / "two-columns-en.pdf", root / "paper.pdf")
    copy_database(server, root / ".lectern" / "prefect")
    outer = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "LECTERN"))}
    own = {"PYTHONPATH": str(root), "COLUMNS": "200"} | {k: str(v) for k, v in environment.items()}
    return Project(root, outer | own)


def copy_database(server: RunningServer, home: Path) -> None:
    """Spare the second server what takes a first one longest: its migrations."""
    home.mkdir(parents=True)
    source = server.log.parent.parent / "prefect" / "prefect.db"
    with (
        closing(sqlite3.connect(source)) as one,
        closing(sqlite3.connect(home / "prefect.db")) as other,
    ):
        one.backup(other)
