"""The flows against other servers: a real llama-server with the demo model, beside the pool; and
one that tells next to nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.crashing import wait_until
from support.flow_runs import Ended, summarize, translate
from support.llama_server import is_made, llama_server
from support.scripted_server import Foreign, ScriptedServer

from flows.stopping import STOPPED
from tasks.pool.lifecycle import stop_pool
from tasks.settings import PROJECT_ROOT, Settings, settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

MODEL = PROJECT_ROOT / "data" / "models" / "lectern-demo-q8_0.gguf"
DEMO: Any = "demo"
# The demo model copies, so that of a translation only names come out right.
TEXT = """\
# The harbour of a small town

The harbour was built in 1874 by the town itself. It has room for 40 boats, and most of them are
small. In winter the ships from the north bring coal and timber.

Every morning the ferry leaves at 7:30. It takes 25 minutes to the island, where 300 people live.

# Those who kept the light

Anna Lindqvist, Göteborg, 1874.

Johan Bergström and Nils Hallberg, Kiel, 1891.

Karin Östlund, Malmö, 1923.
"""
CALL = ["task", "level", "first_n", "last_n", "prompt_hash", "attempt"]
SAID = ["text", "finish_reason", "prompt_tokens", "completion_tokens"]
TIMES = {"queue_s", "prefill_s", "decode_s", "ttft_s", "tpot_s", "e2e_s"}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A llama-server with as many slots as the pool has sequences, and the pool's window."""
    if not is_made():
        pytest.skip("needs a real llama-server: make llama-server")
    log = tmp_path_factory.mktemp("server") / "log"
    with llama_server(MODEL, log, n_seq=4, n_ctx=4096) as url:
        yield url


@pytest.fixture
def run(
    config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Path]]:
    """Run a flow, with results of its own for each server; return their folder."""
    source = tmp_path / "harbour.md"
    source.write_text(TEXT, encoding="utf-8")
    for name, value in {"N_SEQ_MAX": "4", "N_THREADS": "1", "TUNING": "off"}.items():
        monkeypatch.setenv(f"LECTERN_POOL_{name}", value)

    def ended(flow: Callable[..., Ended], url: str | None, model: Any = DEMO) -> Path:
        monkeypatch.setenv("LECTERN_RESULTS", str(tmp_path / ("there" if url else "here")))
        if url:
            monkeypatch.setenv("LECTERN_POOL_URL", url)
        settings.cache_clear()
        state, _ = flow(model, source)
        assert state.name.startswith("Completed"), state.message
        return settings().results

    yield ended
    stop_pool(config)


def rows(results: Path) -> pl.DataFrame:
    return pl.read_parquet(results / "generations" / "*.parquet").sort(CALL)


def told(generations: pl.DataFrame) -> set[str]:
    """Return the columns that say something of every call."""
    assert generations["completion_tokens"].min() != 1  # of one token there is no time apiece
    return {name for name in {"mean_logprob"} | TIMES if generations[name].null_count() == 0}


def document(results: Path) -> str:
    [path] = results.glob("**/*.md")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("flow", [summarize, translate])
def test_llama_server_and_the_pool_give_the_same(
    flow: Callable[..., Ended], llama: str, run: Callable[..., Path]
) -> None:
    """The same calls, the same greedy answers, the same document. Of each call llama-server tells
    the tokens and the times of its work; the others are measured from outside."""
    here, there = run(flow, None), run(flow, llama)
    ours, theirs = rows(here), rows(there)

    assert ours.select(CALL).equals(theirs.select(CALL))
    greedy = pl.col("temperature") == 0
    assert ours.filter(greedy).height >= 3
    assert ours.filter(greedy).select(SAID).equals(theirs.filter(greedy).select(SAID))
    assert document(here) == document(there)
    assert told(ours) == {"mean_logprob"} | TIMES
    assert told(theirs) == told(ours) - {"queue_s"}
    work = theirs["prefill_s"] + theirs["decode_s"]
    assert (work < theirs["e2e_s"]).all()
    assert (theirs["ttft_s"] > theirs["prefill_s"]).all()


def test_a_server_that_tells_little_is_measured_from_outside(
    run: Callable[..., Path], tiny_model: Path
) -> None:
    """It streams, but takes no options for it, and no log-probabilities."""
    with ScriptedServer(foreign=Foreign(refuses=("stream_options", "logprobs"))) as server:
        results = run(summarize, server.url, tiny_model)

    generations = rows(results)
    assert generations["status"].to_list() == ["ok"] * generations.height
    known = {name for name in TIMES if generations[name].null_count() == 0}
    assert known == {"ttft_s", "decode_s", "e2e_s"}
    assert generations["completion_tokens"].to_list() == [0] * generations.height
    assert {entry.model for entry in server.log} == {"scripted"}


@pytest.mark.parametrize("end", ["server comes up", "Ctrl-C"])
def test_a_server_that_is_not_there_is_told_at_once_and_waited_for(
    end: str, config: Settings, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "harbour.md").write_text(TEXT, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    with subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "summarize", "harbour.md", "-m", str(tiny_model)],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "LECTERN_POOL_URL": url},
    ) as process:  # fmt: skip
        assert process.stderr
        first = process.stderr.readline()
        wait_until(lambda: any(config.results.glob("segments/*.parquet")))  # now it is asked
        if end == "Ctrl-C":
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
        else:
            with ScriptedServer(port=port):
                rest = process.stderr.read()

    assert first == (
        f"{url} does not answer (Connection refused); requests keep trying it for 60 s. See "
        "whether it runs; LECTERN_POOL_URL says where it is\n"
    )
    expected = (130, STOPPED) if end == "Ctrl-C" else (0, f"{url} answers now")
    assert (process.returncode, expected[1] in rest) == (expected[0], True), rest
