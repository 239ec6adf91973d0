"""What a model takes, told before it is loaded: beside what it then takes, and what would fit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.gguf_header import Header, u32
from support.hostile_models import bad_models, unwritten_model
from support.tiny_model import write_tiny_model

from tasks.errors import ModelError
from tasks.models.files import resolve
from tasks.models.registry import read_known
from tasks.models.shape_file import write_shape_file
from tasks.pool import fitting
from tasks.pool.fit import GIB, NoRoomError, compute_on, free_memory, need_in, quantized_size
from tasks.pool.fit_answer import Fit
from tasks.pool.fitting import config_for, fit, fit_of, refuse_what_is_too_large
from tasks.pool.protocol import Event, LoadFailed, Ready, WorkerConfig, decode, encode
from tasks.pool.worker_process import WORKER_COMMAND
from tasks.settings import PROJECT_ROOT, Settings

LOG = """\
llama_context:  CUDA_Host  output buffer size =     1.25 MiB
llama_kv_cache:      CUDA0 KV buffer size =     0.00 MiB
llama_kv_cache: size =   64.00 MiB (  1024 cells,  32 layers,  2/2 seqs), K (f16): 32.00 MiB
sched_reserve:      CUDA0 compute buffer size =   300.75 MiB
sched_reserve:      CUDA1 compute buffer size =   100.00 MiB
sched_reserve:  CUDA_Host compute buffer size =    20.00 MiB
llama_model_quantize_impl: model size  = 14526.27 MiB (16.00 BPW)
llama_model_quantize_impl: quant size  =  4460.45 MiB (4.91 BPW)
""".splitlines(keepends=True)  # as llama.cpp of llama-cpp-python 0.3.36 words it


def test_llama_cpps_log_is_read() -> None:
    mib = 2**20
    need = need_in(LOG, weights=7)

    assert (need.weights, need.cache, need.compute) == (7, 64 * mib, 422 * mib)
    assert compute_on(LOG, "CUDA0") == int(300.75 * mib)
    assert compute_on(LOG, "CUDA2") == 0
    assert quantized_size(LOG) == int(4460.45 * mib)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


def config_with(path: Path, **fields: object) -> WorkerConfig:
    fields = {"n_ctx": 512, "n_seq_max": 2, "n_threads": 1, **fields}
    return WorkerConfig(model_path=str(path), **fields)  # type: ignore[arg-type]


def first(config: WorkerConfig, kind: type[Event]) -> Any:
    """Start a worker; return the first event of a kind."""
    with subprocess.Popen(
        WORKER_COMMAND, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(encode(config))
        worker.stdin.flush()
        event = next(each for each in map(decode, worker.stdout) if isinstance(each, kind))
        worker.kill()
    return event


def test_what_is_told_is_what_the_worker_tells(tiny: Path) -> None:
    """The same sum: the process, what describes the model, weights, cache and buffers."""
    config = config_with(tiny)
    told = fit_of(config, "tiny")
    ready = first(config, Ready)

    assert told.total == pytest.approx(ready.memory_estimate, rel=0.05)
    assert told.fits


def test_sizes_grow_as_they_should(tiny: Path) -> None:
    """The cache with tokens and with sequences, the weights with neither."""
    one, longer, more = (
        fit_of(config_with(tiny, n_ctx=n_ctx, n_seq_max=n_seq), "tiny")
        for n_ctx, n_seq in ((512, 1), (2048, 1), (512, 8))
    )

    assert longer.cache == 4 * one.cache
    assert more.cache == 8 * one.cache
    assert one.weights == longer.weights == more.weights


def test_no_context_is_longer_than_the_model_takes(tiny: Path) -> None:
    found = fit_of(config_with(tiny, n_ctx=1 << 20), "tiny")

    assert (found.n_ctx, found.most_n_ctx) == (4096, 4096)
    assert found.n_ctx_asked == 1 << 20


SHAPED = {
    name: known.shape
    for name, known in read_known(PROJECT_ROOT / "data" / "models" / "models.toml").items()
    if known.shape
}
SOAK = bool(os.environ.get("LECTERN_SOAK"))
# Those whose description takes most: states, layers, windows. A soak counts all.
HARDEST = ("qwen3.5-27b", "qwen2.5-72b", "gemma3-27b")


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize(("n_ctx", "n_batch"), [(4096, 2048), (1 << 20, 512)])
@pytest.mark.parametrize("name", sorted(SHAPED) if SOAK else HARDEST)
def test_every_model_of_the_list_can_be_counted(
    name: str, n_ctx: int, n_batch: int, tmp_path: Path
) -> None:
    """Also with the most sequences that can be set, and as many tokens as it takes: llama.cpp's
    own description of it must not be what has no room."""
    path = tmp_path / f"{name}.gguf"
    write_shape_file(path, SHAPED[name], "Q4_0")
    config = config_with(path, n_ctx=n_ctx, n_seq_max=64, n_batch=n_batch, n_gpu_layers=0)
    few, many = fit_of(replace(config, n_seq_max=2), name), fit_of(config, name)

    assert many.cache == pytest.approx(32 * few.cache, rel=0.01)
    assert 0 < few.compute <= many.compute
    assert few.weights == many.weights > 0


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a hundred such layers as Qwen3.5-27B has, of which three quarters have states."""
    path = tmp_path_factory.mktemp("hybrid") / "hybrid.gguf"
    write_shape_file(path, SHAPED["qwen3.5-27b"].model_copy(update={"block_count": 100}), "Q4_0")
    return path


@pytest.mark.slow
def test_the_states_of_all_sequences_are_not_allocated_to_be_counted(hybrid: Path) -> None:
    """15 GiB of them, in a process that may take a fifth of it; the caches are no more than told
    for 2 sequences, and states and buffers grow with each as they do from 2 to 4."""
    n_seq_max = 64
    config = config_with(hybrid, n_seq_max=n_seq_max, n_gpu_layers=0)
    few, many = fit_of(replace(config, n_seq_max=2), "few"), fit_of(config, "many")

    assert many.cache == pytest.approx(n_seq_max / 2 * few.cache, rel=0.001)
    assert many.cache > 15 * GIB
    assert many.compute > few.compute


@pytest.mark.slow
def test_a_model_with_states_that_is_too_large_is_refused_before_it_is_fetched(
    hybrid: Path, config: Settings
) -> None:
    settings = config.model_copy(
        update={"pool_n_ctx": 1 << 20, "pool_n_seq_max": 64, "pool_n_gpu_layers": 0}
    )

    with pytest.raises(NoRoomError, match=r"^hybrid\.gguf: it needs [\d.]+ GiB of memory"):
        refuse_what_is_too_large(resolve(str(hybrid), settings), settings)


def test_llama_cpps_lack_of_memory_is_told_as_that(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It aborts then, which looks like a damaged file."""
    says = "ggml_aligned_malloc: insufficient memory (attempted to allocate 394.82 MB)"
    ends = f"import os, sys; print({says!r}, file=sys.stderr, flush=True); os.abort()"
    monkeypatch.setattr(fitting, "_COMMAND", (sys.executable, "-c", ends))

    with pytest.raises(ModelError) as caught:
        fit_of(config_with(tiny), "tiny")

    assert str(caught.value) == (
        f"tiny: to describe it takes llama.cpp more memory than it may have ({says}). Free some, "
        "or lower LECTERN_POOL_N_BATCH, LECTERN_POOL_N_SEQ_MAX or LECTERN_POOL_N_CTX."
    )


def test_contexts_too_large_to_describe_are_told_all_the_same(tiny: Path) -> None:
    """llama.cpp takes some 50 bytes for each token of a context before any cache."""
    one, many = (
        fit_of(config_with(tiny, n_ctx=1 << 19, n_seq_max=n, rope_factor=128.0), "tiny")
        for n in (1, 64)
    )

    assert many.n_ctx == 1 << 19
    assert many.cache == pytest.approx(64 * one.cache, rel=0.01)
    assert many.most_n_seq > 0


def test_it_is_said_in_which_quantization_a_model_is_counted(tiny: Path) -> None:
    assert fit_of(config_with(tiny), "tiny", "Q8_0").quantization == "Q8_0"
    demo = PROJECT_ROOT / "data" / "models" / "lectern-demo-q8_0.gguf"
    assert fit_of(config_with(demo), "demo").quantization == "Q8_0"


def test_other_quantizations_are_counted_by_llama_cpp(tiny: Path) -> None:
    """Of 32-bit floats: 4.5 and 8.5 bits a weight, but for the norms."""
    own = fit_of(config_with(tiny), "tiny")
    sizes = {each.name: each.weights for each in own.quantizations}
    as_q8_0 = fit_of(config_with(tiny), "tiny", "Q8_0")

    assert list(sizes) == ["Q4_0", "Q4_K_M", "Q5_K_M", "Q8_0"]
    assert sizes["Q8_0"] == pytest.approx(own.weights * 8.5 / 32, rel=0.03)
    assert as_q8_0.weights == sizes["Q8_0"]
    assert as_q8_0.cache == own.cache
    assert {each.name: each.weights for each in as_q8_0.quantizations} == sizes


def test_an_unknown_quantization_is_refused(tiny: Path) -> None:
    with pytest.raises(ModelError) as caught:
        fit_of(config_with(tiny), "tiny", "Q4_K")

    assert str(caught.value).startswith(
        "tiny: llama.cpp can't quantize it to Q4_K. Choose another: Q4_K_M, Q4_K_S, "
    )


def test_a_quantization_may_be_written_with_hyphens(tiny: Path, config: Settings) -> None:
    assert fit(str(tiny), config, quantization="q4-k-m").quantization == "Q4_K_M"


# Asks as this process would, which has a limit, and says what comes.
ASK = """
import json, sys
from dataclasses import asdict
from tasks.pool.fitting import fit_of
from tasks.pool.protocol import WorkerConfig
print(json.dumps(asdict(fit_of(WorkerConfig(**json.loads(sys.argv[1])), "deep"))))
"""


def ask(config: WorkerConfig, limit_gib: float) -> Fit:
    """Ask in a process with a limit for its address space, as `ulimit -v` sets it."""
    code = f'ulimit -v {int(limit_gib * 2**20)}; exec "$@"'
    answer = subprocess.run(
        ["bash", "-c", code, "ask", sys.executable, "-c", ASK, json.dumps(vars(config))],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    return Fit(**json.loads(answer.stdout))


@pytest.fixture(scope="module")
def deep(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of which a token of context takes 160 KiB."""
    path = tmp_path_factory.mktemp("deep") / "deep.gguf"
    long = path.with_name("long.gguf")
    long.write_bytes(Header.read(tiny).with_values(llama__context_length=u32(1 << 17)).encode())
    return unwritten_model(path, long, n_embd=1024, n_layers=40, n_ff=64)


def test_the_largest_settings_that_fit_are_told(deep: Path) -> None:
    """With one sequence more, or a step of tokens more, it would not fit; with these it does."""
    limit = 4.0
    config = config_with(deep, n_ctx=2048, n_seq_max=32, n_batch=64)
    found = ask(config, limit)

    assert not found.fits
    assert 1 <= found.most_n_seq < 32
    assert 2048 < found.most_n_ctx < 32 * 1024
    for fields in (
        {"n_seq_max": found.most_n_seq},
        {"n_seq_max": 1, "n_ctx": found.most_n_ctx},
    ):
        assert ask(replace(config, **fields), limit + 0.05).fits
    for fields in (
        {"n_seq_max": found.most_n_seq + 1},
        {"n_seq_max": 1, "n_ctx": found.most_n_ctx + 256},
    ):
        assert not ask(replace(config, **fields), limit - 0.05).fits


def test_a_model_bigger_than_this_machine_is_told_of(tiny: Path, tmp_path: Path) -> None:
    path = unwritten_model(tmp_path / "70b.gguf", tiny, n_embd=8192, n_layers=80, n_ff=28672)
    found = ask(config_with(path, n_ctx=4096, n_seq_max=8), 16.0)

    assert (found.fits, found.most_n_seq, found.most_n_ctx) == (False, 0, 0)
    assert found.weights == pytest.approx(290 * GIB, rel=0.01)
    assert found.cache == pytest.approx(80 * GIB, rel=0.01)
    assert 0 < found.ram_free < found.ram_total


@pytest.mark.parametrize("name", ["no-tensors", "layers-2^31", "heads-0", "unknown-architecture"])
def test_a_hostile_file_is_refused_in_one_line(name: str, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.gguf"
    path.write_bytes(bad_models(tiny)[name].encode())
    with pytest.raises(ModelError) as caught:
        fit_of(config_with(path), str(path))

    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert line.isprintable()


def test_a_model_by_name_is_counted_as_it_would_be_used(tiny: Path, config: Settings) -> None:
    """With the settings' context and what was measured here, or as asked for."""
    settings = config.model_copy(update={"pool_n_ctx": 1024, "pool_n_seq_max": 3})
    found = fit(str(tiny), settings)
    asked = fit(str(tiny), settings, n_ctx=2048, n_seq_max=1)

    assert (found.n_ctx, found.n_seq_max) == (1024, 3)
    assert (asked.n_ctx, asked.n_seq_max) == (2048, 1)


def test_a_draft_model_is_not_forgotten(tiny: Path, config: Settings) -> None:
    settings = config.model_copy(update={"pool_draft_model": str(tiny)})

    assert "draft model" in fit(str(tiny), settings).note


def test_the_config_is_that_of_the_settings(tiny: Path, config: Settings) -> None:
    settings = config.model_copy(
        update={
            "pool_n_gpu_layers": 7,
            "pool_tensor_split": (2.0, 1.0),
            "pool_rope_scaling": "linear",
            "pool_rope_factor": 2.0,
        }
    )
    found = config_for(resolve(str(tiny), settings), settings)

    assert found.n_gpu_layers == 7
    assert found.tensor_split == (2, 1)
    assert (found.rope_scaling, found.rope_factor) == ("linear", 2)


def test_refusals_name_the_command(tiny: Path, tmp_path: Path) -> None:
    """It tells what would fit; the pool's one line has no room for all of it."""
    path = unwritten_model(tmp_path / "1t.gguf", tiny, n_embd=16384, n_layers=400, n_ff=28672)
    answer = first(config_with(path), LoadFailed)

    assert re.search(r"`lectern models fit` tells what would fit$", answer.remedy)


@pytest.fixture(scope="module")
def endless(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that fits nowhere."""
    path = tmp_path_factory.mktemp("endless") / "1t.gguf"
    return unwritten_model(path, tiny, n_embd=16384, n_layers=400, n_ff=28672)


@pytest.mark.parametrize("n_seq_max", [0, 3])
def test_what_is_not_to_be_fetched_is_refused_in_the_workers_words(
    n_seq_max: int, endless: Path, config: Settings
) -> None:
    """But for how much is free just then."""
    settings = config.model_copy(update={"pool_n_seq_max": n_seq_max, "pool_n_ctx": 1 << 20})
    files = resolve(str(endless), settings)
    spec_n_ctx = 4096  # as a worker is told, of a model that was trained on no more
    failed = first(replace(config_for(files, settings), n_ctx=spec_n_ctx), LoadFailed)

    with pytest.raises(NoRoomError) as caught:
        refuse_what_is_too_large(files, settings)

    told = (caught.value.problem, caught.value.remedy)
    said = (failed.problem, failed.remedy)
    figures = re.compile(r"(?<=and )[\d.]+(?= GiB are free)|(?<=at most )[\d.]+")
    assert [figures.sub("…", each) for each in told] == [figures.sub("…", each) for each in said]
    assert f"{n_seq_max or 1} sequences of 4,096 tokens" in told[0]


def test_nothing_is_refused_for_another_server(endless: Path, config: Settings) -> None:
    settings = config.model_copy(update={"pool_url": "http://127.0.0.1:9"})

    refuse_what_is_too_large(resolve(str(endless), settings), settings)


def test_what_the_pool_gives_up_counts_as_free(
    endless: Path, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One model after the other is in memory: the next is not refused for the one before."""
    files = resolve(str(endless), config)
    with pytest.raises(NoRoomError):
        refuse_what_is_too_large(files, config)
    monkeypatch.setattr(fitting, "held_by_pool", lambda _: 1 << 50)

    refuse_what_is_too_large(files, config)


def test_a_limit_of_this_process_is_not_widened_by_others() -> None:
    held = 1 << 50
    code = f"from tasks.pool.fit import free_memory; print(free_memory({held}))"
    limited = subprocess.run(
        ["bash", "-c", 'ulimit -v 8388608; exec "$@"', "ask", sys.executable, "-c", code],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip

    assert 0 < int(limited.stdout) < 8 * GIB
    assert free_memory(held) > held
