"""A model's header, read through llama.cpp: opening a file without its weights, and its values."""

from __future__ import annotations

import ctypes
from math import isfinite
from pathlib import Path
from typing import Any

import llama_cpp as llama

from tasks.models.llama_log import LlamaLog
from tasks.models.rope import Rope

# llama.h, enum llama_ftype, in users' names.
FILE_TYPES = dict(enumerate(("F32", "F16", "Q4_0", "Q4_1"))) | {7: "Q8_0", 8: "Q5_0", 9: "Q5_1"}
FILE_TYPES |= dict(enumerate(("Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M"), start=10))
FILE_TYPES |= dict(enumerate(("Q5_K_S", "Q5_K_M", "Q6_K", "IQ2_XXS", "IQ2_XS", "Q2_K_S"), start=16))
FILE_TYPES |= dict(enumerate(("IQ3_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ3_M"), start=22))
FILE_TYPES |= dict(enumerate(("IQ2_S", "IQ2_M", "IQ4_XS", "IQ1_M", "BF16"), start=28))
FILE_TYPES |= dict(enumerate(("TQ1_0", "TQ2_0", "MXFP4", "NVFP4", "Q1_0", "Q2_0"), start=36))

# llama-arch.cpp: those that make vectors of texts, and only that.
_ENCODERS = {"bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2"}
_ENCODERS |= {"jina-bert-v3", "eurobert", "gemma-embedding", "llama-embed", "t5encoder"}
_NO_POOLING = ("", "-1", "0")  # llama.h, enum llama_pooling_type: nothing said, or none


def open_header(path: Path, log: LlamaLog) -> tuple[Any, str]:
    """Return a file's model without its weights; nothing, and why, where it can't be loaded."""
    llama.llama_backend_init()
    params = llama.llama_model_default_params()
    params.no_alloc, params.n_gpu_layers = True, 0
    params.load_mode = llama.LLAMA_LOAD_MODE_NONE
    with log.heard() as heard:
        model = llama.llama_model_load_from_file(str(path).encode(), params)
    return model, "" if model else heard.cause or "it does not say why"


def header_value(model: Any, key: str) -> str:
    """Return a value as text, or "" where there is none or it is an array."""
    size = llama.llama_model_meta_val_str(model, key.encode(), None, 0) + 1
    if size <= 0:
        return ""
    value = ctypes.create_string_buffer(size)
    llama.llama_model_meta_val_str(model, key.encode(), value, size)
    return value.value.decode(errors="replace")


def quantization_of(model: Any) -> str:
    """Return how most of its tensors are quantized, in users' names; "" where it does not say."""
    file_type = header_value(model, "general.file_type")
    return FILE_TYPES.get(int(file_type), "") if file_type.isdecimal() else ""


def why_unfit(model: Any) -> str:
    """Return why it can't answer, whatever it is asked in; "" where nothing says so."""
    architecture = header_value(model, "general.architecture")
    pooling = header_value(model, f"{architecture}.pooling_type")
    if architecture in _ENCODERS or pooling not in _NO_POOLING:
        return "it is an embedding or reranking model: it compares texts, and writes none"
    if header_value(model, f"{architecture}.attention.causal") == "false":
        return "it does not write from left to right: it is an encoder or a diffusion model"
    return ""


def rope_of(model: Any) -> Rope:
    """Return what the header says of positions."""
    architecture = header_value(model, "general.architecture")

    def number(key: str) -> float:
        return _number(model, f"{architecture}.{key}")

    return Rope(
        architecture=architecture,
        n_ctx_train=int(number("context_length")),
        n_ctx_orig=int(number("rope.scaling.original_context_length")),
        scaling=header_value(model, f"{architecture}.rope.scaling.type"),
        factor=number("rope.scaling.factor") or number("rope.scale_linear"),
    )


def frequencies_of(model: Any) -> tuple[float, int]:
    """Return the base of the rotary frequencies, and how many dimensions of a head are rotated.

    The defaults are llama.cpp's (llama_model_base::load_hparams in llama-model.cpp).
    """
    architecture = header_value(model, "general.architecture")

    def number(key: str) -> float:
        return _number(model, f"{architecture}.{key}")

    base = number("rope.freq_base") or 10000.0
    width = llama.llama_model_n_embd(model) / max(1, llama.llama_model_n_head(model))
    n_dims = number("rope.dimension_count") or number("attention.key_length") or width
    return base, int(n_dims)


def _number(model: Any, key: str) -> float:
    """Return a value as a number; 0 where there is none, or none that can be counted with."""
    try:
        value = float(header_value(model, key) or 0)
    except ValueError:
        return 0.0
    return value if isfinite(value) else 0.0
