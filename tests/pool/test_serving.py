"""Tuning in the worker and the front that asks for it: requests come first and are answered alike,
and what was measured is there for the next start."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support import fake_worker
from support.fake_worker import ECHO
from support.tiny_model import write_tiny_model

from tasks.pool.guard import Activity
from tasks.pool.idle_tuning import IdleTuning
from tasks.pool.protocol import (
    Alive,
    Done,
    EngineRequest,
    Event,
    Measured,
    Order,
    Ready,
    Tune,
    Tuned,
    WorkerConfig,
    decode,
    encode,
)
from tasks.pool.supervisor import Supervisor
from tasks.pool.tickets import PoolModel
from tasks.pool.tuning import FIELDS, Tuning, keep, kept, missing, tuning_for
from tasks.pool.worker_process import WORKER_COMMAND
from tasks.settings import PROJECT_ROOT, Settings

pytestmark = pytest.mark.slow

FAKE = (sys.executable, str(Path(fake_worker.__file__)))
MODEL = "1" * 64


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> WorkerConfig:
    path = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")
    return WorkerConfig(model_path=str(path), n_ctx=512, n_threads=1, adapts=True)


class Child:
    """A worker, by its pipes."""

    def __init__(self, config: WorkerConfig) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            WORKER_COMMAND, stdin=pipe, stdout=pipe, cwd=PROJECT_ROOT, start_new_session=True
        )
        self.send(config)
        ready = self.until(Ready)[-1]
        assert isinstance(ready, Ready)
        self.ready = ready

    def send(self, *messages: Order | WorkerConfig) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(map(encode, messages)))
        self.process.stdin.flush()

    def until(self, kind: type[Event], n: int = 1) -> list[Event]:
        """Return the events up to the n-th of a kind."""
        assert self.process.stdout is not None
        events: list[Event] = []
        while sum(isinstance(each, kind) for each in events) < n:
            line = self.process.stdout.readline()
            assert line, "the worker has ended"
            events.append(decode(line))
        return events


@contextmanager
def running(config: WorkerConfig) -> Iterator[Child]:
    child = Child(config)
    try:
        yield child
    finally:
        child.process.kill()
        with child.process:  # which closes its pipes
            pass


def requests(first: int) -> list[EngineRequest]:
    """Return four that differ, with ids from `first` on."""
    return [
        EngineRequest(
            id=first + n, prompt=list(f"Number {n} asks why.".encode()), max_tokens=12,
            ignore_eos=True,
        )
        for n in range(4)
    ]  # fmt: skip


def texts(events: list[Event]) -> list[str]:
    done = sorted((each.id, each.text) for each in events if isinstance(each, Done))
    return [text for _, text in done]


@pytest.mark.parametrize(
    ("module", "absent"), [("tasks.pool.serving", "pydantic"), ("tasks.pool.server", "uvicorn")]
)
def test_what_begins_a_start_imports_little(module: str, absent: str) -> None:
    """A worker needs nothing of the front's, and is started before the front imports the rest."""
    code = f"import sys, {module}; sys.exit({absent!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT).returncode == 0


def test_a_worker_that_gets_no_model_ends_in_peace() -> None:
    ended = subprocess.run(
        WORKER_COMMAND, cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, capture_output=True
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_requests_that_come_while_it_measures_are_answered_first_and_alike(
    config: WorkerConfig,
) -> None:
    """Measuring ends at once, until it is asked for again."""
    with running(config) as child:
        child.send(*requests(0))
        before = texts(child.until(Done, 4))
        child.send(Tune(budget_s=60, free=list(FIELDS)))
        child.until(Measured)
        child.send(*requests(10))
        meanwhile = child.until(Done, 4)
        child.send(Tune(budget_s=60, free=list(FIELDS)))
        tuned = child.until(Tuned)[-1]
        child.send(*requests(20))
        after = texts(child.until(Done, 4))

    assert before == texts(meanwhile) == after
    assert len(before) == 4
    assert not any(isinstance(each, Tuned) for each in meanwhile)
    # One may have been under way to its end when the requests came; the next was not.
    assert sum(isinstance(each, Measured) for each in meanwhile) <= 1
    assert isinstance(tuned, Tuned)
    assert set(tuned.tuning) == set(FIELDS)


def test_the_sums_of_its_work_go_on_through_another_context(config: WorkerConfig) -> None:
    """What /metrics tells never falls."""
    with running(config) as child:
        sums = []
        for n in range(3):
            child.send(*requests(10 * n), Tune(budget_s=60, free=["n_batch", "kv_unified"]))
            alive = [each for each in child.until(Tuned) if isinstance(each, Alive)]
            sums += [each.busy_s for each in alive]

    assert len(sums) >= 3
    assert sums == sorted(sums)


def test_the_memory_that_another_context_needs_is_told(config: WorkerConfig) -> None:
    with running(replace(config, n_seq_max=1)) as child:
        child.send(Tune(budget_s=60, free=["n_seq_max"]))
        tuned = child.until(Tuned)[-1]

    assert isinstance(tuned, Tuned)
    more = tuned.tuning["n_seq_max"] > 1
    assert (tuned.memory_estimate > child.ready.memory_estimate) == more


def test_closing_its_pipe_ends_a_worker_that_measures(config: WorkerConfig) -> None:
    with running(config) as child:
        child.send(Tune(budget_s=600, free=list(FIELDS)))
        child.until(Measured)
        assert child.process.stdin is not None
        child.process.stdin.close()

        assert child.process.wait(20) == 0


# The front.


async def one_answer(supervisor: Supervisor, model: PoolModel, what: int = ECHO) -> None:
    ticket = supervisor.submit(model, EngineRequest(id=0, prompt=[what], max_tokens=1))
    async for _ in ticket.events():
        continue


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.02)


def tuned_when_idle(
    settings: Settings,
    config: WorkerConfig,
    command: Sequence[str],
    body: Callable[[Supervisor, PoolModel], Awaitable[None]],
) -> None:
    """Play a scene with a supervisor whose worker may tune when idle for a moment."""

    async def play() -> None:
        supervisor = Supervisor(100, command)
        quiet = IdleTuning(settings, Activity(), supervisor, idle_s=0.1, busy=lambda: 0.0)
        idle = asyncio.create_task(quiet.run())
        await supervisor.start()
        try:
            model = PoolModel("tiny", MODEL, config)
            await one_answer(supervisor, model)
            await asyncio.wait_for(body(supervisor, model), 120)
        finally:
            idle.cancel()
            await supervisor.stop()

    asyncio.run(play())


def test_an_idle_pool_measures_once_and_keeps_the_answer(
    tmp_path: Path, config: WorkerConfig
) -> None:
    """The next start uses it, and has nothing left to measure; the worker stays the same one."""
    # All else is set, so that it does not take long.
    settings = Settings(
        home=tmp_path, pool_n_seq_max=2, pool_n_batch=64, pool_n_threads=1, pool_kv_cache="split"
    )

    async def body(supervisor: Supervisor, model: PoolModel) -> None:
        assert supervisor.worker is not None
        pid = supervisor.worker.pid
        await until(lambda: not missing(settings, MODEL))
        await one_answer(supervisor, model)
        assert supervisor.worker.pid == pid

    assert missing(settings, MODEL) == ["flash_attn"]
    tuned_when_idle(settings, config, WORKER_COMMAND, body)

    assert set(kept(settings, MODEL)) == {"flash_attn"}
    assert tuning_for(settings, MODEL).n_seq_max == 2


def test_another_tuning_of_the_same_model_is_no_other_model(config: WorkerConfig) -> None:
    tuned = replace(config, n_seq_max=32, kv_unified=True, n_threads_batch=7)

    assert PoolModel("a", MODEL, config) == PoolModel("a", MODEL, tuned)
    assert PoolModel("a", MODEL, config) != PoolModel("a", MODEL, replace(config, n_ctx=4096))


def test_a_worker_that_dies_of_measuring_is_not_asked_to_again(
    tmp_path: Path, config: WorkerConfig
) -> None:
    """The pool goes on with defaults, and so does the next."""
    settings = Settings(home=tmp_path)

    async def body(supervisor: Supervisor, model: PoolModel) -> None:
        await until(lambda: supervisor.worker is None)
        await until(lambda: not missing(settings, MODEL))
        await one_answer(supervisor, model)

    tuned_when_idle(settings, config, (*FAKE, "dies-of-tuning"), body)

    assert tuning_for(settings, MODEL) == Tuning()


def test_nothing_is_measured_that_is_known_or_not_wanted(
    tmp_path: Path, config: WorkerConfig
) -> None:
    """A worker that was asked to would have died."""
    known, unwanted = Settings(home=tmp_path), Settings(home=tmp_path / "2", pool_tuning="off")
    keep(known, MODEL, asdict(Tuning()))

    async def body(supervisor: Supervisor, model: PoolModel) -> None:
        assert supervisor.worker is not None
        pid = supervisor.worker.pid
        await asyncio.sleep(0.5)
        await one_answer(supervisor, model)
        assert supervisor.worker.pid == pid

    for settings in (known, unwanted):
        tuned_when_idle(settings, config, (*FAKE, "dies-of-tuning"), body)


def test_a_home_that_became_read_only_does_not_end_the_pool(
    tmp_path: Path, config: WorkerConfig
) -> None:
    """What was measured is lost with it; requests are answered as before."""
    settings = Settings(
        home=tmp_path, pool_n_seq_max=2, pool_n_batch=64, pool_n_threads=1, pool_kv_cache="split"
    )
    (tmp_path / "tuning").write_text("a file, where a folder should be")
    seen: list[Tuned] = []

    async def body(supervisor: Supervisor, model: PoolModel) -> None:
        keep_it = supervisor.on_tuned

        def heard(model: PoolModel, tuned: Tuned) -> None:
            keep_it(model, tuned)
            seen.append(tuned)

        supervisor.on_tuned = heard
        await until(lambda: seen)
        await one_answer(supervisor, model)

    tuned_when_idle(settings, config, WORKER_COMMAND, body)

    assert len(seen) == 1
