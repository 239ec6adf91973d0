"""A world to kill things in: a copy of the project with `lectern up`, a pool whose worker answers
by rule, and whoever is to be killed in it found by what they are.

Knows how runs are started and what is there; what must hold afterwards is the tests' business.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import polars as pl
import polars.selectors as cs
import psutil
from filelock import FileLock
from support.project import Project, Up, copy_project

from flows.server import RunningServer, ServerAddress, read_connection
from tasks.land import read_table
from tasks.pool.lifecycle import PoolFiles, pool_status
from tasks.settings import PROJECT_ROOT, Settings

TABLES = {
    "sources": ["source_id"],
    "segments": ["source_id", "n"],
    "generations": ["key", "attempt"],
    "documents": ["document_id"],
}
# Columns that may differ between runs: points in time, seconds, ids of runs, who answered.
_VARYING = (
    cs.temporal()
    | cs.ends_with("_s")
    | cs.by_name("flow_run_id", "task_run_id", "worker", require_all=False)
)
OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_MARK = "CRASHING_WORLD"
_PATIENCE_S = 150.0
_WORKER = "from support.scripted_worker import main\n\nmain()\n"


def lasting(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of a table that are the same whenever and however it is made."""
    return rows.drop(_VARYING)


def wait_until(condition: Callable[[], Any], patience_s: float = _PATIENCE_S) -> Any:
    """Return the first result that is true; fail when patience ends."""
    deadline = time.monotonic() + patience_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s in vain"
        time.sleep(0.02)
    return result


@dataclass
class World:
    """The copy, its `lectern up`, and what may be in it."""

    project: Project
    up: Up
    mark: str
    book: str

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

    def tables(self) -> dict[str, pl.DataFrame]:
        return {
            name: read_table(self.results, name).collect().sort(keys)
            for name, keys in TABLES.items()
        }

    # Runs.

    def command(self, *more: str) -> subprocess.Popen[str]:
        return self.project.start("flows.cli", "summarize", self.book, *more)

    def deployment_run(self) -> UUID:
        with self.api() as client:
            [deployment] = client.post("/deployments/filter", json={}).raise_for_status().json()
            wanted = {"parameters": {"sources": [self.book]}, "state": {"type": "SCHEDULED"}}
            url = f"/deployments/{deployment['id']}/create_flow_run"
            # Its database is SQLite: 503 says that it is busy.
            made = wait_until(lambda: _unless_busy(client.post(url, json=wanted)))
            return UUID(made.json()["id"])

    def state(self, run: UUID) -> str:
        """Return a run's state type; "" while no server answers."""
        try:
            with self.api() as client:
                answer = client.get(f"/flow_runs/{run}")
        except httpx.HTTPError:
            return ""
        return answer.json()["state"]["type"] if answer.is_success else ""

    def newest_run(self) -> dict[str, Any]:
        """Return what the server knows of the run that began last."""
        newest = {"sort": "EXPECTED_START_TIME_DESC", "limit": 1}
        with self.api() as client:
            [run] = client.post("/flow_runs/filter", json=newest).raise_for_status().json()
        return dict(run)

    def cancel(self, run: UUID) -> None:
        """Do what the UI's button does."""
        with self.api() as client:
            state = {"state": {"type": "CANCELLING"}, "force": False}
            client.post(f"/flow_runs/{run}/set_state", json=state).raise_for_status()

    def is_pool_busy(self) -> bool:
        status = pool_status(Settings(home=self.home))
        return status is not None and bool(status.running or status.waiting)

    def open_runs(self) -> list[str]:
        """Return the names of the runs that the server does not take for over."""
        with self.api() as client:
            found = client.post("/flow_runs/filter", json={}).raise_for_status().json()
        return [f"{each['name']} {each['state_type']}" for each in found
                if each["state_type"] not in OVER]  # fmt: skip

    @contextmanager
    def api(self) -> Iterator[httpx.Client]:
        """Give a client of the server that runs now."""
        address = self.address
        user, _, password = address.auth.partition(":")
        with httpx.Client(base_url=address.url, auth=(user, password), timeout=30) as client:
            token = client.get("/csrf-token", params={"client": self.mark}).json()["token"]
            client.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": self.mark})
            yield client

    @property
    def address(self) -> ServerAddress:
        address = read_connection(self.project.root / "prefect.toml")
        assert address is not None
        return address

    # Processes.

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
        return [each for each in self.processes() if set(words) <= set(_command(each))]

    def pool(self) -> list[psutil.Process]:
        """Return the pool's front and then its worker, as far as they live."""
        state = PoolFiles(self.home).read_state()
        front = state.process() if state else None
        return [front, *front.children()] if front else []

    def left_over(self) -> list[str]:
        """Return the processes that nobody needs now, by their command lines."""
        needed = {psutil.Process(self.up.process.pid), *self.pool(),
                  *self.find("uvicorn"), *self.find("worker", "start")}  # fmt: skip
        return [" ".join(_command(each)) for each in self.processes() if each not in needed]

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


def _unless_busy(answer: httpx.Response) -> httpx.Response | None:
    return None if answer.status_code == 503 else answer.raise_for_status()


def _command(process: psutil.Process) -> list[str]:
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
        SCRIPTED_LOG=root / "asked.log", **{_MARK: mark},
    )  # fmt: skip
    (root / "tasks" / "pool" / "worker.py").write_text(_WORKER)
    project.environment["PYTHONPATH"] = os.pathsep.join([str(root), str(PROJECT_ROOT / "tests")])
    (root / "tmp").mkdir()
    project.environment["TMPDIR"] = str(root / "tmp")
    made = World(project, project.up(), mark, str(PROJECT_ROOT / "data/samples/handbook-en.pdf"))
    try:
        yield made
        made.up.stop()
        wait_until(lambda: not made.processes(), 30)
    finally:
        for process in made.processes():
            process.kill()


# Killing.

Victims = Callable[[World, "Run"], list[psutil.Process]]


@dataclass(frozen=True)
class Run:
    """A run under way: by a command, or by the deployment."""

    command: subprocess.Popen[str] | None = None
    id: UUID | None = None

    def ended(self, world: World) -> bool:
        if self.command is not None:
            return self.command.poll() is not None
        assert self.id is not None
        return world.state(self.id) in OVER

    def went_well(self, world: World) -> bool:
        """Wait for its end; tell whether it was a good one."""
        if self.command is not None:
            said = self.command.communicate(timeout=_PATIENCE_S)[0]
            print(said)
            return self.command.returncode == 0
        wait_until(lambda: self.ended(world))
        assert self.id is not None
        return world.state(self.id) == "COMPLETED"


def start(world: World, how: str) -> Run:
    if how == "command":
        return Run(command=world.command())
    return Run(id=world.deployment_run())


def flow(world: World, run: Run) -> list[psutil.Process]:
    if run.command is not None:
        return [psutil.Process(run.command.pid)] if run.command.poll() is None else []
    pool = world.pool()
    return [each for each in world.processes() if each not in pool and _runs(each, str(run.id))]


def _runs(process: psutil.Process, run: str) -> bool:
    """Tell whether a process is the flow's own, rather than one that it has started."""
    try:
        if process.environ().get("PREFECT__FLOW_RUN_ID") != run:
            return False
        parent = process.parent()
        return parent is None or parent.environ().get("PREFECT__FLOW_RUN_ID") != run
    except psutil.Error:
        return False


def pool_worker(world: World, run: Run) -> list[psutil.Process]:
    return world.pool()[1:]


def front(world: World, run: Run) -> list[psutil.Process]:
    return world.pool()[:1]


def prefect_worker(world: World, run: Run) -> list[psutil.Process]:
    return world.find("prefect", "worker", "start")


def prefect_server(world: World, run: Run) -> list[psutil.Process]:
    return world.find("uvicorn")


def everything(world: World, run: Run) -> list[psutil.Process]:
    return world.processes()


TARGETS: dict[str, Victims] = {
    "flow": flow,
    "pool-worker": pool_worker,
    "pool-front": front,
    "prefect-worker": prefect_worker,
    "prefect-server": prefect_server,
    "everything": everything,
}


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after the start, or once the ledger has so many rows of this run."""

    after_s: float | None = None
    writes: int | None = None

    @classmethod
    def any(cls, rng: random.Random, duration_s: float, writes: int) -> Moment:
        if rng.random() < 0.5:
            return cls(after_s=rng.uniform(0, duration_s))
        return cls(writes=rng.randrange(writes))

    def wait(self, world: World, run: Run) -> None:
        if self.after_s is not None:
            time.sleep(self.after_s)
            return
        wait_until(lambda: world.parts >= (self.writes or 0) or run.ended(world))


def kill(processes: list[psutil.Process]) -> None:
    """SIGKILL all at once, and wait until they are gone."""
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=10)
