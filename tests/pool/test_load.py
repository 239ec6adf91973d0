"""Many clients at once, who go away, ask too much, and come again.

`make soak` does it for ten minutes; a normal run once.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.tiny_model import write_tiny_model

from tasks.pool.lifecycle import PoolAddress, ensure_pool, pool_status, stop_pool
from tasks.settings import Settings

SOAK = bool(os.environ.get("LECTERN_SOAK"))
REQUESTS = 1_000 if SOAK else 200
CLIENTS = 50
SECONDS = 600 if SOAK else 0  # rounds are repeated until then
GROWTH_MB = 20  # of front and worker together, after the first round

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 240)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    made = Settings(
        home=tmp_path_factory.mktemp("home"), pool_n_threads=1, pool_n_ctx=512, pool_n_seq_max=4
    )
    yield made
    stop_pool(made)


def outcome(n: int) -> str:
    """Return what is to become of request n: a third goes away, a tenth asks too much."""
    if n % 10 == 7:
        return "refused"
    return "cancelled" if n % 3 == 0 else "answered"


async def ask(http: httpx.AsyncClient, model: str, n: int, dice: random.Random) -> str:
    """Ask, go away if so be it, and return what became of it."""
    planned = outcome(n)
    words = " ".join(dice.choice(("night", "reading", "room")) for _ in range(dice.randrange(1, 9)))
    body = {
        "model": model,
        "prompt": f"Shared beginning of all. {words}",
        "max_tokens": 5_000 if planned == "refused" else dice.randrange(1, 60),
        "temperature": dice.choice((0, 0.8)),
        "stream": dice.random() < 0.3,
    }
    patience_s = dice.uniform(0.001, 0.3) if planned == "cancelled" else 120
    try:
        async with asyncio.timeout(patience_s):
            answer = await http.post("/v1/completions", json=body)
    except TimeoutError:
        return "cancelled"
    if answer.status_code == 400:
        assert answer.json()["error"]["code"] == "context_length_exceeded"
        return "refused"
    assert answer.status_code == 200, answer.text
    return "answered"


async def round_of_requests(address: PoolAddress, model: str, dice: random.Random) -> Counter[str]:
    """Let all clients ask all requests; return how many ended how."""
    numbers = iter(range(REQUESTS))
    counts: Counter[str] = Counter()

    async def client() -> None:
        headers = {"authorization": f"Bearer {address.api_key}"}
        async with httpx.AsyncClient(base_url=address.url, headers=headers, timeout=None) as http:
            for n in numbers:
                became = await ask(http, model, n, dice)
                counts[became] += 1
                # One that was to go away may have been answered before it did.
                assert became in (outcome(n), "answered")
                assert outcome(n) != "refused" or became == "refused"

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return counts


def memory_mb(settings: Settings) -> float:
    status = pool_status(settings)
    assert status is not None
    assert status.worker is not None
    pids = (status.pid, status.worker)
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / 2**20


def test_many_clients_that_come_and_go_leave_nothing_behind(
    settings: Settings, tmp_path: Path
) -> None:
    """Every request ends as it should, no slot stays taken, and memory stays what it was."""
    model = str(write_tiny_model(tmp_path / "tiny.gguf"))
    address = ensure_pool(settings)
    seed = int(os.environ.get("LECTERN_SOAK_SEED") or (time.time_ns() % 10**6 if SOAK else 1))
    print(f"LECTERN_SOAK_SEED={seed}")
    dice = random.Random(seed)
    counts = asyncio.run(round_of_requests(address, model, dice))
    at_first, until = memory_mb(settings), time.monotonic() + SECONDS
    while time.monotonic() < until:
        counts += asyncio.run(round_of_requests(address, model, dice))
        print(counts, f"{memory_mb(settings):.0f} MB", flush=True)

    assert min(counts["answered"], counts["cancelled"], counts["refused"]) > 0
    deadline = time.monotonic() + 30  # those that went away are told to the worker soon
    while (status := pool_status(settings)) and (status.running or status.waiting):
        assert time.monotonic() < deadline, f"{status.running} still run, {status.waiting} wait"
        time.sleep(0.05)
    assert memory_mb(settings) - at_first < GROWTH_MB
    headers = {"authorization": f"Bearer {address.api_key}"}
    metrics = httpx.get(f"{address.url}/metrics", headers=headers).text
    families = {each.name: each for each in text_string_to_metric_families(metrics)}
    assert families["lectern_worker_crashes"].samples[0].value == 0
    ended = {s.labels["finish_reason"]: s.value for s in families["lectern_requests"].samples}
    assert ended["cancelled"] <= counts["cancelled"]
    assert ended["length"] + ended.get("stop", 0) >= counts["answered"]
