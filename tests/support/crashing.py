"""A world to kill things in: a copy of the project with `lectern up`, and a pool whose worker
answers by rule.

Knows how runs are started and what is there. Who is killed, and when, is `support.killing`'s
business; what must hold afterwards is the tests'.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import polars as pl
import polars.selectors as cs
import psutil
from filelock import FileLock
from support.project import Project, Up, copy_project
from support.scripted_server import Rule

from flows.server import RunningServer, ServerAddress, read_connection
from tasks.land import read_table
from tasks.pool.lifecycle import PoolFiles, pool_status, stop_pool
from tasks.settings import PROJECT_ROOT, Settings

TABLES = {
    "sources": ["source_id"],
    "segments": ["source_id", "n"],
    "cues": ["source_id", "cue"],
    "words": ["source_id", "start_s", "cue"],
    "generations": ["key", "attempt"],
    "documents": ["document_id"],
    "lines": ["document_id", "n"],
    "glossary": ["document_id", "term"],
}
# Columns that may differ between runs: points in time, seconds, ids of runs, who answered.
_VARYING = (
    cs.temporal()
    | (cs.ends_with("_s") - cs.by_name("start_s", "end_s", "duration_s", require_all=False))
    | cs.by_name("flow_run_id", "task_run_id", "worker", require_all=False)
)
OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_SAMPLES = PROJECT_ROOT / "data" / "samples"


@dataclass(frozen=True)
class Task:
    """What a run does: a command and its arguments, and the same for the deployment.

    Two documents: one is landed while the other is asked about.
    """

    command: tuple[str, ...]
    deployment: str
    parameters: dict[str, Any]


TASKS = {
    # Both take notes and merges.
    "summarize": Task(("summarize",), "summarize-pdf", {}),
    "translate": Task(("translate", "--to", "zh"), "translate-pdf", {"to": "zh"}),
    # Of a lecture that has to be fetched and heard: the test puts where it is into SOURCES.
    "lecture": Task(("summarize",), "summarize-video", {}),
}
SOURCES = {
    "summarize": [str(_SAMPLES / f"{name}.pdf") for name in ("two-columns-en", "chinese-zh")],
    "translate": [str(_SAMPLES / f"{name}.pdf") for name in ("two-columns-en", "handbook-en")],
}
PATIENCE_S = 150.0
# Of translations: a name is rendered, one chunk takes two rungs, and another all.
RULES = (
    Rule("say", match="现在写出译法", text="[1] 布林赫斯特"),
    Rule("mistake", match="章节：The Price of a Short Line", text="drop", seed=0),
    Rule("mistake", match="章节：Care > Cleaning", text="garbage", seed=0),
    Rule("mistake", match="章节：Care > Cleaning", text="truncate", seed=1),
    Rule("mistake", match="章节：Care > Cleaning", text="empty", seed=2),
)
_ASK_EVERY_S = 0.5  # the server, which has the same cores as those who work
_MARK = "CRASHING_WORLD"
_WORKER = "from support.scripted_worker import main\n\nmain()\n"


def lasting(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of a table that are the same whenever and however it is made."""
    return rows.drop(_VARYING)


def wait_until(
    condition: Callable[[], Any], patience_s: float = PATIENCE_S, every_s: float = 0.02
) -> Any:
    """Return the first result that is true; fail when patience ends."""
    deadline = time.monotonic() + patience_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s in vain"
        time.sleep(every_s)
    return result


@dataclass
class World:
    """The copy, its `lectern up`, and what may be in it."""

    project: Project
    up: Up
    mark: str
    restarts: int = 0  # of what this `lectern up` keeps running
    task: str = "summarize"  # of TASKS
    _http: httpx.Client = field(default_factory=httpx.Client)

    @property
    def results(self) -> Path:
        return self.project.root / "data" / "results"

    @property
    def home(self) -> Path:
        return self.project.root / ".lectern"

    @property
    def parts(self) -> int:
        """Return how often the ledger was written to."""
        return len(list(self.results.glob("generations/part-*")))

    @property
    def answered(self) -> list[str]:
        """Return the hashes of the prompts that the worker has answered, in order."""
        log = Path(self.project.environment["SCRIPTED_LOG"])
        return log.read_text().split() if log.exists() else []

    def forget(self) -> None:
        """Empty the results, and the record of what was asked."""
        if self.results.exists():
            self.results.rename(self.results.with_name(f"results-{uuid4().hex}"))
        Path(self.project.environment["SCRIPTED_LOG"]).unlink(missing_ok=True)
        for name in ("media", "speech"):
            shutil.rmtree(self.home / name, ignore_errors=True)

    def pieces(self) -> dict[Path, int]:
        """Return the pieces of recordings that are recognised, and when each was written (ns)."""
        return {path: path.stat().st_mtime_ns for path in self.home.glob("speech/*/piece-*")}

    def tables(self) -> dict[str, pl.DataFrame]:
        return {
            name: read_table(self.results, name).collect().sort(keys)
            for name, keys in TABLES.items()
        }

    def files(self) -> dict[str, bytes]:
        """Return what the finished documents' files hold, by their places."""
        paths = [Path(path) for row in self.tables()["documents"]["paths"] for path in row]
        return {str(path.relative_to(self.results)): path.read_bytes() for path in paths}

    def start_up(self) -> None:
        """Start `lectern up` once more; the one before has ended."""
        self.up = self.project.up()
        self.restarts = 0

    def renew(self) -> None:
        """Start afresh, whatever the last run has left."""
        for process in self.processes():
            process.kill()
        self.up.process.communicate()
        self.start_up()

    # Runs.

    def command(self, *more: str) -> subprocess.Popen[str]:
        command = TASKS[self.task].command
        return self.project.start("flows.cli", *command, *SOURCES[self.task], *more)

    def deployment_run(self) -> UUID:
        task = TASKS[self.task]
        wanted_name = {"deployments": {"name": {"any_": [task.deployment]}}}
        [deployment] = self._ask("/deployments/filter", wanted_name)
        wanted = {
            "parameters": {"sources": SOURCES[self.task], **task.parameters},
            "state": {"type": "SCHEDULED"},
            "idempotency_key": uuid4().hex,  # one run, however often it is asked for
        }
        return UUID(self._ask(f"/deployments/{deployment['id']}/create_flow_run", wanted)["id"])

    def state(self, run: UUID) -> dict[str, Any]:
        """Return a run's state; {} while no server answers."""
        try:
            answer = self._client().get(f"/flow_runs/{run}")
        except httpx.HTTPError:
            return {}
        return dict(answer.json()["state"]) if answer.is_success else {}

    def newest_run(self) -> dict[str, Any]:
        """Return what the server knows of the run that began last."""
        return self.begun()[0]

    def cancel(self, run: UUID) -> None:
        """Do what the UI's button does."""
        state = {"state": {"type": "CANCELLING"}, "force": False}
        self._ask(f"/flow_runs/{run}/set_state", state)

    def open_runs(self) -> list[str]:
        """Return the names of the runs that the server does not take for over."""
        return [f"{each['name']} {each['state_type']}" for each in self.begun()
                if each["state_type"] not in OVER]  # fmt: skip

    def begun(self) -> list[dict[str, Any]]:
        """Return what the server knows of its latest runs; the next nights' are planned already."""
        begun = {"flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}}}
        wanted = {"sort": "EXPECTED_START_TIME_DESC", **begun}
        return list(self._ask("/flow_runs/filter", wanted))

    def _client(self) -> httpx.Client:
        """Return a client of the server that runs now."""
        address = self.address
        if str(self._http.base_url) != f"{address.url}/":
            user, _, password = address.auth.partition(":")
            self._http.close()
            self._http = httpx.Client(base_url=address.url, auth=(user, password), timeout=30)
        return self._http

    def hang_up(self) -> None:
        self._http.close()

    def _ask(self, path: str, content: dict[str, Any]) -> Any:
        """Return what the server answers; ask again as long as it is too busy to."""
        return wait_until(lambda: self._answer(path, content), every_s=_ASK_EVERY_S).json()

    def _answer(self, path: str, content: dict[str, Any]) -> httpx.Response | None:
        client = self._client()
        try:
            token = client.get("/csrf-token", params={"client": self.mark}).raise_for_status()
            mark = {"Prefect-Csrf-Token": token.json()["token"], "Prefect-Csrf-Client": self.mark}
            return client.post(path, json=content, headers=mark).raise_for_status()
        except httpx.TimeoutException:
            return None
        except httpx.HTTPStatusError as error:  # its database is SQLite
            if error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                return None
            raise

    @property
    def address(self) -> ServerAddress:
        address = read_connection(self.project.root / "prefect.toml")
        assert address is not None
        return address

    # The pool.

    def pool(self) -> list[psutil.Process]:
        """Return the pool's front and then its worker, as far as they live."""
        state = PoolFiles(self.home).read_state()
        front = state.process() if state else None
        return [front, *front.children()] if front else []

    def is_pool_busy(self) -> bool:
        status = pool_status(Settings(home=self.home))
        return status is not None and bool(status.running or status.waiting)

    def stop_pool(self) -> None:
        stop_pool(Settings(home=self.home))

    # Processes and files.

    def processes(self) -> list[psutil.Process]:
        """Return whatever has been started in this world and lives."""
        return [each for each in psutil.process_iter() if self._is_ours(each)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            ours = process.environ().get(_MARK) == self.mark
            return ours and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def find(self, *words: str) -> list[psutil.Process]:
        """Return the processes whose command line holds all of these words."""
        return [each for each in self.processes() if set(words) <= set(command_line(each))]

    def left_over(self) -> list[str]:
        """Return the processes that nobody needs now, by their command lines."""
        needed = {psutil.Process(self.up.process.pid), *self.pool(),
                  *self.find("uvicorn"), *self.find("worker", "start")}  # fmt: skip
        return [" ".join(command_line(each)) for each in self.processes() if each not in needed]

    def temporary_files(self) -> list[str]:
        """Return what looks like the rest of a write that was not finished."""
        root = self.project.root
        below = [*self.results.rglob("*"), *self.home.rglob("*"), *root.glob(".*")]
        return [str(each.relative_to(root)) for each in below
                if each.suffix in (".tmp", ".part") or each.name.startswith("tmp")]  # fmt: skip

    def held_locks(self) -> list[str]:
        """Return the locks that cannot be taken; those of `lectern up` and the pool are theirs."""
        theirs = {"up.lock", "pool.lock"}
        locks = [*self.results.rglob("*.lock"), *self.home.rglob("*.lock")]
        return [str(each) for each in locks if each.name not in theirs and not _is_free(each)]


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_free(path: Path) -> bool:
    try:
        with FileLock(path, blocking=False):
            return True
    except TimeoutError:
        return False


@contextmanager
def world(root: Path, server: RunningServer, model: Path, delay_s: float) -> Iterator[World]:
    """Make a world and run it; nothing is left of it afterwards."""
    mark = uuid4().hex
    project = copy_project(
        root, server, LECTERN_MODEL=model, LECTERN_POOL_N_SEQ_MAX=2, SCRIPTED_DELAY=delay_s,
        SCRIPTED_LOG=root / "asked.log",
        SCRIPTED_RULES=json.dumps([asdict(rule) for rule in RULES]), **{_MARK: mark},
        LECTERN_ALLOW_PRIVATE_ADDRESSES="true", LECTERN_SPEECH_MODEL="demo",
        LECTERN_SPEECH_BATCH=1,
    )  # fmt: skip
    asked = root / "tasks" / "media" / "speech_request.py"
    asked.write_text(asked.read_text().replace("speech_s: float = 480.0", "speech_s: float = 30.0"))
    (root / "tasks" / "pool" / "worker.py").write_text(_WORKER)
    project.environment["PYTHONPATH"] = os.pathsep.join([str(root), str(PROJECT_ROOT / "tests")])
    (root / "tmp").mkdir()
    project.environment["TMPDIR"] = str(root / "tmp")
    made = World(project, project.up(), mark)
    try:
        yield made
        made.up.stop()
        wait_until(lambda: not made.processes(), 30)
    finally:
        made.hang_up()
        for process in made.processes():
            process.kill()


@dataclass
class Run:
    """A run under way: by a command, or by the deployment."""

    command: subprocess.Popen[str] | None = None
    id: UUID | None = None
    _asked_at: float = 0.0

    def ended(self, world: World) -> bool:
        """Tell whether it has ended; of a deployment's run that is known a little later."""
        if self.command is not None:
            return self.command.poll() is not None
        if time.monotonic() - self._asked_at < _ASK_EVERY_S:
            return False
        self._asked_at = time.monotonic()
        return self.state(world).get("type") in OVER

    def state(self, world: World) -> dict[str, Any]:
        assert self.id is not None
        return world.state(self.id)

    def went_well(self, world: World) -> bool:
        """Wait for its end; tell whether it was a good one, and print what it said."""
        if self.command is not None:
            said = self.command.communicate(timeout=PATIENCE_S)[0]
            print(said)
            return self.command.returncode == 0
        wait_until(lambda: self.ended(world))
        state = self.state(world)
        print(f"{self.id}: {state.get('name')}: {state.get('message')}")
        return state.get("type") == "COMPLETED"


def start(world: World, how: str) -> Run:
    if how == "command":
        return Run(command=world.command())
    return Run(id=world.deployment_run())
