"""How much memory is free for a model, told at once."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest

from tasks.pool import devices, room
from tasks.pool.fit import free_memory
from tasks.pool.gpus import MARGIN, Gpu
from tasks.settings import PROJECT_ROOT, Settings

GIB = 1 << 30


def test_a_build_for_cpus_needs_not_be_loaded() -> None:
    """That takes as long as all the rest of `lectern models list`."""
    if room.is_built_for_gpus():
        pytest.skip("this llama.cpp may use GPUs")
    code = (
        "import sys; from tasks.pool.room import room_here; from tasks.settings import Settings;"
        "room = room_here(Settings()); print(room.ram > 0, room.gpus, 'llama_cpp' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["True", "0", "False"]


def test_gpus_are_counted_without_what_stays_free_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not where the user has said that nothing goes there."""
    found = [Gpu(0, "CUDA0", 20 * GIB, 24 * GIB), Gpu(1, "CUDA1", GIB // 2, 24 * GIB)]
    monkeypatch.setattr(devices, "gpus", lambda: found)
    monkeypatch.setattr(room, "is_built_for_gpus", lambda: True)
    monkeypatch.setattr(room, "_quiet", lambda: None)  # other tests listen to llama.cpp
    used = room.room_here(Settings())

    assert used.gpus == 20 * GIB - MARGIN
    assert used.total == used.ram + used.gpus
    assert 0 < used.ram <= 2 * free_memory()
    assert room.room_here(Settings(pool_n_gpu_layers=0)).gpus == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("libggml-cuda.so", True), ("libggml-metal.dylib", True), ("ggml-vulkan.dll", True)),
        *(("libggml-cpu-haswell.so", False), ("libggml-base.so.0", False), ("libggml.so", False)),
    ],
)
def test_a_build_for_gpus_is_told_by_its_libraries(
    name: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "llama_cpp" / "lib").mkdir(parents=True)
    (tmp_path / "llama_cpp" / "__init__.py").touch()
    (tmp_path / "llama_cpp" / "lib" / name).touch()
    spec = spec_from_file_location("llama_cpp", tmp_path / "llama_cpp" / "__init__.py")
    monkeypatch.setattr(room, "find_spec", lambda _: spec)

    assert room.is_built_for_gpus() is expected
