"""The pool as others meet it: a process started by itself, HTTP, and its end.

One pool with a tiny model serves most of these tests; those about its life start their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from filelock import FileLock
from prometheus_client.parser import text_string_to_metric_families
from support.processes import running
from support.tiny_model import write_tiny_model

from tasks.errors import InferenceError, ModelError, StorageError
from tasks.pool.client import PoolClient
from tasks.pool.lifecycle import (
    PoolAddress,
    PoolFiles,
    PoolState,
    ensure_pool,
    pool_status,
    reconnector,
    stop_pool,
)
from tasks.records import Message, Sampling
from tasks.settings import Settings

pytestmark = pytest.mark.slow

HELLO = {"role": "user", "content": "hello"}


def make_settings(home: Path, **values: Any) -> Settings:
    # One thread: a second one only waits for the first with a model this small.
    return Settings(home=home, pool_n_threads=1, pool_n_ctx=512, **values)


@dataclass
class Pool:
    """A running pool, and a plain HTTP client that has its key."""

    settings: Settings
    address: PoolAddress
    http: httpx.Client
    model: str

    def status(self) -> Any:
        status = pool_status(self.settings)
        assert status is not None
        return status

    def numbers(self) -> dict[str, float]:
        """Return what /metrics tells, by name and labels."""
        families = text_string_to_metric_families(self.http.get("/metrics").text)
        return {
            " ".join((sample.name, *sample.labels.values())): sample.value
            for family in families
            for sample in family.samples
        }

    def ended(self, reason: str) -> float:
        """Return how many requests ended so."""
        return self.numbers().get(f"lectern_requests_total {reason}", 0)

    def chat(self, **body: Any) -> httpx.Response:
        body = {"model": self.model, "messages": [HELLO], "max_tokens": 8, **body}
        return self.http.post("/v1/chat/completions", json=body)


def until(condition: Callable[[], object], patience_s: float = 20) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Pool]:
    settings = make_settings(tmp_path_factory.mktemp("home"), pool_n_seq_max=2, pool_queue_max=4)
    address = ensure_pool(settings)
    headers = {"authorization": f"Bearer {address.api_key}"}
    with httpx.Client(base_url=address.url, headers=headers, timeout=30) as http:
        yield Pool(settings, address, http, str(model))
    stop_pool(settings)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a home of its own; its pool, if one was started, is stopped."""
    settings = make_settings(tmp_path / "home")
    yield settings
    stop_pool(settings)


async def ask(address: PoolAddress, model: str, text: str = "hello", n: int = 8) -> Any:
    async with PoolClient(address.url, address.api_key) as client:
        return await client.chat(model, [Message("user", text)], Sampling(max_tokens=n))


# The API.


def test_a_chat_answer_has_usage_times_and_logprobs(pool: Pool) -> None:
    answer = pool.chat(logprobs=True, top_logprobs=2, ignore_eos=True, temperature=0).json()

    assert (
        8
        == answer["usage"]["completion_tokens"]
        == len(answer["choices"][0]["logprobs"]["content"])
    )
    assert answer["choices"][0]["finish_reason"] == "length"
    times = answer["timings"]
    assert times["ttft_s"] == pytest.approx(times["queue_s"] + times["prefill_s"])
    assert times["tpot_s"] == pytest.approx(times["decode_s"] / 7)
    assert times["e2e_s"] >= times["ttft_s"] + times["decode_s"]


def test_the_same_prompt_again_comes_from_the_cache(pool: Pool) -> None:
    message = {"role": "user", "content": "A prompt of some length, asked twice, is known."}
    first, again = (pool.chat(messages=[message], temperature=0).json() for _ in range(2))

    used = again["usage"]
    assert used["prompt_tokens"] - 1 == used["prompt_tokens_details"]["cached_tokens"]
    assert first["choices"] == again["choices"]


def test_a_stream_says_the_same_as_a_plain_answer(pool: Pool) -> None:
    """Server-sent events, the last of them with usage, then [DONE]."""
    options = {"temperature": 0, "max_tokens": 20, "ignore_eos": True}
    plain = pool.chat(**options).json()
    body = {"model": pool.model, "messages": [HELLO], "stream": True, **options}
    body["stream_options"] = {"include_usage": True}
    with pool.http.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]

    assert response.headers["content-type"].split(";")[0] == "text/event-stream"
    assert lines.pop() == "[DONE]"
    events = [json.loads(line) for line in lines]
    text = "".join(e["choices"][0]["delta"].get("content", "") for e in events if e["choices"])
    assert plain["choices"][0]["message"]["content"] == text
    assert plain["usage"]["completion_tokens"] == events[-1]["usage"]["completion_tokens"]
    assert len(events) > 10


def _taken_apart(choice: dict[str, Any]) -> tuple[tuple[Any, ...], list[float]]:
    """What must be the same to the letter, and what may differ by rounding."""
    found = choice["logprobs"]
    return (choice["text"], choice["finish_reason"], found["tokens"]), found["token_logprobs"]


def test_plain_completions_take_text_or_tokens(pool: Pool) -> None:
    tokens = pool.http.post("/tokenize", json={"model": pool.model, "content": "abc"}).json()
    body = {"model": pool.model, "max_tokens": 5, "temperature": 0, "logprobs": 1}
    answers = [
        pool.http.post("/v1/completions", json={**body, "prompt": prompt}).json()
        for prompt in ("abc", tokens["tokens"])
    ]

    assert tokens["tokens"] == [97, 98, 99]
    texts, logprobs = zip(*(_taken_apart(each["choices"][0]) for each in answers), strict=True)
    assert texts[0] == texts[1]
    assert logprobs[0] == pytest.approx(logprobs[1], abs=1e-4)  # the second finds its prefix cached
    assert answers[0]["object"] == "text_completion"


def test_models_and_metrics_tell_what_was_used(pool: Pool) -> None:
    pool.chat()

    assert pool.model in [m["id"] for m in pool.http.get("/v1/models").json()["data"]]
    numbers = pool.numbers()
    assert pool.ended("length")
    for name in (
        "lectern_slots", "lectern_prompt_tokens_total", "lectern_completion_tokens_total",
        "lectern_worker_busy_seconds_total", "lectern_worker_llama_seconds_total",
        "lectern_queue_seconds_count", "lectern_ttft_seconds_sum", "lectern_e2e_seconds_sum",
    ):  # fmt: skip
        assert numbers[name] > 0, name
    assert numbers["lectern_requests_waiting"] == 0


# What is refused.


def test_all_but_health_needs_the_key(pool: Pool) -> None:
    with httpx.Client(base_url=pool.address.url, headers={"authorization": "Bearer no"}) as http:
        codes = {p: http.get(p).status_code for p in ("/health", "/metrics", "/v1/models")}
        error = http.post("/v1/chat/completions", json={}).json()["error"]

    assert codes == {"/health": 200, "/metrics": 401, "/v1/models": 401}
    assert error["code"] == "invalid_api_key"


def test_a_foreign_host_name_is_refused(pool: Pool) -> None:
    """A web page whose name points at 127.0.0.1 gets nothing, not even /health."""
    response = pool.http.get("/health", headers={"host": "example.org"})

    assert (response.status_code, response.json()["error"]["code"]) == (403, "invalid_host")


def test_a_body_that_is_too_large_is_refused(pool: Pool) -> None:
    """Whether it says its length or comes in chunks."""
    chunks = (b"x" * (1 << 20) for _ in range(17))
    plain = pool.http.post("/tokenize", content=b"x" * (17 << 20))
    chunked = pool.http.post("/tokenize", content=chunks)

    assert [plain.status_code, chunked.status_code] == [413, 413]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"max_tokens": 600}, 400, "context_length_exceeded"),
        (
            {"messages": [{"role": "user", "content": "long " * 200}]},
            400,
            "context_length_exceeded",
        ),
        ({"temperature": -1}, 400, "invalid_request"),
        ({"max_tokens": -5}, 400, "invalid_request"),
        ({"max_tokens": 10**30}, 400, "context_length_exceeded"),
        ({"top_k": 10**12}, 400, "invalid_request"),
        ({"top_p": 7}, 400, "invalid_request"),
        ({"dry_multiplier": -1}, 400, "invalid_request"),
        ({"dry_allowed_length": 10**12}, 400, "invalid_request"),
        ({"frequency_penalty": 1e300}, 400, "invalid_request"),
        ({"n": 5}, 400, "invalid_request"),
        ({"grammar": "root ::= root"}, 400, "invalid_grammar"),
        ({"logit_bias": {"-1": 1}}, 400, "invalid_tokens"),
        ({"logit_bias": {"65": 1e39}}, 400, "invalid_request"),
        ({"messages": []}, 400, "invalid_request"),
        ({"grammar": "root ::= ("}, 400, "invalid_grammar"),
        ({"logit_bias": {"99999": 1}}, 400, "invalid_tokens"),
        ({"model": "/no/such/file.gguf"}, 404, "model_error"),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(
    pool: Pool, body: dict[str, Any], status: int, code: str
) -> None:
    response = pool.chat(**body)

    error = response.json()["error"]
    assert (status, code) == (response.status_code, error["code"])
    assert error["message"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"model": 1}'])
def test_what_is_no_request_is_refused_and_the_pool_goes_on(pool: Pool, content: bytes) -> None:
    for path in ("/v1/chat/completions", "/v1/completions", "/tokenize"):
        response = pool.http.post(path, content=content)
        error = response.json()["error"]

        assert (response.status_code, error["code"]) == (400, "invalid_request")
        assert (error["type"], bool(error["message"])) == ("invalid_request_error", True)
    assert pool.chat().status_code == 200


@pytest.mark.parametrize("options", [{"seed": 2**70}, {"seed": -3}, {"stop": ["", "x" * 99]}])
def test_what_is_odd_but_possible_is_done(pool: Pool, options: dict[str, Any]) -> None:
    assert pool.chat(temperature=0.5, **options).status_code == 200


def test_a_full_queue_says_busy_and_when_to_come_again(pool: Pool) -> None:
    """Two run, four wait; the seventh is told so. The others are all answered."""
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(pool.chat, max_tokens=450, ignore_eos=True) for _ in range(8)]
        answers = [each.result() for each in asked]
    busy = [a for a in answers if a.status_code == 429]

    assert busy
    assert all(a.headers["retry-after"] for a in busy)
    assert {200, 429} == {a.status_code for a in answers}


# Clients.


def test_two_clients_share_one_loaded_model(pool: Pool) -> None:
    async def both() -> list[Any]:
        asked = (ask(pool.address, pool.model, text) for text in ("one", "two"))
        return await asyncio.gather(*asked)

    first, second = asyncio.run(both())

    assert first.worker == second.worker
    assert str(pool.status().worker) == first.worker.rsplit(":", 1)[1]


def test_a_client_waits_out_a_busy_pool(pool: Pool) -> None:
    """Twenty at once at a pool that takes six: all are answered in the end."""

    async def many() -> list[Any]:
        async with PoolClient(pool.address.url, pool.address.api_key) as client:
            message = [Message("user", "again")]
            sampling = Sampling(max_tokens=5)
            asked = (client.chat(pool.model, message, sampling) for _ in range(20))
            return await asyncio.gather(*asked)

    answers = asyncio.run(many())

    assert len(answers) == 20
    assert all(answer.mean_logprob is not None for answer in answers)


def test_errors_reach_the_client_by_their_kind(pool: Pool) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        asyncio.run(ask(pool.address, "/nowhere.gguf"))
    with pytest.raises(InferenceError, match=r"do not fit.*LECTERN_POOL_N_CTX"):
        asyncio.run(ask(pool.address, pool.model, n=4000))
    with pytest.raises(InferenceError, match="key"):
        asyncio.run(ask(PoolAddress(pool.address.url, "wrong"), pool.model))


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_its_slot(pool: Pool, stream: bool) -> None:
    body = {"model": pool.model, "messages": [HELLO], "max_tokens": 450, "stream": stream}
    body |= {"ignore_eos": True, "logprobs": True, "top_logprobs": 20}  # the slow way
    cancelled = pool.ended("cancelled")

    async def leave() -> None:
        async with httpx.AsyncClient(base_url=pool.address.url, headers=pool.http.headers) as http:
            asking = asyncio.create_task(http.post("/v1/chat/completions", json=body, timeout=30))
            while not pool.status().running:
                assert not asking.done()
                await asyncio.sleep(0)
            asking.cancel()

    asyncio.run(leave())

    until(lambda: (pool.status().running, pool.status().waiting) == (0, 0), 2)
    assert pool.ended("cancelled") == cancelled + 1


def test_a_killed_worker_is_not_noticed_by_clients(pool: Pool) -> None:
    """kill -9 of the worker while requests run and wait: all are answered by another worker."""
    pool.chat()
    before = pool.status().worker

    async def disturbed() -> list[Any]:
        async with PoolClient(pool.address.url, pool.address.api_key) as client:
            message, sampling = [Message("user", "survive")], Sampling(max_tokens=400)
            asked = [
                asyncio.create_task(client.chat(pool.model, message, sampling)) for _ in range(6)
            ]
            while not pool.status().running:
                await asyncio.sleep(0)
            os.kill(before, signal.SIGKILL)
            return await asyncio.gather(*asked)

    answers = asyncio.run(disturbed())

    assert len(answers) == 6
    assert f":{before}" not in answers[-1].worker
    assert pool.numbers()["lectern_worker_crashes_total"] == 1


def test_a_file_that_is_no_model_does_not_harm_the_pool(pool: Pool, tmp_path: Path) -> None:
    """A GGUF whose weights are cut off passes the front and fails in the worker."""
    whole = Path(pool.model).read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) - 50_000])

    with pytest.raises(ModelError, match="cut"):
        asyncio.run(ask(pool.address, str(tmp_path / "cut.gguf")))
    assert pool.chat().status_code == 200


# Its life.


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_changes_under_a_request_is_noticed(
    pool: Pool, tmp_path: Path, model: Path, stream: bool
) -> None:
    """No answer is given for one model's that another may have made; the next is the new one's.
    What was only touched is the same model still."""
    own = tmp_path / "own.gguf"
    shutil.copy(model, own)
    body = {"model": str(own), "max_tokens": 8, "stream": stream}
    assert pool.chat(**body).status_code == 200

    def meanwhile(change: Callable[[], object]) -> httpx.Response:
        """Ask, and change the file before the answer comes."""
        worker = psutil.Process(pool.status().worker)
        worker.suspend()
        asked = threads.submit(pool.chat, **body)
        until(lambda: pool.status().waiting)
        change()
        worker.resume()
        return asked.result()

    with ThreadPoolExecutor(1) as threads:
        touched = meanwhile(lambda: os.utime(own, (1, 1)))
        changed = meanwhile(lambda: write_tiny_model(own, seed=8))

    assert "model_changed" not in touched.text
    assert '"code":"model_changed"' in changed.text.replace(": ", ":")
    assert pool.chat(model=str(own)).status_code == 200


def test_a_model_that_is_cut_short_under_the_pool_is_named(
    pool: Pool, tmp_path: Path, model: Path
) -> None:
    """Its worker may die of it; the pool does not, and serves the other models."""
    own = tmp_path / "own.gguf"
    shutil.copy(model, own)
    assert pool.chat(model=str(own)).status_code == 200
    os.truncate(own, 4096)

    def refused() -> bool:  # for some seconds the file is not looked at again
        return pool.chat(model=str(own)).status_code != 200

    until(refused)
    error = pool.chat(model=str(own)).json()["error"]
    assert error["code"].startswith("model_")
    assert str(own) in error["message"]
    assert pool.chat().status_code == 200


def test_starters_at_once_make_one_pool(own: Settings) -> None:
    with ThreadPoolExecutor(4) as threads:
        addresses = list(threads.map(ensure_pool, [own] * 4))

    assert len(set(addresses)) == 1


def test_a_pool_bears_no_marks_of_the_run_that_started_it(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else that run would be held to live as long as its pool does, or the pool end with it."""
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "a run's")
    ensure_pool(own)

    status = pool_status(own)
    assert status is not None
    assert "PREFECT__FLOW_RUN_ID" not in psutil.Process(status.pid).environ()


def test_a_pool_whose_starter_gives_up_is_not_left_behind(own: Settings) -> None:
    """However little it heeds: this one is stopped while it starts."""
    begun: list[psutil.Process] = []

    def give_up() -> None:
        begun.extend(
            each for each in running("tasks.pool.server", psutil.Process().children())
            if each.environ().get("LECTERN_HOME") == str(own.home)
        )  # fmt: skip
        if begun:
            begun[0].suspend()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_pool(own, give_up)

    assert gone(begun[0].pid)
    assert ensure_pool(own)


def test_whoever_waits_for_another_that_starts_a_pool_may_give_up(own: Settings) -> None:
    files = PoolFiles(own.home)
    files.prepare()

    def give_up() -> None:
        raise KeyboardInterrupt

    with FileLock(files.starting), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(ensure_pool, own, give_up)
        with pytest.raises(KeyboardInterrupt):
            waiting.result()


def test_an_idle_pool_with_other_settings_makes_way(own: Settings, model: Path) -> None:
    """And the new one has the new settings: the longer answer now fits."""
    first = ensure_pool(own)
    asyncio.run(ask(first, str(model)))
    second = ensure_pool(own.model_copy(update={"pool_n_ctx": 1024}))

    assert second != first
    assert asyncio.run(ask(second, str(model), n=900)).text
    assert ensure_pool(own.model_copy(update={"pool_n_ctx": 1024, "pool_idle_s": 9})) == second


def test_a_pool_in_use_with_other_settings_is_named_and_left_alone(
    own: Settings, model: Path
) -> None:
    first = ensure_pool(own)
    worker = int(asyncio.run(ask(first, str(model))).worker.rsplit(":", 1)[1])
    os.kill(worker, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(asyncio.run, ask(first, str(model)))
        until(lambda: (status := pool_status(own)) and status.in_use)
        with pytest.raises(InferenceError) as caught:
            ensure_pool(own.model_copy(update={"pool_n_ctx": 1024}))
        os.kill(worker, signal.SIGCONT)
        assert asked.result().text

    assert str(caught.value) == (
        "the pool: it is in use with other settings (pool_n_ctx 512 instead of 1024). "
        "Wait until it is free, or end it with `lectern pool stop`."
    )
    assert ensure_pool(own) == first


def test_stopping_leaves_no_process_and_no_state(own: Settings, model: Path) -> None:
    address = ensure_pool(own)
    asyncio.run(ask(address, str(model)))
    status = pool_status(own)
    assert status is not None
    assert status.worker is not None

    assert stop_pool(own)
    assert gone(status.pid)
    assert gone(status.worker)
    assert not PoolFiles(own.home).state.exists()
    assert not stop_pool(own)


def test_a_pool_that_heeds_nothing_is_killed(own: Settings) -> None:
    ensure_pool(own)
    status = pool_status(own)
    assert status is not None
    os.kill(status.pid, signal.SIGSTOP)

    assert stop_pool(own, patience_s=0.5)
    assert gone(status.pid)


def test_a_pool_that_not_even_force_ends_is_told(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one whose disk hangs: no signal reaches it."""
    ensure_pool(own)
    with monkeypatch.context() as deaf:
        for name in ("terminate", "kill"):
            deaf.setattr(psutil.Process, name, lambda process: None)
        with pytest.raises(InferenceError, match="does not end"):
            stop_pool(own, patience_s=0.2)


def test_a_key_that_is_gone_is_told_and_made_anew(own: Settings) -> None:
    """Without it nobody can tell the running pool from a stranger."""
    ensure_pool(own)
    files = PoolFiles(own.home)
    files.key.unlink()

    assert pool_status(own) is None
    with pytest.raises(StorageError, match=r"pool\.key.*lectern pool stop"):
        files.read_key()
    assert stop_pool(own)
    assert ensure_pool(own).api_key == files.read_key()


def test_a_killed_front_leaves_no_worker_and_a_new_one_starts(own: Settings, model: Path) -> None:
    """kill -9 leaves pool.json behind: it confuses nobody, and the client finds the new one."""
    address = ensure_pool(own)
    asyncio.run(ask(address, str(model)))
    status = pool_status(own)
    assert status is not None
    assert status.worker is not None
    worker = status.worker
    os.kill(status.pid, signal.SIGKILL)
    until(lambda: gone(worker))

    async def ask_again() -> Any:
        async with PoolClient(address.url, address.api_key, reconnect=reconnector(own)) as client:
            return await client.chat(str(model), [Message("user", "hi")], Sampling(max_tokens=3))

    assert asyncio.run(ask_again()).text
    assert ensure_pool(own) != address


def test_a_state_file_that_points_at_a_stranger_is_not_believed(own: Settings, pool: Pool) -> None:
    """A living process and an answering server, but one that has not this home's key."""
    files = PoolFiles(own.home)
    files.prepare()
    files.write_state(pool.address.url, own)

    assert pool_status(own) is None
    assert ensure_pool(own).url != pool.address.url


def test_an_idle_pool_ends_by_itself(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home", pool_idle_s=3)  # longer than a start is noticed in
    ensure_pool(settings)
    state = PoolFiles(settings.home).read_state()
    assert isinstance(state, PoolState)

    until(lambda: gone(state.pid))
    assert not PoolFiles(settings.home).state.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_a_signal_ends_it_cleanly(own: Settings, number: int) -> None:
    env = {**os.environ, "LECTERN_HOME": str(own.home)}
    process = subprocess.Popen([sys.executable, "-m", "tasks.pool.server"], env=env)
    until(lambda: pool_status(own))
    process.send_signal(number)

    assert process.wait(20) == 0
    assert pool_status(own) is None


def test_the_pools_files_are_its_owners_alone(pool: Pool) -> None:
    files = PoolFiles(pool.settings.home)

    assert [p.stat().st_mode & 0o777 for p in (files.key, files.state)] == [0o600, 0o600]


def test_another_server_in_the_settings_is_used_as_it_is(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, pool_url="http://elsewhere:1/v1", pool_api_key="k")

    assert PoolAddress("http://elsewhere:1/v1", "k") == ensure_pool(settings)
    assert reconnector(settings) is None
