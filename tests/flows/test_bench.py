"""`lectern bench` with a tiny model: what it tells, keeps, and refuses. No figure is looked at."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import httpx
import psutil
import pytest
from support import fake_worker
from support.command import Lectern
from support.processes import running
from support.tiny_model import write_tiny_model

from tasks.errors import InferenceError, ModelError
from tasks.models.files import ModelFiles, identify
from tasks.pool import bench as pool_bench
from tasks.pool.bench import Comparison, tune
from tasks.pool.lifecycle import ensure_pool, pool_status, stop_pool
from tasks.pool.protocol import Tune, WorkerConfig
from tasks.pool.tuning import FIELDS, Tuning, kept, tuning_for
from tasks.settings import PROJECT_ROOT, Settings

ENV = {"LECTERN_POOL_N_CTX": "512"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
def home(config: Settings) -> Iterator[Settings]:
    """The settings of a home; its pool, if one was started, is stopped."""
    settings = config.model_copy(update={"pool_n_ctx": 512})
    yield settings
    stop_pool(settings)


@pytest.mark.slow
def test_it_measures_keeps_the_answer_and_compares_quantizations(
    home: Settings, lectern: Lectern
) -> None:
    """With an idle pool in this home, which is ended first."""
    demo = home.models / "lectern-demo-q8_0.gguf"
    ensure_pool(home)
    answer = lectern("bench", "-m", "demo", "--seconds", "5", "--json", timeout=280, **ENV)

    assert answer.returncode == 0, answer.stderr
    assert pool_status(home) is None
    told = json.loads(answer.stdout)
    start = {name: told["rows"][0][name] for name in FIELDS}
    assert start == asdict(Tuning())
    assert all(row["chunks_per_hour"] > 0 and row["measured"] > 0 for row in told["rows"])
    assert [{n: row[n] for n in FIELDS} for row in told["rows"] if row["best"]] == [told["best"]]
    identity = identify(ModelFiles("demo", (demo,)), home.home)
    expected = {n: value for n, value in told["best"].items() if n not in told["left"]}
    assert kept(home, identity) == expected
    assert replace(Tuning(), **expected) == tuning_for(home, identity)
    assert bool(told["kept"]) == bool(expected)
    compared = told["quantizations"]
    assert compared["own"] == "Q8_0"
    assert compared["problem"] or compared["ratios"]["Q8_0"] == 1
    assert list((home.home / "cache").iterdir()) == []  # the models that were compared


@pytest.mark.slow
def test_what_the_user_has_set_is_not_tried(home: Settings, lectern: Lectern, model: Path) -> None:
    """And a model that does not say how it is quantized can't be compared."""
    chosen = {
        "LECTERN_POOL_N_SEQ_MAX": "2", "LECTERN_POOL_KV_CACHE": "unified",
        "LECTERN_POOL_FLASH_ATTN": "off", "LECTERN_POOL_N_THREADS": "1",
    }  # fmt: skip
    answer = lectern("bench", "-m", str(model), "--seconds", "5", "--json", **ENV, **chosen)

    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    tried = {(row["n_seq_max"], row["kv_unified"], row["flash_attn"]) for row in told["rows"]}
    assert tried == {(2, True, "off")}
    assert set(told["left"]) <= {"n_batch"}
    assert "quantization, unknown, can't be made here" in told["quantizations"]["problem"]


@pytest.mark.slow
def test_the_table_says_what_is_best_and_what_a_night_brings(
    home: Settings, lectern: Lectern, model: Path
) -> None:
    chosen = {
        "LECTERN_POOL_N_SEQ_MAX": "2", "LECTERN_POOL_KV_CACHE": "split",
        "LECTERN_POOL_FLASH_ATTN": "off", "LECTERN_POOL_N_BATCH": "64",
        "LECTERN_POOL_N_THREADS": "1",
    }  # fmt: skip
    answer = lectern("bench", "-m", str(model), "--no-quantizations", **ENV, **chosen)

    assert answer.returncode == 0, answer.stderr
    assert re.search(r"★ 2 +split +off +64 +1/1 ", answer.stdout)
    assert re.search(r"about [\d,]+ chunks of 1,500 tokens in a night of 8 h", answer.stdout)
    assert "Nothing was kept." in answer.stdout  # all was set


# What is refused, each with a line.


@pytest.mark.slow
def test_a_pool_in_use_is_left_alone(home: Settings, lectern: Lectern, model: Path) -> None:
    address = ensure_pool(home)
    headers = {"authorization": f"Bearer {address.api_key}"}
    body = {"model": str(model), "prompt": "x", "max_tokens": 500, "ignore_eos": True}
    with httpx.Client(base_url=address.url, headers=headers, timeout=60) as http:
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                http.post("/v1/completions", json=body).raise_for_status()

        with ThreadPoolExecutor(2) as threads:
            asking = [threads.submit(ask) for _ in range(2)]
            try:
                while not pool_status(home).in_use:  # type: ignore[union-attr]
                    time.sleep(0.05)
                answer = lectern("bench", "-m", str(model), **ENV)
            finally:
                stop.set()
            for each in asking:
                each.result()

    assert answer.returncode == 1
    assert answer.stderr.startswith("lectern: lectern bench: the pool is in use")
    assert "lectern pool stop" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "/nowhere/model.gguf"], "/nowhere/model.gguf: there is no such file"),
        (
            ["-m", "acme/Tiny-GGUF:q4_0"],
            "lectern: acme/Tiny-GGUF:q4_0: there is no such file. Did "
            "you mean hf:acme/Tiny-GGUF:q4_0? Else check the path.",
        ),
        (["-m", "x" * 300 + "/y"], "/y: it can't be read (File name too long)"),
        (["-m", "~of-nobody/y.gguf"], "/~of-nobody/y.gguf: there is no such file"),
        (["--seconds", "0"], "should be greater than or equal to 5"),
    ],
)
def test_wrong_arguments_end_in_a_line(
    config: Settings, lectern: Lectern, arguments: list[str], said: str
) -> None:
    answer = lectern("bench", *arguments)

    assert answer.returncode in (1, 2)
    assert said in " ".join(answer.stderr.split())
    assert "Traceback" not in answer.stderr


def test_where_nothing_can_be_kept_nothing_is_measured(
    config: Settings, lectern: Lectern, model: Path
) -> None:
    config.home.mkdir()
    (config.home / "tuning").write_text("a file, where a folder should be")
    answer = lectern("bench", "-m", str(model))

    assert answer.returncode == 1
    assert "tuning" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("/models/bad", ModelError, r"^bad: it is bad"),
        ("/models/abort", InferenceError, r"measuring ended with status -6\. See .*bench\.log"),
    ],
)
def test_a_worker_that_fails_ends_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, kind: type, said: str
) -> None:
    monkeypatch.setattr(pool_bench, "WORKER_COMMAND", (sys.executable, fake_worker.__file__))

    with pytest.raises(kind, match=said):
        tune(WorkerConfig(model_path=path, n_ctx=512), Tune(budget_s=1, free=[]),
             tmp_path / "bench.log", lambda _: None)  # fmt: skip


@pytest.mark.slow
def test_ctrl_c_ends_it_and_its_children(config: Settings, model: Path) -> None:
    env = {**os.environ, **ENV, "PYTHONPATH": str(PROJECT_ROOT)}
    command = [sys.executable, "-m", "flows.cli", "bench", "-m", str(model)]
    process = subprocess.Popen(
        command, env=env, cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True
    )
    bench = psutil.Process(process.pid)
    while not (children := _workers(bench)):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert said == "Stopped.\n"
    psutil.wait_procs(children, timeout=20)
    assert not any(child.is_running() for child in children)


def _workers(process: psutil.Process) -> list[psutil.Process]:
    return running("tasks.pool.worker", process.children())


# What is said of quantizations.


def test_only_a_quantization_that_is_faster_each_time_is_called_so() -> None:
    compared = Comparison(
        "Q4_K_M",
        {
            "Q4_K_M": [100, 110, 105],
            "Q4_0": [390, 400, 410],
            "Q8_0": [130, 109, 140],
            "Q5_K_M": [90, 95, 99],
        },
    )

    assert compared.faster == {"Q4_0": pytest.approx(400 / 105)}
    assert compared.ratios["Q8_0"] == pytest.approx(130 / 105)


def test_a_single_measurement_says_nothing() -> None:
    compared = Comparison("Q4_K_M", {"Q4_K_M": [100], "Q4_0": [400]})

    assert compared.faster == {}
