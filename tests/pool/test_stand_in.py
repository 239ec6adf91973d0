"""Stand-ins of models: which can be made, and that llama.cpp quantizes and computes with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.gguf_header import Header, u32
from support.tiny_model import N_EMBD, N_FF, N_HEAD, write_tiny_model

from tasks.models.registry import ModelShape
from tasks.models.tensors import UnknownShapeError
from tasks.pool.loading import load
from tasks.pool.protocol import WorkerConfig
from tasks.pool.quantization_child import OTHERS, Order, measured
from tasks.pool.stand_in import N_CTX, N_VOCAB, shape_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


def shape(path: Path) -> ModelShape:
    handle = load(WorkerConfig(model_path=str(path), n_ctx=512), no_alloc=True)
    try:
        return shape_of(handle.handle)
    finally:
        handle.close()


def order(path: Path, folder: Path, own: str) -> Order:
    return Order(str(path), own, str(folder), 30, 0, {"n_seq_max": 2, "n_threads": 1})


def test_the_width_is_the_models(model: Path) -> None:
    expected = ModelShape(
        architecture="llama",
        n_vocab=N_VOCAB,
        context_length=N_CTX,
        block_count=2,
        embedding_length=N_EMBD,
        feed_forward_length=N_FF,
        head_count=N_HEAD,
        head_count_kv=N_HEAD,
        key_length=N_EMBD // N_HEAD,
    )

    assert shape(model) == expected


@pytest.mark.parametrize("key", ["llama__ssm__state_size", "llama__attention__kv_lora_rank"])
def test_models_of_another_kind_have_no_stand_in(model: Path, tmp_path: Path, key: str) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(Header.read(model).with_values(**{key: u32(16)}).encode())

    with pytest.raises(UnknownShapeError, match="its architecture, llama, has experts or states"):
        shape(path)


@pytest.mark.slow
def test_the_own_quantization_is_measured_first_and_others_in_turn(
    model: Path, tmp_path: Path
) -> None:
    found = list(measured(order(model, tmp_path, "Q4_K_M")))
    names = [name for name, _ in found]

    assert names[:2] == ["Q4_K_M", "Q4_0"]
    assert set(names) <= {"Q4_K_M", *OTHERS}
    assert all(rates.chunks_per_hour > 0 for _, rates in found)


@pytest.mark.parametrize("own", ["", "IQ9_X"])
def test_a_quantization_that_is_unknown_can_not_be_compared(
    model: Path, tmp_path: Path, own: str
) -> None:
    with pytest.raises(UnknownShapeError, match="can't be made here"):
        list(measured(order(model, tmp_path, own)))
