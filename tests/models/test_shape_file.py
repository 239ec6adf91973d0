"""Files of a shape without weights: llama.cpp takes them, and says of them what it says of whole
ones."""

from __future__ import annotations

import ctypes
from pathlib import Path

import llama_cpp
import pytest

from tasks.errors import ModelError
from tasks.models.registry import ModelShape
from tasks.models.shape_file import write_shape_file
from tasks.models.tensors import LAYOUTS, n_parameters, tensors_of
from tasks.pool.fit import Need
from tasks.pool.loading import need_of
from tasks.pool.protocol import WorkerConfig
from tasks.pool.stand_in import write_stand_in

SMALL = ModelShape(
    architecture="llama",
    n_vocab=512,
    context_length=4096,
    block_count=4,
    embedding_length=256,
    feed_forward_length=512,
    head_count=4,
    head_count_kv=2,
)
HYBRID = {
    "full_attention_interval": 4,
    "ssm_conv_kernel": 4,
    "ssm_group_count": 2,
    "ssm_inner_size": 256,
    "ssm_state_size": 64,
    "ssm_time_step_rank": 4,
}
OF_ITS_OWN: dict[str, dict[str, object]] = {
    "cohere2": {"sliding_window": 1024, "tied_embeddings": True},
    "command-r": {"tied_embeddings": True},
    "gemma": {"tied_embeddings": True},
    "gemma2": {"tied_embeddings": True, "key_length": 128},
    "gemma3": {"tied_embeddings": True, "sliding_window": 1024},
    "qwen3moe": {"expert_count": 8, "expert_used_count": 2, "expert_feed_forward_length": 256},
    "qwen35": HYBRID,
}


def of_kind(**changes: object) -> ModelShape:
    return SMALL.model_copy(update=changes)


def need(path: Path, n_seq_max: int = 1) -> Need:
    config = WorkerConfig(
        model_path=str(path), n_ctx=1024, n_seq_max=n_seq_max, n_gpu_layers=0, flash_attn="on"
    )
    return need_of(config)


def quantize(source: Path, target: Path) -> None:
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M
    args = str(source).encode(), str(target).encode(), ctypes.byref(params)
    assert llama_cpp.llama_model_quantize(*args) == 0


def test_a_shape_takes_what_a_whole_model_takes(tmp_path: Path) -> None:
    whole, quantized, shape = (tmp_path / name for name in ("f16", "q4_k_m", "shape"))
    write_stand_in(whole, SMALL)
    quantize(whole, quantized)
    write_shape_file(shape, SMALL, "Q4_K_M")

    assert need(shape) == need(quantized)
    assert need(shape, 4) == need(quantized, 4)
    assert shape.stat().st_size == pytest.approx(quantized.stat().st_size, abs=1024)


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_llama_cpp_takes_the_tensors_of_each_architecture(
    tmp_path: Path, architecture: str
) -> None:
    """All that it asks for are there, of the lengths that it expects, and no others."""
    shape = of_kind(architecture=architecture, **OF_ITS_OWN.get(architecture, {}))
    write_shape_file(tmp_path / "shape", shape, "F16")
    told = need(tmp_path / "shape")
    matrices = 2 * sum(t.n_weights for t in tensors_of(shape) if t.is_matrix)
    others = 4 * sum(t.n_weights for t in tensors_of(shape) if not t.is_matrix)

    assert told.weights == matrices + others
    assert told.cache > 0
    assert told.compute > 0


def test_a_file_of_a_large_shape_takes_no_room_on_the_disk(tmp_path: Path) -> None:
    large = of_kind(block_count=80, embedding_length=8192, feed_forward_length=28672)
    path = tmp_path / "large.gguf"
    write_shape_file(path, large, "q8_0")
    stat = path.stat()

    assert stat.st_size > n_parameters(large)
    assert stat.st_blocks * 512 < 2**20
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_embeddings_that_a_file_repeats_are_counted_once(tmp_path: Path) -> None:
    tied = of_kind(tied_embeddings=True)
    repeated = of_kind(tied_embeddings=True, repeated_embeddings=True)
    write_shape_file(tmp_path / "tied", tied, "F16")
    write_shape_file(tmp_path / "repeated", repeated, "F16")
    matrix = 2 * SMALL.n_vocab * SMALL.embedding_length

    assert n_parameters(tied) == n_parameters(repeated)
    assert need(tmp_path / "repeated").weights == need(tmp_path / "tied").weights + matrix


def test_an_architecture_whose_tensors_are_not_known_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the tensors of its architecture, rwkv7, are not known"):
        write_shape_file(tmp_path / "shape", of_kind(architecture="rwkv7"), "Q4_0")


@pytest.mark.parametrize(
    ("shape", "quantization", "cause"),
    [
        (SMALL, "Q4_Z", "in Q4_Z .there is no such quantization"),
        (of_kind(expert_count=2, expert_used_count=4), "Q4_0", "in Q4_0 .it ended with -6"),
    ],
)
def test_what_llama_cpp_does_not_take_is_said(
    tmp_path: Path, shape: ModelShape, quantization: str, cause: str
) -> None:
    """And nothing happens to this process, where llama.cpp ends its own."""
    with pytest.raises(ModelError, match=cause):
        write_shape_file(tmp_path / "shape", shape, quantization)
