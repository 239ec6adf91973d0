"""The child process that measures quantizations. `python -m tasks.pool.quantization_child`

Reads one JSON line, an Order; writes a line for each measurement, which quantization and its rates,
or why there is none. It is a program of its own because llama.cpp prints as it quantizes, and ends
the process on some errors. It ends with its standard input, too.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import llama_cpp as llama

from tasks.errors import ModelError
from tasks.models.stdout import claim_stdout
from tasks.models.tensors import UnknownShapeError, n_parameters
from tasks.pool.alarm import Alarm
from tasks.pool.cpus import physical_cores
from tasks.pool.loading import Model, load, load_model
from tasks.pool.measuring import measure
from tasks.pool.protocol import WorkerConfig
from tasks.pool.stand_in import N_CTX, shape_of, write_stand_in
from tasks.pool.tuning import Rates, Tuning

OTHERS = ("Q4_0", "Q8_0", "Q4_K_M", "Q5_K_M")  # what is fast somewhere first
_DEPTH = 512
_ROUNDS = 3
_PREPARING = 0.5  # of the time, at most
_BYTES_A_WEIGHT = 2 + 5  # in f16, and in all quantizations together


@dataclass(frozen=True)
class Order:
    """What to measure.

    Attributes:
        own: how the model is quantized.
        folder: an empty one.
        seconds: for all of it; a measurement that has begun is ended.
        tuning: the fields of a Tuning.
    """

    model_path: str
    own: str
    folder: str
    seconds: float
    n_gpu_layers: int
    tuning: dict[str, Any]


def main() -> None:
    out = claim_stdout()
    order = Order(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        for name, rates in measured(order):
            out.write(json.dumps({"name": name, "rates": asdict(rates)}).encode() + b"\n")
            out.flush()
    except (UnknownShapeError, ModelError, OSError) as error:
        out.write(json.dumps({"problem": str(error)}).encode() + b"\n")
        out.flush()
    os._exit(0)


def measured(order: Order) -> Iterator[tuple[str, Rates]]:
    """Yield quantizations and their rates, in turn.

    Raises:
        UnknownShapeError, ModelError, OSError: it can't be done.
    """
    until = monotonic() + order.seconds
    models = _prepared(order, monotonic() + _PREPARING * order.seconds)
    for _ in range(_ROUNDS):
        for name, (model, config) in models.items():
            if monotonic() > until:
                return
            yield name, measure(model, config, Tuning(**order.tuning), _DEPTH, Alarm())


def _prepared(order: Order, until: float) -> dict[str, tuple[Model, WorkerConfig]]:
    """Return loaded stand-ins by quantization: the model's own first, others as time allows."""
    folder = Path(order.folder)
    config = WorkerConfig(
        model_path=order.model_path, n_ctx=N_CTX, n_gpu_layers=order.n_gpu_layers, n_seq_max=1
    )
    real = load(config, no_alloc=True)
    shape = shape_of(real.handle)
    real.close()
    if shutil.disk_usage(folder).free < _BYTES_A_WEIGHT * n_parameters(shape):
        raise OSError(f"{folder} has no room for models to compare")
    whole = folder / "F16.gguf"
    write_stand_in(whole, shape)
    models: dict[str, tuple[Model, WorkerConfig]] = {}
    for name in dict.fromkeys((order.own, *OTHERS)):
        if len(models) > 1 and monotonic() > until:
            break
        path = whole if name == "F16" else _quantized(whole, name)
        its = WorkerConfig(model_path=str(path), n_ctx=N_CTX, n_gpu_layers=order.n_gpu_layers)
        models[name] = load_model(its), its
    return models


def _quantized(whole: Path, name: str) -> Path:
    """Quantize a model.

    Raises:
        UnknownShapeError: llama.cpp can't, or not without more than the weights.
    """
    path = whole.with_name(f"{name}.gguf")
    params = llama.llama_model_quantize_default_params()
    params.nthread = physical_cores()
    ftype = getattr(llama, f"LLAMA_FTYPE_MOSTLY_{name}", None)
    if ftype is None:
        raise UnknownShapeError(f"its quantization, {name or 'unknown'}, can't be made here")
    params.ftype = ftype
    source, target = str(whole).encode(), str(path).encode()
    if llama.llama_model_quantize(source, target, ctypes.byref(params)) != 0:
        raise UnknownShapeError(f"llama.cpp can't quantize such a model to {name}")
    return path


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
