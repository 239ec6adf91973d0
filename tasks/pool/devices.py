"""The GPUs that llama.cpp sees, and what it is told of them.

Owns ggml's calls for devices, and the parameters a model is loaded with. What goes where is decided
in tasks.pool.gpus.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp as llama
from llama_cpp._ggml import libggml

from tasks.models.gguf_header import GgufHeader
from tasks.pool.fit import Need
from tasks.pool.gpus import Gpu, Offload, check_split, own
from tasks.pool.protocol import WorkerConfig

_GPU, _INTEGRATED_GPU = 1, 2  # ggml-backend.h, enum ggml_backend_dev_type
_LAYER = re.compile(r"blk\.(\d+)\.")
_PART = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<total>\d{5})\.gguf", re.IGNORECASE)


class _Properties(ctypes.Structure):
    """ggml-backend.h, struct ggml_backend_dev_props."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("caps", ctypes.c_bool * 8),  # five, as of 0.25; room for more
    )


def _bind() -> None:
    handle, n = ctypes.c_void_p, ctypes.c_size_t
    for name, result, *arguments in (
        ("ggml_backend_dev_count", n),
        ("ggml_backend_dev_get", handle, n),
        ("ggml_backend_dev_get_props", None, handle, ctypes.POINTER(_Properties)),
    ):
        function = getattr(libggml, name)
        function.restype, function.argtypes = result, arguments


_bind()


def gpus() -> list[Gpu]:
    """Return the GPUs that llama.cpp uses if it is told of none, in its order: integrated ones only
    where there are no others, and each once, even if two parts of ggml can drive it
    (llama_prepare_model_devices in src/llama.cpp)."""
    found: dict[str, tuple[int, _Properties]] = {}
    for handle, device in seen():
        if device.type in (_GPU, _INTEGRATED_GPU):
            place = device.device_id or device.name
            found.setdefault(place.decode(errors="replace"), (handle, device))
    kind = min((device.type for _, device in found.values()), default=_GPU)
    chosen = [each for each in found.values() if each[1].type == kind]
    return [_gpu(number, *each) for number, each in enumerate(chosen)]


def on_gpu(config: WorkerConfig) -> bool:
    return config.n_gpu_layers != 0 and bool(gpus_for(config))


def gpus_for(config: WorkerConfig) -> list[Gpu]:
    """Return those that a worker may use, with what they have free now.

    Raises:
        ModelError: shares are set, but not of these GPUs.
    """
    found = gpus()
    if found and config.tensor_split:
        check_split(config.tensor_split, found)
    return own(found, config.gpus)


def seen() -> Iterator[tuple[int, _Properties]]:
    llama.llama_backend_init()
    for i in range(libggml.ggml_backend_dev_count()):
        handle = libggml.ggml_backend_dev_get(i)
        properties = _Properties()
        libggml.ggml_backend_dev_get_props(handle, ctypes.byref(properties))
        yield handle, properties


def _gpu(number: int, handle: int, device: _Properties) -> Gpu:
    name = device.name.decode(errors="replace")
    return Gpu(number, name, device.memory_free, device.memory_total, handle)


def model_params(chosen: Offload, gpus: Sequence[Gpu], *, no_alloc: bool = False) -> Any:
    """Return what a model is loaded with (llama_model_params).

    Args:
        gpus: those that may be used, in the order of the shares.
        no_alloc: without its weights.
    """
    params = llama.llama_model_default_params()
    params.no_alloc = no_alloc
    params.n_gpu_layers = chosen.n_gpu_layers if gpus else 0
    if no_alloc or chosen.left or not params.n_gpu_layers:
        # Read, not mapped: llama.cpp lays out most weights anew for the CPU, and the mapped ones
        # would stay resident beside these (712 MB instead of 524 for a Q4_0 of 0.5B). And what
        # happens to the file later does no harm.
        params.load_mode = llama.LLAMA_LOAD_MODE_NONE
    if gpus:
        handles = (ctypes.c_void_p * (len(gpus) + 1))(*(gpu.handle for gpu in gpus), None)
        params.devices = ctypes.addressof(handles)
        params.kept = handles  # which the structure itself does not: it goes with it
    if gpus and any(chosen.tensor_split):
        shares = (ctypes.c_float * llama.llama_max_devices())(*chosen.tensor_split)
        params.tensor_split = shares
    if gpus and chosen.main_gpu is not None:
        params.split_mode = llama.LLAMA_SPLIT_MODE_NONE
        params.main_gpu = chosen.main_gpu
    return params


def how_it_runs(config: WorkerConfig, need: Need) -> str:
    """Return what to say of a model that is partly on GPUs, or of settings that only GPUs heed
    where llama.cpp has none; or ""."""
    if need.offload is not None:
        return _partly(need.offload) if need.offload.left else ""
    set_ = {
        "pool_n_gpu_layers": config.n_gpu_layers > 0,
        "pool_tensor_split": bool(config.tensor_split),
    }
    names = " and ".join(f"`{name}`" for name, is_set in set_.items() if is_set)
    return f"{names}: ignored, as llama.cpp finds no GPU, or is built for CPUs alone" * bool(names)


def _partly(chosen: Offload) -> str:
    n_units = chosen.n_gpu_layers + chosen.left
    return f"{chosen.n_gpu_layers} of its {n_units} layers are on GPUs, and the others are slower"


def sizes_by_layer(path: Path, n_layers: int) -> tuple[tuple[int, ...], int, bool]:
    """Return the bytes of each layer's tensors, those of what comes after the layers, and whether
    that includes the embeddings' matrix, which is then on a GPU a second time."""
    sizes: dict[str, int] = {}
    for part in _parts(path):
        sizes |= GgufHeader(part).sizes()
    layers = [0] * n_layers
    for name, size in sizes.items():
        if (found := _LAYER.match(name)) and int(found[1]) < n_layers:
            layers[int(found[1])] += size
    output = sum(size for name, size in sizes.items() if name.startswith("output"))
    is_copy = "output.weight" not in sizes
    return tuple(layers), output + is_copy * sizes.get("token_embd.weight", 0), is_copy


def _parts(path: Path) -> list[Path]:
    """Return all parts of a split file, as llama.cpp finds them from its first."""
    found = _PART.fullmatch(path.name)
    if not found:
        return [path]
    stem, total = found["stem"], int(found["total"])
    return [path.with_name(f"{stem}-{n:05}-of-{total:05}.gguf") for n in range(1, total + 1)]
