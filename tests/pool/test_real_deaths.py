"""Real workers with the demo model that die at real requests: each is answered once and as if
nothing had happened, the next worker serves, and the log says what happened and what to do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tasks.pool.lifecycle import PoolFiles, PoolStatus, ensure_pool, pool_status, stop_pool
from tasks.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

N_SEQ_MAX = 3
N_REQUESTS = 5  # two of which wait
# Some seconds of work together. The demo model copies the text and then one letter: at no token is
# there another that is nearly as likely, so that no order in which floats are added up matters.
MAX_TOKENS = 400
TEXT = (
    "[1] The reading room was built in {} by the city. [2] Its roof is of glass and iron. "
    "[3] The keeper of the books lived above the door."
)
HUNG_S = 3.0
# The pool, but for how long a silent worker is waited for.
IMPATIENT = f"""
from functools import partial
from tasks.pool import server
server.Supervisor = partial(server.Supervisor, hung_s={HUNG_S})
server.main()
"""


@dataclass(frozen=True)
class Pool:
    """A pool's process, its worker's, and their log."""

    settings: Settings
    http: httpx.Client

    def status(self) -> PoolStatus:
        status = pool_status(self.settings)
        assert status is not None
        return status

    def worker(self) -> int:
        """Return the pid of the worker that is ready, when there is one."""
        until(lambda: self.status().state == "ready")
        worker = self.status().worker
        assert worker is not None
        return worker

    def log(self) -> str:
        return PoolFiles(self.settings.home).log.read_text()

    def ask(self, n: int) -> httpx.Response:
        return self.http.post("/v1/chat/completions", json=body(n))

    def answer(self, n: int) -> str:
        """Ask, every other time for a stream, and return the text."""
        return self._streamed(n) if n % 2 else text(self.ask(n))

    def _streamed(self, n: int) -> str:
        asked = {**body(n), "stream": True}
        with self.http.stream("POST", "/v1/chat/completions", json=asked) as response:
            *pieces, end = [line[6:] for line in response.iter_lines() if line]
        assert end == "[DONE]"
        deltas = (json.loads(piece)["choices"][0]["delta"] for piece in pieces)
        return "".join(delta.get("content", "") for delta in deltas)

    def number(self, name: str) -> float:
        """Return what /metrics tells."""
        found = re.search(rf"^{name} (\S+)$", self.http.get("/metrics").text, re.MULTILINE)
        assert found
        return float(found[1])

    def ended(self) -> int:
        """Return how many requests have come to an end, by /metrics."""
        sums = re.findall(r"^lectern_requests_total\{.*\} (\S+)$", self.http.get("/metrics").text,
                          re.MULTILINE)  # fmt: skip
        return int(sum(map(float, sums)))


def body(n: int) -> dict[str, Any]:
    return {
        "model": "demo",
        "messages": [{"role": "user", "content": TEXT.format(1850 + n)}],
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
        "ignore_eos": True,
    }


def text(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer["usage"]["completion_tokens"] == MAX_TOKENS
    return str(answer["choices"][0]["message"]["content"])


def until(condition: Callable[[], object], patience_s: float = 60) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


@contextmanager
def running(settings: Settings) -> Iterator[Pool]:
    address = ensure_pool(settings)
    headers = {"authorization": f"Bearer {address.api_key}"}
    try:
        with httpx.Client(base_url=address.url, headers=headers, timeout=120) as http:
            yield Pool(settings, http)
    finally:
        stop_pool(settings)


def make_settings(home: Path) -> Settings:
    # Guesses would have an answer that copies done in a moment.
    return Settings(
        home=home, pool_n_seq_max=N_SEQ_MAX, pool_n_threads=1, pool_n_ctx=1024,
        pool_speculation="off", pool_tuning="off",
    )  # fmt: skip


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with running(make_settings(tmp_path_factory.mktemp("home"))) as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(pool: Pool) -> list[str]:
    with ThreadPoolExecutor(N_REQUESTS) as clients:
        return [text(each) for each in clients.map(pool.ask, range(N_REQUESTS))]


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Pool]:
    """A pool that waits for no silent worker."""
    settings = make_settings(tmp_path / "home")
    files = PoolFiles(settings.home)
    files.prepare()
    chosen = settings.model_dump(exclude_unset=True)
    with files.log.open("ab") as log:
        front = subprocess.Popen(
            [sys.executable, "-c", IMPATIENT], cwd=PROJECT_ROOT, stdout=log, stderr=log,
            env={**os.environ, **{f"LECTERN_{k.upper()}": str(v) for k, v in chosen.items()}},
        )  # fmt: skip
    with front:
        try:
            until(lambda: pool_status(settings))
            with running(settings) as made:
                assert made.status().pid == front.pid
                yield made
        finally:
            front.terminate()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Pool]:
    """A pool with two workers."""
    settings = make_settings(tmp_path / "home").model_copy(update={"pool_n_workers": 2})
    with running(settings) as made:
        yield made


def hold(pool: Pool, running: int) -> psutil.Process:
    """Stop the worker in the midst of its work, when it is at so many requests."""
    while True:
        until(lambda: pool.status().running == running)
        worker = stop(pool.worker())
        if pool.status().running == running:
            return worker
        worker.resume()


def stop(pid: int) -> psutil.Process:
    """Stop a process for a while, and wait until what it said before must have been heard."""
    process = psutil.Process(pid)
    process.suspend()
    until(lambda: process.status() == psutil.STATUS_STOPPED)
    time.sleep(0.1)
    return process


def kill_in_the_midst(pool: Pool, number: signal.Signals, running: int = N_SEQ_MAX) -> int:
    """End the worker by a signal that it meets at its work; return its pid."""
    worker = hold(pool, running)
    worker.send_signal(number)
    with suppress(psutil.NoSuchProcess):  # SIGKILL does not wait for it
        worker.resume()
    until(lambda: pool.status().worker != worker.pid)
    return worker.pid


def answers(asked: list[Future[str]]) -> list[str]:
    return [each.result() for each in asked]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (signal.SIGKILL, r"\(SIGKILL\), most likely .* memory\. Lower LECTERN_POOL_N_SEQ_MAX"),
        (signal.SIGSEGV, r"llama.cpp failed \(SIGSEGV\)\. If it happens again: `lectern doctor`"),
        (signal.SIGILL, r"another CPU \(SIGILL\)\. .*make install.*CMAKE_ARGS=-DGGML_NATIVE=OFF"),
    ],
)
def test_requests_outlive_their_worker(
    pool: Pool, undisturbed: list[str], number: signal.Signals, told: str
) -> None:
    """Those that it was at and those that waited, streamed or not; each is answered once, as
    without it."""
    ended, already = pool.ended(), len(pool.log())
    with ThreadPoolExecutor(N_REQUESTS) as clients:
        asked = [clients.submit(pool.answer, n) for n in range(N_REQUESTS)]
        died = kill_in_the_midst(pool, number)
        answered = answers(asked)

    assert undisturbed == answered
    assert pool.ended() - ended == N_REQUESTS
    assert pool.worker() != died
    assert undisturbed[0] == text(pool.ask(0))
    log = pool.log()[already:]
    assert re.search(rf"worker {died} of demo: .*{told}", log)
    assert log.count(" of demo: ") == 1


def test_requests_outlive_a_worker_that_hangs(impatient: Pool, undisturbed: list[str]) -> None:
    pool = impatient
    text(pool.ask(0))  # which has it loaded
    ended = pool.ended()
    with ThreadPoolExecutor(N_REQUESTS) as clients:
        asked = [clients.submit(pool.answer, n) for n in range(N_REQUESTS)]
        hung = hold(pool, N_SEQ_MAX)
        answered = answers(asked)

    assert undisturbed == answered
    assert pool.ended() - ended == N_REQUESTS
    assert not hung.is_running()
    assert undisturbed[0] == text(pool.ask(0))
    assert re.search(
        rf"worker {hung.pid} of demo: it gave no sign of life\. .*choose another model", pool.log()
    )


def test_requests_outlive_one_of_two_workers(two: Pool, undisturbed: list[str]) -> None:
    """They are answered as by one worker; what the other had is not asked again."""
    with ThreadPoolExecutor(N_REQUESTS) as clients:
        first = [clients.submit(two.ask, n) for n in range(N_REQUESTS)]
        until(lambda: two.number("lectern_workers") == 2)  # there is one while the other loads
        assert undisturbed == [text(each.result()) for each in first]
        ended = two.ended()
        asked = [clients.submit(two.ask, n) for n in range(N_REQUESTS)]
        died = hold(two, N_REQUESTS)
        [other] = set(two.status().workers) - {died.pid}
        died.kill()
        answered = [each.result() for each in asked]

    assert undisturbed == [text(each) for each in answered]
    assert two.ended() - ended == N_REQUESTS
    told = [each.json()["worker"].rsplit(":", 1)[1] for each in answered]
    assert told.count(str(other)) >= N_REQUESTS // 2
    assert str(died.pid) not in told
    assert two.number("lectern_worker_crashes_total") == 1


def test_a_request_at_which_two_workers_die_is_refused_by_its_number(
    pool: Pool, undisturbed: list[str]
) -> None:
    """Those that came after it are answered, and it is no more asked."""
    ended, already = pool.ended(), len(pool.log())
    with ThreadPoolExecutor(N_REQUESTS) as clients:
        poison = clients.submit(pool.ask, 0)
        first = kill_in_the_midst(pool, signal.SIGKILL, running=1)
        others = [clients.submit(pool.answer, n) for n in range(1, N_REQUESTS)]
        second = kill_in_the_midst(pool, signal.SIGSEGV, running=1)
        refused, answered = poison.result(), answers(others)

    assert refused.status_code == 500
    problem = refused.json()["error"]["message"]
    assert refused.json()["error"]["code"] == "worker_crashed"
    assert re.search(r"computing request \d+: llama.cpp failed \(SIGSEGV\)\..*doctor", problem)
    assert undisturbed[1:] == answered
    assert pool.ended() - ended == N_REQUESTS
    assert len({first, second, pool.worker()}) == 3
    [said] = re.findall(r"two workers died while computing request \d+", pool.log()[already:])
    assert said in problem
