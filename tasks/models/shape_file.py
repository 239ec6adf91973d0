"""A GGUF of a model's shape without its weights, for llama.cpp to tell what such a model takes.

Owns writing it: the header of a real file, over data that is a hole and takes no room on the disk.
Which type each tensor has in a quantization only llama.cpp knows; a child process asks it
(tasks.models.dry_run_child).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from tasks.errors import ModelError
from tasks.models.registry import ModelShape
from tasks.models.tensors import Tensor, UnknownShapeError, layout_of, tensors_of
from tasks.models.vocabulary import child_environment

_ALIGNMENT = 32
_PATIENCE_S = 120


def write_shape_file(path: Path, shape: ModelShape, quantization: str) -> None:
    """Write a GGUF as large as a real one of that shape and quantization, but for its vocabulary.

    It loads without its weights (tasks.pool.loading.need_of) and in no other way.

    Args:
        quantization: as llama.cpp's LLAMA_FTYPE_MOSTLY_* call it, such as Q4_K_M; in any case.

    Raises:
        ModelError: the architecture's tensors are not known, or llama.cpp does not take the shape
            or the quantization.
        OSError: the folder can't be written to, or a file can't be that large.
    """
    quantization = quantization.upper()
    try:
        tensors = list(tensors_of(shape))
    except UnknownShapeError as error:
        raise ModelError(path.name, str(error), "Give the path of a whole file") from error
    whole = {tensor.name: Type.F16 if tensor.is_matrix else Type.F32 for tensor in tensors}
    if quantization == "F16":
        _write(path, shape, tensors, whole)
        return
    with TemporaryDirectory(dir=path.parent, prefix=f"{path.name}.") as folder:
        source = Path(folder) / "F16.gguf"
        _write(source, shape, tensors, whole)
        types = _quantized(source, quantization, path.name)
    _write(path, shape, tensors, types)


def size_of(tensor: Tensor, kind: Type) -> int:
    """Return a tensor's bytes in a type."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return tensor.n_weights // block * size


def add_shape(writer: gguf.GGUFWriter, shape: ModelShape) -> None:
    """Write the values that tell llama.cpp a shape, and that there is no vocabulary."""
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.embedding_length)
    writer.add_block_count(shape.block_count)
    writer.add_feed_forward_length(shape.feed_forward_length)
    writer.add_head_count(shape.head_count)
    writer.add_head_count_kv(shape.head_count_kv)
    writer.add_key_length(shape.head_length)
    writer.add_value_length(shape.head_length)
    writer.add_rope_dimension_count(shape.head_length)
    if layout_of(shape).layer_norm:
        writer.add_layer_norm_eps(1e-5)
        writer.add_logit_scale(1.0)
    else:
        writer.add_layer_norm_rms_eps(1e-5)
    if shape.expert_count:
        writer.add_expert_count(shape.expert_count)
        writer.add_expert_used_count(shape.expert_used_count)
        writer.add_expert_feed_forward_length(shape.expert_feed_forward_length)
    if shape.sliding_window:
        writer.add_sliding_window(shape.sliding_window)
    if shape.full_attention_interval:
        _add_state(writer, shape)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(shape.n_vocab)


def _add_state(writer: gguf.GGUFWriter, shape: ModelShape) -> None:
    writer.add_full_attention_interval(shape.full_attention_interval)
    writer.add_ssm_conv_kernel(shape.ssm_conv_kernel)
    writer.add_ssm_group_count(shape.ssm_group_count)
    writer.add_ssm_inner_size(shape.ssm_inner_size)
    writer.add_ssm_state_size(shape.ssm_state_size)
    writer.add_ssm_time_step_rank(shape.ssm_time_step_rank)
    writer.add_rope_dimension_sections([shape.head_length // 2, 0, 0, 0])  # of text: one


def _write(
    path: Path, shape: ModelShape, tensors: Iterable[Tensor], types: Mapping[str, Type]
) -> None:
    writer = gguf.GGUFWriter(path, shape.architecture)
    add_shape(writer, shape)
    size = 0
    for tensor in tensors:
        kind = types[tensor.name]
        n_bytes = size_of(tensor, kind)
        # The dtype only counts where there is no type beside it.
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), n_bytes, kind)
        size += _padded(n_bytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.truncate(_padded(path.stat().st_size) + size)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _quantized(source: Path, quantization: str, name: str) -> dict[str, Type]:
    """Return each tensor's type.

    Raises:
        ModelError: llama.cpp does not tell.
    """
    command = [sys.executable, "-P", "-m", "tasks.models.dry_run_child", str(source), quantization]
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=child_environment(),
            timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
        answer: dict[str, Any] = json.loads(ended.stdout or b"{}")
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        raise _untold(name, quantization, str(error)) from error
    if "types" not in answer:
        raise _untold(
            name, quantization, answer.get("problem") or f"it ended with {ended.returncode}"
        )
    return {tensor: Type[kind.upper()] for tensor, kind in answer["types"].items()}


def _untold(name: str, quantization: str, cause: str) -> ModelError:
    problem = f"llama.cpp does not tell what it takes in {quantization} ({cause})"
    return ModelError(name, problem, "Choose another quantization, such as Q4_K_M")
