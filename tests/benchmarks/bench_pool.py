"""How much faster the pool answers a batch together than one request after another.

    python tests/benchmarks/bench_pool.py [ROUNDS [REQUESTS]]

The demo model, real requests (the chunks of a sample), over HTTP; one pool with one sequence
and one with eight, in turns. Every round's prompts differ at their start, so no round lives on
what an earlier one left in the cache.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tasks.pool.client import PoolClient
from tasks.pool.lifecycle import ensure_pool, stop_pool
from tasks.records import Message, Sampling
from tasks.settings import Settings

_TEXT = "The reading room opens at nine, and every book has its own place on the shelf."


def _messages(round_: int, number: int) -> list[Message]:
    lines = [f"[{n}] Note {n} of card {number}: {_TEXT}" for n in range(1, 7)]
    source = "\n\n".join(lines)
    return [
        Message("system", f"Round {round_}. You summarise documents faithfully."),
        Message("user", f"<source>\n{source}\n</source>\nWrite the summary now."),
    ]


async def _batch(settings: Settings, round_: int, requests: int) -> tuple[float, int]:
    """Return the seconds that a batch took, and the tokens it was made of."""
    address = ensure_pool(settings)
    sampling = Sampling(max_tokens=64)
    async with PoolClient(address.url, address.api_key) as client:
        await client.chat("demo", _messages(-1 - round_, 0), sampling)  # loaded by now
        start = time.perf_counter()
        answers = await asyncio.gather(
            *(
                client.chat("demo", _messages(round_, n), sampling, logprobs=False)
                for n in range(requests)
            )
        )
        seconds = time.perf_counter() - start
    return seconds, sum(a.usage.prompt_tokens + a.usage.completion_tokens for a in answers)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    requests = int(sys.argv[2]) if len(sys.argv) > 2 else 32
    seconds: dict[int, list[float]] = {1: [], 8: []}
    tokens = 0
    with tempfile.TemporaryDirectory() as folder:
        homes = {n: Settings(home=Path(folder) / str(n), pool_n_seq_max=n) for n in seconds}
        try:
            for round_ in range(rounds):
                for n, settings in homes.items():
                    elapsed, tokens = asyncio.run(_batch(settings, round_, requests))
                    seconds[n].append(elapsed)
        finally:
            for settings in homes.values():
                stop_pool(settings)
    one = statistics.median(seconds[1])
    table = Table("sequences", "median s", "from", "to", "tokens/s", "times as fast as one")
    for n, times in seconds.items():
        median = statistics.median(times)
        table.add_row(
            str(n), f"{median:.2f}", f"{min(times):.2f}", f"{max(times):.2f}",
            f"{tokens / median:,.0f}", f"{one / median:.2f}",
        )  # fmt: skip
    table.title = f"{requests} requests, {os.cpu_count()} cores"
    Console().print(table)


if __name__ == "__main__":
    main()
