"""Whether a model fits here, whatever it is and wherever its file is, told before it is loaded.

Owns asking the child process that knows (tasks.pool.fit_child), and what it is asked of a model by
name: one that lies here, one of which the header is fetched, or one of which only the shape is
known; and keeping what would not be loaded from being fetched. Shows nothing.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from tasks.errors import AdapterError, ModelError
from tasks.models.files import ModelFiles, Progress, origin_of, remembered_identity, resolve
from tasks.models.nearest import listed, nearest
from tasks.models.registry import KnownModel, read_known
from tasks.models.spec import ModelSpec, load_spec
from tasks.models.use import use_of
from tasks.pool.fit import NoRoomError
from tasks.pool.fit_answer import Fit, GpuFit, Order, QuantizedFit
from tasks.pool.lifecycle import pool_status
from tasks.pool.protocol import WorkerConfig
from tasks.pool.tuning import default_tuning, tuning_for
from tasks.pool.worker_process import worker_environment
from tasks.settings import Settings

log = logging.getLogger(__name__)

OTHERS = ("Q4_0", "Q4_K_M", "Q5_K_M", "Q8_0")  # quantizations to tell of
_COMMAND = (sys.executable, "-m", "tasks.pool.fit_child")
_PATIENCE_S = 300.0
_SHAPE = "shape-"  # begins what stands for the identity of a file made for its shape
_TOKEN_BYTES = 300  # that llama.cpp has for one of a vocabulary of 150,000 with as many merges
_DRAFT = "the draft model takes memory of its own beside this"
_ANOTHER = "Get the file again, or choose another model"
_LOWER = "Free some, or lower LECTERN_POOL_N_BATCH, LECTERN_POOL_N_SEQ_MAX or LECTERN_POOL_N_CTX"
# As llama.cpp, ggml and the C++ library say it before they abort.
_LACK = re.compile(r".*(?:insufficient memory|failed to allocate|bad_alloc).*")


def fit(
    name: str,
    settings: Settings,
    *,
    n_ctx: int | None = None,
    n_seq_max: int | None = None,
    quantization: str = "",
    progress: Progress | None = None,
) -> Fit:
    """Tell what a model takes as it would be used here, and what would fit.

    Args:
        name: as resolve() takes it. Of what is not here, no more than the header is fetched.
        n_ctx, n_seq_max: None: as set, or as measured here.
        quantization: to count as if it were so quantized, in any case; "": as it is.

    Raises:
        ModelError: there is no such model, or its file can't be read.
    """
    quantization = quantization.upper().replace("-", "_")
    with _header_of(name, settings, quantization, progress) as files:
        config = config_for(files, settings)
        config = replace(
            config, n_ctx=n_ctx or config.n_ctx, n_seq_max=n_seq_max or config.n_seq_max
        )
        shape = files.known.shape if files.known and files.identity.startswith(_SHAPE) else None
        unseen = _TOKEN_BYTES * shape.n_vocab if shape else 0
        found = fit_of(config, name, quantization, unseen)
    if not settings.pool_draft_model:
        return found
    return replace(found, note=f"{found.note}; {_DRAFT}" if found.note else _DRAFT)


def fit_of(config: WorkerConfig, model: str, quantization: str = "", unseen: int = 0) -> Fit:
    """Ask what a model takes in a worker of a config, and what would fit.

    Args:
        config: its n_seq_max is taken as it is, whether or not it adapts.
        model: the name to complain about.
        unseen: bytes to add for what the file does not have.

    Raises:
        ModelError: the file can't be read, or llama.cpp knows no such quantization.
    """
    asked = asdict(replace(config, adapts=False))
    answer = _ask(Order(asked, quantization, list(OTHERS), unseen), model)
    gpus = [GpuFit(**each) for each in answer.pop("gpus")]
    others = [QuantizedFit(**each) for each in answer.pop("quantizations")]
    return Fit(gpus=gpus, quantizations=others, **answer)


def load_spec_that_fits(
    name: str, settings: Settings, progress: Progress | None = None
) -> ModelSpec:
    """Return the spec of a model that is to be loaded here: what does not fit is not fetched.

    Raises:
        NoRoomError: it is on a hub, and does not fit.
        ModelError: as load_spec() does.
    """
    return load_spec(name, settings, progress, partial(refuse_what_is_too_large, settings=settings))


def refuse_what_is_too_large(files: ModelFiles, settings: Settings) -> None:
    """Complain about a model as a worker would that is to load it; what the pool holds now counts
    as free. What can't be told is let through.

    Raises:
        NoRoomError: it does not fit.
    """
    if settings.pool_url:
        return
    order = Order(asdict(config_for(files, settings)), "", [], only_refusal=True,
                  held=held_by_pool(settings))  # fmt: skip
    try:
        refusal = _ask(order, files.name)["refusal"]
    except ModelError as error:
        log.info("whether it fits is told when it is loaded: %s", error)
        return
    if refusal:
        raise NoRoomError(*refusal)


def held_by_pool(settings: Settings) -> int:
    """Return the bytes that the pool's workers have for themselves, and give up for another
    model."""
    status, held = pool_status(settings), 0
    for pid in status.workers if status else ():
        with suppress(psutil.Error):
            memory = psutil.Process(pid).memory_info()
            held += memory.rss - getattr(memory, "shared", 0)
    return held


def _ask(order: Order, model: str) -> dict[str, Any]:
    """Return what the child answers.

    Raises:
        ModelError: it says a problem, or nothing.
    """
    try:
        done = subprocess.run(
            _COMMAND, input=json.dumps(asdict(order)).encode() + b"\n", capture_output=True,
            env=worker_environment(), timeout=_PATIENCE_S, check=False, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        problem = f"reading its header took longer than {_PATIENCE_S:.0f} s"
        raise ModelError(model, problem, _ANOTHER) from None
    if not done.stdout.endswith(b"\n"):
        raise _how_it_ended(done, model)
    answer: dict[str, Any] = json.loads(done.stdout)
    if "problem" in answer:
        raise ModelError(model, answer["problem"], answer.get("remedy") or _ANOTHER)
    return answer


def _how_it_ended(done: subprocess.CompletedProcess[bytes], model: str) -> ModelError:
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode in (-signal.SIGKILL, -signal.SIGXCPU):
        problem = "reading its header took too long, or more memory than this machine has"
    elif done.returncode < 0 and (lack := _LACK.search(said)):
        problem = f"to describe it takes llama.cpp more memory than it may have ({lack[0][:160]})"
        return ModelError(model, problem, _LOWER)
    elif done.returncode < 0:
        problem = f"llama.cpp ended while reading it (signal {-done.returncode})"
    else:
        last = said.rpartition("\n")[2]
        problem = f"reading its header failed: {last[:200] or f'status {done.returncode}'}"
    return ModelError(model, problem, _ANOTHER)


@contextmanager
def _header_of(
    name: str, settings: Settings, quantization: str = "", progress: Progress | None = None
) -> Iterator[ModelFiles]:
    """Find a model's files or, where they are not here, what stands for them: the header alone, or
    if that can't be fetched, a file of the shape that models.toml tells.

    Args:
        quantization: of the file of that shape.

    Raises:
        ModelError: there is no such model, or nothing is known of it.
    """
    try:
        files = resolve(name, settings, progress, header_only=True)
    except AdapterError:
        raise
    except ModelError:
        known, origin = origin_of(name, read_known(settings.models / "models.toml"), settings)
        if known is None or known.shape is None:
            raise
    else:
        yield files
        return
    with TemporaryDirectory(prefix="lectern-") as folder:
        quantization = quantization or origin.rpartition(":")[2] or OTHERS[0]
        yield _shape_alone(name, known, quantization, Path(folder))


def _shape_alone(name: str, known: KnownModel, quantization: str, folder: Path) -> ModelFiles:
    from tasks.models.shape_file import write_shape_file

    assert known.shape is not None
    path = folder / f"{quantization}.gguf"
    try:
        write_shape_file(path, known.shape, quantization)
    except ModelError as error:
        near = listed(nearest(quantization, known.quantizations or OTHERS))
        problem = f"it can't be counted in {quantization}: {error.problem}"
        raise ModelError(name, problem, f"Choose one of {near}") from error
    return ModelFiles(name, (path,), known, header_only=True, identity=f"{_SHAPE}{quantization}")


def config_for(files: ModelFiles, settings: Settings) -> WorkerConfig:
    """Return the config that a worker would get for a model, as the settings are and as was
    measured here. What was measured of a file that was never read is not looked for: to tell it
    from others would take reading it."""
    use = use_of(files.known, settings)
    identity = remembered_identity(files, settings.home)
    tuning = tuning_for(settings, identity) if identity else default_tuning(settings)
    return WorkerConfig(
        model_path=str(files.parts[0]),
        n_ctx=settings.pool_n_ctx,
        n_gpu_layers=settings.pool_n_gpu_layers,
        adapts=not settings.pool_n_seq_max,
        lora=[(str(each.path), each.scale, "") for each in files.adapters],
        rope_scaling=use.rope_scaling,
        rope_factor=use.rope_factor,
        tensor_split=settings.pool_tensor_split,
        n_draft=0 if settings.pool_speculation == "off" else WorkerConfig.n_draft,
        **asdict(tuning),
    )
