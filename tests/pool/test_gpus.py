"""GPUs: what goes where, what llama.cpp is told of it, and which worker has which.

There is no GPU here. Made up is no more than the list of GPUs; where llama.cpp is to load
something, the CPU stands in for one: it takes it for a device as any other.
"""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import replace
from pathlib import Path

import llama_cpp
import pytest
from hypothesis import given
from hypothesis import strategies as some
from llama_cpp._ggml import libggml
from support.engines import request, run
from support.tiny_model import N_LAYERS, write_tiny_model

from tasks.errors import ModelError
from tasks.pool import devices, loading
from tasks.pool.devices import gpus, model_params, seen, sizes_by_layer
from tasks.pool.engine import Engine
from tasks.pool.fit import GIB, Need, place, refuse_what_does_not_fit
from tasks.pool.gpus import (
    MARGIN,
    Gpu,
    Layers,
    Offload,
    check_split,
    offload,
    parts_on,
    places,
    plan_workers,
)
from tasks.pool.loading import Model, load_model
from tasks.pool.model_runner import ModelRunner
from tasks.pool.protocol import LoadFailed, Ready, WorkerConfig, decode, encode
from tasks.pool.worker_process import WORKER_COMMAND
from tasks.settings import PROJECT_ROOT

MIB = 2**20
# Ten layers of 100 MiB with 10 MiB of cache each, 50 MiB of output, 40 MiB to compute.
LAYERS = Layers((100 * MIB,) * 10, 50 * MIB, False, 100 * MIB, (40 * MIB, 40 * MIB))
ONE = replace(LAYERS, compute=(40 * MIB,))
ALL = 10 * 110 + 50 + 40  # MiB on one GPU
N_UNITS = 11


def gpu(room_mib: int, number: int = 0) -> Gpu:
    """A GPU with so much room beside the margin."""
    return Gpu(number, f"GPU{number}", MARGIN + room_mib * MIB, 80 * GIB, handle=number + 1)


def two(room: int, other: int) -> list[Gpu]:
    return [gpu(room, 0), gpu(other, 1)]


@pytest.mark.parametrize(
    ("room", "n_gpu_layers"),
    [(ALL, 11), (ALL - 1, 10), (40 + 50 + 110, 2), (40 + 50, 1), (40 + 49, 0), (0, 0)],
)
def test_as_many_layers_go_to_a_gpu_as_fit(room: int, n_gpu_layers: int) -> None:
    """The output first, then the layers from the last on, as llama.cpp counts them."""
    chosen = offload(ONE, [gpu(room)])

    assert (chosen.n_gpu_layers, chosen.left) == (n_gpu_layers, N_UNITS - n_gpu_layers)


def test_without_gpus_nothing_is_offloaded() -> None:
    assert offload(replace(LAYERS, compute=()), []) == Offload(0, left=N_UNITS)


def test_a_model_that_fits_on_one_gpu_is_not_split() -> None:
    """On the one that has more left; the other takes part in nothing."""
    chosen = offload(LAYERS, two(ALL, ALL + 1))

    assert chosen.tensor_split == (0, N_UNITS)
    assert chosen.main_gpu == 1


def test_a_model_too_big_for_one_gpu_is_split_by_what_they_have_free() -> None:
    chosen = offload(LAYERS, two(1000, 500))

    assert chosen == Offload(N_UNITS, (7, 4))
    assert chosen.main_gpu is None


def test_what_fits_nowhere_whole_fills_all_gpus() -> None:
    """Two layers each; the output, which is smaller, with the last."""
    chosen = offload(LAYERS, two(40 + 2 * 110, 40 + 2 * 110 + 50))

    assert chosen == Offload(5, (2, 3), left=6)


def test_shares_that_a_user_has_set_are_kept() -> None:
    """Though less fits so."""
    chosen = offload(LAYERS, two(600, 600), (1, 3))

    assert chosen.tensor_split == (1, 3)
    assert 0 < chosen.n_gpu_layers < offload(LAYERS, two(600, 600)).n_gpu_layers


_ROOM = some.integers(0, 3000)


@given(
    weights=some.lists(some.integers(1, 300), min_size=1, max_size=12),
    output=some.integers(1, 300),
    cache=some.integers(0, 500),
    compute=some.integers(0, 200),
    rooms=some.lists(_ROOM, min_size=1, max_size=4),
)
def test_no_gpu_gets_more_than_it_has_room_for(
    weights: list[int], output: int, cache: int, compute: int, rooms: list[int]
) -> None:
    found = [gpu(room, number) for number, room in enumerate(rooms)]
    layers = Layers(
        tuple(each * MIB for each in weights),
        output * MIB,
        False,
        cache * MIB,
        (compute * MIB,) * len(rooms),
    )
    chosen = offload(layers, found)

    parts = parts_on(layers, chosen, found)

    assert all(part.total <= part.gpu.room for part in parts)
    placed = [place for place in places(layers.n_units, chosen, found) if place is not None]
    assert len(placed) == chosen.n_gpu_layers == layers.n_units - chosen.left
    assert placed == sorted(placed)


@given(rooms=some.lists(_ROOM, min_size=2, max_size=2), more=some.integers(1, 2000))
def test_more_memory_never_means_fewer_layers(rooms: list[int], more: int) -> None:
    before = offload(LAYERS, two(*rooms))
    after = offload(LAYERS, two(rooms[0] + more, rooms[1]))

    assert after.n_gpu_layers >= before.n_gpu_layers


@pytest.mark.parametrize(
    ("split", "problem"),
    [
        ((1,), "it has 1 numbers for 2 GPUs (GPU0, GPU1)"),
        ((1, 2, 3), "it has 3 numbers"),
        ((1, -1), "a number from 0 up"),
        ((1, float("nan")), "a number from 0 up"),
        ((0, 0), "it gives no GPU a share"),
    ],
)
def test_shares_that_are_none_are_refused_in_one_line(
    split: tuple[float, ...], problem: str
) -> None:
    with pytest.raises(ModelError) as caught:
        check_split(split, two(100, 100))

    line = str(caught.value)
    assert line.startswith("LECTERN_POOL_TENSOR_SPLIT=[")
    assert problem in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("rooms", "need", "n_workers", "expected"),
    [
        ([], 10, 0, [None]),
        ([], 10, 3, [None] * 3),
        ([20, 20], 10, 0, [(0,), (1,)]),
        ([20, 5], 10, 0, [(0,)]),
        ([5, 5], 10, 0, [None]),
        ([20, 20], 10, 1, [None]),
        ([20, 20, 20, 20], 30, 2, [(0, 1), (2, 3)]),
        ([20, 20, 20], 30, 2, [(0, 1), (2,)]),
        ([20, 20], 10, 3, [(0,), (1,), (0,)]),
    ],
)
def test_each_gpu_that_holds_the_model_has_a_worker(
    rooms: list[int], need: int, n_workers: int, expected: list[tuple[int, ...] | None]
) -> None:
    """If none does, one has them all; as many as the user wants share them."""
    found = [gpu(room, number) for number, room in enumerate(rooms)]

    assert plan_workers(found, need * MIB, n_workers) == expected


def whole(layers: Layers) -> Need:
    """What LAYERS take altogether, with embeddings of 20 MiB and 30 MiB to compute in RAM."""
    weights = sum(layers.weights) + (0 if layers.is_copy else layers.output) + 20 * MIB
    return Need(weights, layers.cache, sum(layers.compute) + 30 * MIB)


def config_with(**fields: object) -> WorkerConfig:
    return WorkerConfig(**{"model_path": "m.gguf", "n_ctx": 512, **fields})  # type: ignore[arg-type]


def test_what_is_on_a_gpu_is_not_in_ram() -> None:
    need = place(whole(ONE), ONE, [gpu(ALL)], config_with())

    assert (need.weights, need.cache, need.compute) == (20 * MIB, 0, 30 * MIB)
    assert [part.total for part in need.gpus] == [ALL * MIB]
    assert need.everywhere == whole(ONE)


def test_what_is_left_to_the_cpu_needs_buffers_of_its_own() -> None:
    need = place(whole(ONE), ONE, [gpu(40 + 50 + 4 * 110)], config_with())

    assert (need.weights, need.cache, need.compute) == (620 * MIB, 60 * MIB, 70 * MIB)


def test_embeddings_that_are_the_output_too_are_in_both_places() -> None:
    """llama.cpp puts a second copy on the GPU."""
    tied = replace(ONE, is_copy=True)
    need = place(whole(tied), tied, [gpu(ALL)], config_with())

    assert need.weights == 20 * MIB
    assert need.gpus[0].weights == 1050 * MIB


def test_more_layers_than_fit_are_refused_with_those_that_do() -> None:
    config = config_with(n_gpu_layers=99)
    found = [gpu(0)]
    need = place(whole(ONE), ONE, found, config)
    with pytest.raises(ModelError) as caught:
        refuse_what_does_not_fit("m.gguf", need, config)

    assert str(caught.value) == (
        "m.gguf: it needs 1.2 GiB on GPU0 (1.0 GiB for its weights, 0.1 GiB for sequences, "
        "0.0 GiB to compute), and 1.0 GiB are free there. Set LECTERN_POOL_N_GPU_LAYERS=0, or "
        "leave it out: then as many layers go there as fit; `lectern models fit` tells what would "
        "fit."
    )


def test_shares_that_do_not_fit_are_refused() -> None:
    config = config_with(n_gpu_layers=6, tensor_split=(0, 1))
    need = place(whole(LAYERS), LAYERS, two(2000, -900), config)
    with pytest.raises(ModelError, match=r"on GPU1 .* Set LECTERN_POOL_N_GPU_LAYERS=0"):
        refuse_what_does_not_fit("m.gguf", need, config)


def test_llama_cpp_is_told_what_was_decided() -> None:
    params = model_params(Offload(11, (7, 4)), two(1000, 500))

    assert params.n_gpu_layers == 11
    assert list(params.tensor_split[: llama_cpp.llama_max_devices()])[:3] == [7, 4, 0]
    assert params.split_mode == llama_cpp.LLAMA_SPLIT_MODE_LAYER
    assert list((ctypes.c_void_p * 3).from_address(params.devices)) == [1, 2, None]


def test_llama_cpp_is_told_of_one_gpu_as_the_only_one() -> None:
    params = model_params(Offload(11, (0, 11)), two(1000, 2000))

    assert (params.split_mode, params.main_gpu) == (llama_cpp.LLAMA_SPLIT_MODE_NONE, 1)


def test_a_worker_tells_llama_cpp_of_its_own_gpus_alone() -> None:
    params = model_params(Offload(11, (11,)), [gpu(2000, number=3)])

    assert list((ctypes.c_void_p * 2).from_address(params.devices)) == [4, None]


def test_without_gpus_llama_cpp_is_told_of_none() -> None:
    params = model_params(Offload(-1, (3, 1)), [])

    assert (params.n_gpu_layers, params.devices, bool(params.tensor_split)) == (0, None, False)
    assert params.load_mode == llama_cpp.LLAMA_LOAD_MODE_NONE


def test_devices_are_read_as_ggml_has_them() -> None:
    """By the calls for one value at a time: the structure may change with ggml."""
    size = ctypes.c_size_t
    name, kind, memory = (
        getattr(libggml, f"ggml_backend_dev_{call}") for call in ("name", "type", "memory")
    )
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    kind.argtypes, memory.argtypes = [ctypes.c_void_p], [ctypes.c_void_p] + [ctypes.c_void_p] * 2
    found = list(seen())

    assert found
    for handle, device in found:
        free, total = size(), size()
        memory(handle, ctypes.byref(free), ctypes.byref(total))
        assert device.name == name(handle)
        assert device.type == kind(handle)
        assert device.memory_total == total.value


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


def test_sizes_are_those_of_all_tensors(tiny: Path) -> None:
    """But for the embeddings, which stay in RAM."""
    layers, output, is_copy = sizes_by_layer(tiny, N_LAYERS)
    model = loading.load(config_with(model_path=str(tiny)))
    embeddings = 4 * 64 * model.n_vocab

    assert len(layers) == N_LAYERS
    assert not is_copy
    assert sum(layers) + output + embeddings == model.n_bytes
    model.close()


def stand_ins(monkeypatch: pytest.MonkeyPatch, *rooms: int) -> None:
    """Let the CPU stand in for GPUs with so many bytes of room."""
    (handle, _), *_ = seen()
    found = [
        Gpu(number, f"GPU{number}", MARGIN + room, 80 * GIB, handle)
        for number, room in enumerate(rooms)
    ]
    monkeypatch.setattr(devices, "gpus", lambda: found)


def loaded(model: Path, **fields: object) -> Model:
    fields = {"n_threads": 1, "n_seq_max": 2, "n_batch": 64, **fields}
    return load_model(config_with(model_path=str(model), **fields))


def answer(model: Model) -> str:
    """Ask a model, and free it."""
    runner = ModelRunner(model, model.config)
    try:
        return run(Engine(runner), request("In the beginning"))[0].text
    finally:
        runner.close()
        model.close()


@pytest.mark.skipif(bool(gpus()), reason="there is a GPU: what stands in for one is not needed")
@pytest.mark.parametrize("rooms", [(GIB,), (500_000,), (0, GIB), (500_000, 500_000), (0, 0)])
def test_a_model_answers_the_same_wherever_its_layers_are(
    rooms: tuple[int, ...], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = answer(loaded(tiny, n_gpu_layers=0))
    stand_ins(monkeypatch, *rooms)
    model = loaded(tiny)
    need = model.need

    assert need is not None
    assert need.offload is not None
    assert sum(part.total > 0 for part in need.gpus) == sum(room > 0 for room in rooms)
    assert bool(model.note) == bool(need.offload.left)
    assert answer(model) == alone


@pytest.mark.skipif(bool(gpus()), reason="there is a GPU: what stands in for one is not needed")
def test_fewer_sequences_come_before_layers_in_ram(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the user has set how many."""
    one = loading.need_of(config_with(model_path=str(tiny), n_seq_max=1))
    room = one.weights + int(2.5 * one.cache)
    stand_ins(monkeypatch, room)
    adapts, keeps = (loaded(tiny, n_seq_max=8, adapts=adapts) for adapts in (True, False))

    assert (adapts.config.n_seq_max, adapts.note) == (2, "")
    assert keeps.config.n_seq_max == 8
    assert keeps.note == "1 of its 3 layers are on GPUs, and the others are slower"
    adapts.close()
    keeps.close()


@pytest.mark.skipif(bool(gpus()), reason="there is a GPU: what stands in for one is not needed")
def test_wrong_shares_are_refused_before_loading(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_ins(monkeypatch, GIB, GIB)
    with pytest.raises(ModelError, match="it has 3 numbers for 2 GPUs"):
        loaded(tiny, tensor_split=(1, 2, 3))


def test_a_build_for_cpus_ignores_what_is_for_gpus_with_a_note(tiny: Path) -> None:
    """Told when the model is ready; nothing is refused."""
    config = config_with(model_path=str(tiny), n_gpu_layers=20, tensor_split=(3, 1), n_threads=1)
    with subprocess.Popen(
        WORKER_COMMAND, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={"PATH": "", "CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"},
    ) as worker:  # fmt: skip
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(encode(config))
        worker.stdin.flush()
        events = map(decode, worker.stdout)
        ready = next(each for each in events if isinstance(each, Ready | LoadFailed))
        worker.kill()

    assert isinstance(ready, Ready)
    assert ready.note == (
        "`pool_n_gpu_layers` and `pool_tensor_split`: ignored, as llama.cpp finds no GPU, or is "
        "built for CPUs alone"
    )


def test_nothing_is_noted_where_nothing_is_set(tiny: Path) -> None:
    model = loaded(tiny)

    assert model.note == ""
    model.close()
