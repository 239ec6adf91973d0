"""`lectern doctor` where something is really broken: it says what, and what mends it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows.doctor import build, machine, models, places, serving
from flows.doctor.examination import examine
from flows.doctor.findings import Finding, Mark
from flows.server import CONNECTION_FILE
from tasks.pool.lifecycle import PoolFiles, hold_lock
from tasks.settings import PROJECT_ROOT, Settings, settings

Lectern = Callable[..., subprocess.CompletedProcess[str]]


def _only(findings: Any, mark: Mark) -> Finding:
    found = [each for each in findings if each.mark is mark]
    assert len(found) == 1, found
    return found[0]


def _program(folder: Path, name: str, says: str, status: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {status}\n")
    (folder / name).chmod(0o755)


def test_where_nothing_is_broken_it_says_so(config: Settings, lectern: Lectern) -> None:
    """Status 0, a line for each thing, the same in JSON, and nothing was made."""
    done = lectern("doctor", "--json")
    answer = json.loads(done.stdout)
    broken = [
        each for area in answer["areas"].values() for each in area if each["mark"] == "failed"
    ]

    assert broken == []
    assert (done.returncode, answer["ok"], done.stderr) == (0, True, "")
    assert list(answer["areas"]) == [
        "Python", "llama.cpp", "Machine", "Places", "Models", "Prefect", "Documents",
    ]  # fmt: skip
    assert not config.home.exists()
    assert not config.results.exists()


def test_everything_broken_at_once_is_told_in_lines(tmp_path: Path, lectern: Lectern) -> None:
    """No program found, no folder writable, modules that fail: no traceback, status 1."""
    wall = tmp_path / "wall"
    wall.write_text("a file where folders should be")
    broken = tmp_path / "broken"
    for module in ("llama_cpp", "prefect"):
        (broken / module).mkdir(parents=True)
        (broken / module / "__init__.py").write_text("raise ImportError('broken on purpose')")
    done = lectern(
        "doctor", PATH="/nowhere", HOME=str(wall), LECTERN_HOME=str(wall / "home"),
        LECTERN_RESULTS=str(wall), LECTERN_MODEL="nosuch.gguf", LECTERN_MODELS=str(tmp_path),
        PYTHONPATH=f"{broken}{os.pathsep}{PROJECT_ROOT}", PREFECT_API_URL="http://127.0.0.1:9/api",
        PREFECT_LOGGING_LEVEL="DEBUG", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0",
    )  # fmt: skip
    said = done.stdout

    assert done.returncode == 1, said
    assert "Traceback" not in said + done.stderr
    for wanted in (
        "✗ llama.cpp: ", "broken on purpose", "! c++: not found", "✗ results: ", "is no folder",
        "✗ state: ", f"✗ default model: {PROJECT_ROOT / 'nosuch.gguf'}: there is no such file",
        "! models.toml: ", "✗ Prefect: ",
        "✗ PREFECT_API_URL: ", "! environment: ", "PREFECT_LOGGING_LEVEL", "! OCR: ",
    ):  # fmt: skip
        assert wanted in said


def test_wrong_settings_are_named_and_the_rest_is_looked_at(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One finding for the setting; every other area is there."""
    monkeypatch.setenv("LECTERN_POOL_N_CTX", "many")
    settings.cache_clear()
    found = examine()

    assert "LECTERN_POOL_N_CTX" in _only(found["Settings"], Mark.failed).found
    assert len(found) == 8


@pytest.mark.parametrize(
    ("cpu", "built", "mark", "says"),
    [
        ({"avx2", "fma"}, {"AVX2", "FMA"}, Mark.ok, "AVX2, FMA"),
        ({"avx2", "amx_int8"}, {"AVX2"}, Mark.warning, "also has AMX_INT8"),
        ({"avx2"}, {"AVX2", "AVX512"}, Mark.failed, "another machine"),
        ({"asimd"}, {"NEON"}, Mark.ok, "NEON"),
        (set(), set(), Mark.ok, "no CPU features"),
    ],
)
def test_the_build_is_compared_with_the_cpu(
    cpu: set[str], built: set[str], mark: Mark, says: str
) -> None:
    """Less than the CPU has is slow, more than it has dies."""
    found = build._built_for(cpu, built, "0.3.36")

    assert (found.mark, says in found.found) == (mark, True)
    assert bool(found.mend) == (mark is not Mark.ok)


def test_an_instruction_that_kills_is_explained() -> None:
    """The code that gcc before 13 miscompiles, and any other."""
    amx = build._does_not_compute(-4, "", {"amx_int8"}, {"AMX_INT8"})
    other = build._does_not_compute(-4, "", set(), set())

    assert "gcc before 13" in amx.found
    assert "GGML_NATIVE=OFF" in other.mend


def test_a_gpu_that_the_build_leaves_idle_is_told(
    config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that builds llama.cpp for it."""
    _program(tmp_path / "bin", "nvidia-smi", "GPU 0: NVIDIA H200 (UUID: GPU-1)")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    offloads = json.loads(build._probe()[1][0])["gpu"]
    found = list(build.gpu(config))

    assert "NVIDIA H200" in found[0].found
    assert found[0].mark is (Mark.ok if offloads else Mark.warning)
    assert offloads or found[0].mend == "CMAKE_ARGS=-DGGML_CUDA=on make install"


def test_llama_cpp_is_tried_once_for_all_that_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two checks ask at the same time, and each trial loads a model."""
    tried: list[Any] = []
    run = subprocess.run

    def counting(*arguments: Any, **options: Any) -> Any:
        tried.append(arguments)
        return run(*arguments, **options)

    monkeypatch.setattr(subprocess, "run", counting)
    build._probed.cache_clear()
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: build._probe(), range(2))

    assert first is second
    assert len(tried) == 1


def test_a_folder_that_cant_hold_results_is_told(tmp_path: Path) -> None:
    """A file in its place, a link to nowhere; one that is not there yet is well."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")

    assert places._folder("x", tmp_path / "file" / "results", "X").mark is Mark.failed
    assert "leads nowhere" in places._folder("x", tmp_path / "link", "X").found
    assert places._folder("x", tmp_path / "a" / "b", "X").mark is not Mark.failed
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="needs setpriv")
def test_a_folder_without_permission_is_told(tmp_path: Path) -> None:
    """Also to root, who is asked here without root's rights."""
    tmp_path.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    code = (
        "import sys; from pathlib import Path; from flows.doctor.places import _folder;"
        "print(_folder('x', Path(sys.argv[1]), 'LECTERN_RESULTS'))"
    )
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*drop, sys.executable, "-c", code, str(closed)],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "Mark.failed" in done.stdout
    assert "Permission denied" in done.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "model.gguf: there is no such file"),
        (b"", "is no GGUF file"),
        (b"<html>not found</html>", "is no GGUF file"),
    ],
)
def test_a_default_model_that_is_none_is_told(
    config: Settings, tmp_path: Path, content: bytes | None, says: str
) -> None:
    """Missing, empty, or a web page."""
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    chosen = config.model_copy(update={"model": str(path)})

    assert says in _only(models.default_model(chosen), Mark.failed).found


def test_a_chat_format_that_there_is_not_is_told(config: Settings) -> None:
    wrong, right = (
        config.model_copy(update={"pool_chat_format": name}) for name in ("vicunna", "vicuna")
    )

    assert "vicuna" in _only(models.chat_format(wrong), Mark.failed).mend
    assert _only(models.chat_format(right), Mark.ok)
    assert list(models.chat_format(config)) == []


def test_a_model_larger_than_memory_is_told(config: Settings, tmp_path: Path) -> None:
    """Before anyone loads it for an hour."""
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.write(b"GGUF")
        file.truncate(1 << 42)
    chosen = config.model_copy(update={"model": str(path)})

    assert "more than the memory" in _only(models.default_model(chosen), Mark.failed).found


def test_a_broken_list_of_models_is_told(config: Settings, tmp_path: Path) -> None:
    """And one that names files which are not there."""
    chosen = config.model_copy(update={"models": tmp_path})
    (tmp_path / "models.toml").write_text("[broken")
    assert _only(models.known_models(chosen), Mark.failed).mend
    (tmp_path / "models.toml").write_text('[mine]\nfile = "gone.gguf"\n')
    assert "mine" in _only(models.known_models(chosen), Mark.warning).found


def test_what_a_killed_server_left_is_told(
    config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stale address, one of the user's own, and one that can't be read."""
    path = tmp_path / "prefect.toml"
    monkeypatch.setattr(serving, "CONNECTION_FILE", path)
    monkeypatch.setattr(serving, "read_connection", lambda: read(path))
    from flows.server import ServerAddress, write_connection
    from flows.server import read_connection as read

    assert path != CONNECTION_FILE
    assert _only(serving.server(config), Mark.ok)
    write_connection(ServerAddress("http://127.0.0.1:9/api", "a:b"), path)
    assert "is gone" in _only(serving.server(config), Mark.warning).found
    assert path.exists()
    path.write_text(path.read_text().splitlines()[0] + "\n[half")
    assert _only(serving.server(config), Mark.failed).mend == f"rm {path}"
    path.write_text("[api]\n")
    assert "not Lectern's" in _only(serving.server(config), Mark.warning).found


def test_a_pool_that_hangs_and_one_elsewhere_are_told(config: Settings) -> None:
    """The first holds its lock and does not answer, the second is not there."""
    assert _only(serving.pool(config), Mark.ok)
    config.home.mkdir()
    lock = hold_lock(PoolFiles(config.home))
    assert lock is not None
    assert "does not answer" in _only(serving.pool(config), Mark.warning).found
    lock.release()
    elsewhere = config.model_copy(update={"pool_url": "http://127.0.0.1:9/v1"})
    assert "does not answer" in _only(serving.pool(elsewhere), Mark.failed).found


def test_a_limit_of_memory_is_seen() -> None:
    """One that ulimit -v sets, as a container's is."""
    code = "from flows.doctor.machine import memory_limit; print(memory_limit())"
    done = subprocess.run(
        ["sh", "-c", f"ulimit -v 4000000; exec {sys.executable} -c '{code}'"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert int(done.stdout) <= 4000000 * 1024


def test_packages_that_do_not_fit_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is missing, and one that pyproject.toml holds below another version."""
    import importlib.metadata

    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "polars":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.999" if name == "fastapi" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = _only(machine.packages(settings()), Mark.failed)

    assert "polars is missing" in found.found
    assert "fastapi is 0.999" in found.found
    assert found.mend == "make install"
