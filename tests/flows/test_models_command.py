"""`lectern models`, as a user runs it: what there is, fetching, and what is in a file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from support.command import Lectern
from support.crashing import wait_until
from support.gguf_header import Header, text
from support.hub_server import Hub, serve_hub
from support.tiny_lora import write_lora
from typer.testing import CliRunner

from flows.cli import app
from flows.cli.completion import model_names
from flows.doctor import models as doctor
from flows.doctor.findings import Mark
from tasks.pool.room import Room
from tasks.settings import PROJECT_ROOT, Settings, settings

TOML = """
[mine]
file = "mine.gguf"
size_class = "1B"
recommended = true
n_ctx = 32768
languages = ["en", "zh", "and 27 others"]
licence = "Apache-2.0"

[far]
source = "hf:acme/Tiny-GGUF:q4_0"
"""
REPOSITORY = "models--acme--Tiny-GGUF"


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of models, which the settings of the test name; no other places have any."""
    (folder := tmp_path / "models").mkdir()
    (folder / "models.toml").write_text(TOML)
    shutil.copy(tiny_model, folder / "mine.gguf")
    for variable, value in (("LECTERN_MODELS", folder), ("LECTERN_HOME", tmp_path / "home"),
                            ("HF_HOME", tmp_path / "hf"), ("OLLAMA_MODELS", tmp_path / "ollama"),
                            ("COLUMNS", 120)):  # fmt: skip
        monkeypatch.setenv(variable, str(value))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    settings.cache_clear()
    yield folder
    settings.cache_clear()


def run(*arguments: str) -> str:
    """Run `lectern models …` in this process; return what it prints."""
    done = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture
def hub(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    tiny = tiny_model.read_bytes()
    files = {"tiny-q4_0.gguf": tiny, "tiny-q8_0.gguf": tiny + bytes(6 << 20)}
    with serve_hub(Hub("acme/Tiny-GGUF", files)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_list_has_what_has_a_name_and_what_lies_here(folder: Path, tmp_path: Path) -> None:
    adapter = Header({b"general.type": text("adapter")}, ()).encode()
    (folder / "law.gguf").write_bytes(adapter)
    for part in ("big-00001", "big-00002", "torn-00002"):  # of the last only one of two
        (folder / f"{part}-of-00002.gguf").write_bytes(b"GGUF")
    snapshot = tmp_path / "hf" / "hub" / REPOSITORY / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "tiny-q8_0.gguf").write_bytes(b"GGUF")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")

    told = run("list")
    lines = map(json.loads, run("list", "--json").splitlines())
    listed: dict[str, dict[str, Any]] = {each["name"]: each for each in lines}

    big, law = (os.path.relpath(folder / name) for name in ("big-00001-of-00002.gguf", "law.gguf"))
    names = ["mine", "far", *(str(folder / Path(each).name) for each in (big, law)),
             "hf:acme/Tiny-GGUF:Q8_0"]  # fmt: skip
    assert list(listed) == names
    assert [each["here"] for each in listed.values()] == [True, False, True, True, True]
    assert [each["is_adapter"] for each in listed.values()] == [False, False, False, True, False]
    assert (listed["mine"]["n_ctx"], listed["far"]["source"]) == (32768, "hf:acme/Tiny-GGUF:q4_0")
    assert len(listed[names[2]]["paths"]) == 2
    for row in ("32K  en, zh +27  Apache-2.0  yes", "hf:acme/Tiny-GGUF:Q8_0"):
        assert row in told


SHAPE = """{ architecture = "llama", n_vocab = 1000, context_length = 4096, block_count = 2, \
embedding_length = 64, feed_forward_length = 128, head_count = 4, head_count_kv = 2 }"""
SIZED = f"""
[light]
source = "hf:acme/Light-GGUF:Q4_0"
shape = {SHAPE}

[heavy]
source = "hf:acme/Heavy-GGUF:q4_k_m"
shape = {SHAPE}

[rare]
source = "hf:acme/Rare-GGUF:q2_k"
shape = {SHAPE}

[taken]
source = "hf:acme/Taken-GGUF:q4_0"
"""
SIZES = """
light.Q4_0 = { file = 1_000_000, memory_1 = 2_000_000, memory_8 = 3_000_000 }
light.Q8_0 = { file = 2_000_000, memory_1 = 3_000_000, memory_8 = 4_000_000 }
heavy.Q4_0 = { file = 1_000_000, memory_1 = 2_000_000, memory_8 = 3_000_000 }
heavy.Q4_K_M = { file = 7e12, memory_1 = 80e12, memory_8 = 90e12 }
rare.Q4_0 = { file = 1_000_000, memory_1 = 2_000_000, memory_8 = 3_000_000 }
taken.Q4_0 = { file = 1_000_000, memory_1 = 2_000_000, memory_8 = 3_000_000 }
"""


def rows(told: str) -> dict[str, list[str]]:
    """Return the words of each row by the first one."""
    return {words[0]: words[1:] for line in told.splitlines() if (words := line.split())}


def test_list_says_what_is_fetched_what_it_takes_and_whether_it_fits(folder: Path) -> None:
    """In the quantization that the name stands for; of others, and of an entry that is not the one
    which was computed, it says nothing."""
    (folder / "models.toml").write_text(SIZED)
    (folder / "sizes.toml").write_text(SIZES)

    told = rows(run("list"))
    lines = map(json.loads, run("list", "--json").splitlines())
    sizes = {each["name"]: each["sizes"] for each in lines if "sizes" in each}

    assert told["light"] == ["1", "MB", "2", "MB", "-"]
    assert told["heavy"] == ["7.0", "TB", "80.0", "TB!", "-"]
    assert (told["rare"], told["taken"]) == (["-"], ["-"])
    assert sizes["light"]["Q8_0"] == {"file": 2e6, "memory_1": 3e6, "memory_8": 4e6}
    assert [list(each) for each in sizes.values()] == [["Q4_0", "Q8_0"], ["Q4_0", "Q4_K_M"],
                                                       ["Q4_0"], []]  # fmt: skip


@pytest.mark.parametrize(("columns", "shown"), [(60, 5), (80, 7), (120, 7)])
def test_list_fits_the_terminal(
    columns: int, shown: int, tmp_path: Path, lectern: Lectern, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all the project's models; what a narrow one has no room for is left out, never cut."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    done = lectern("models", "list", COLUMNS=str(columns))

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert len(lines[0].split()) == shown
    assert max(map(len, lines[: lines.index("")])) <= columns
    cells = rows(done.stdout.replace("!", ""))["qwen2.5-72b"]
    assert cells[:6] == ["*", "47.4", "GB", "49.0", "GB", "32K"]


def test_list_counts_the_memory_of_gpus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "models.toml").write_text(SIZED)
    (folder / "sizes.toml").write_text("light.Q4_0 = { file = 1, memory_1 = 9e9, memory_8 = 9e9 }")
    monkeypatch.setattr("tasks.pool.room.room_here", lambda _: Room(4 * 10**9, 5 * 10**9))
    fits = run("list")
    monkeypatch.setattr("tasks.pool.room.room_here", lambda _: Room(4 * 10**9, 4 * 10**9))
    too_large = run("list")

    assert ("9.0 GB " in fits, "9.0 GB!" in too_large) == (True, True)
    assert "! more than the 9.0 GB (5.0 GB of it on GPUs) that are free here" in fits


def test_list_says_what_is_wrong_in_sizes_toml(folder: Path, lectern: Lectern) -> None:
    (folder / "sizes.toml").write_text("[mine]\nQ4_0 = { file = 1 }\n")
    done = lectern("models", "list")

    assert done.returncode == 1
    assert "sizes.toml: mine.Q4_0.memory_1: Field required; " in done.stderr
    assert done.stderr.count("\n") == 1


def test_pull_fetches_and_says_where_it_lies(
    folder: Path, hub: Hub, tmp_path: Path, lectern: Lectern
) -> None:
    done = lectern("models", "pull", "far")

    path = Path(done.stdout.strip().partition(", ")[2])
    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "far")
    assert path.is_relative_to(tmp_path / "hf")
    assert path.read_bytes() == hub.files["tiny-q4_0.gguf"]


def test_pull_of_what_is_not_there_fails_in_one_line(folder: Path, lectern: Lectern) -> None:
    done = lectern("models", "pull", "Mine")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lectern: Mine: there is no such model. Did you mean mine? ")
    assert done.stderr.count("\n") == 1


def test_stopped_pull_keeps_what_came(folder: Path, hub: Hub, tmp_path: Path) -> None:
    hub.holds = threading.Event()
    blobs = tmp_path / "hf" / "hub" / REPOSITORY / "blobs"
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "models", "pull", "far:q8_0"], cwd=PROJECT_ROOT,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: any(part.stat().st_size for part in blobs.glob("*.part")), 60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        hub.holds.set()
        process.kill()
        process.wait()

    assert (process.returncode, said) == (130, "Stopped. The same command goes on from here.\n")
    assert any(part.stat().st_size for part in blobs.glob("*.part"))


def test_inspect_reads_the_header_alone_of_what_is_not_here(
    folder: Path, hub: Hub, tmp_path: Path, lectern: Lectern
) -> None:
    """And tells of it what it tells of the file itself."""
    far = json.loads(lectern("models", "inspect", "far", "--json").stdout)
    mine = json.loads(run("inspect", "mine", "--json"))

    differing = {key for key in mine if mine[key] != far[key]}
    assert differing == {"name", "header_only", "paths", "languages", "licence"}
    assert (far["header_only"], far["paths"]) == (True, [])
    assert far["shape"]["n_layer"] == 2
    assert far["chat"]["own_template"]
    assert far["chat"]["ends"] == ["<|endoftext|>", "<|im_end|>"]
    assert not list((tmp_path / "hf").rglob("*.gguf"))
    vocabularies = {each.name.rpartition(mine["identity"])[0] for each in
                    (tmp_path / "home" / "vocab").iterdir()}  # fmt: skip
    assert vocabularies == {"header-", ""}  # one of them is of a file that was compared as a whole


def test_inspect_shows_a_sample_prompt(folder: Path) -> None:
    said = run("inspect", "mine", "--prompt")

    assert "layers            2 of 64, 4 heads" in said
    assert "vocabulary        259 tokens, bpe gpt-2; tiktoken counts exactly" in said
    assert "<|im_start|>user\n你好，世界！<|im_end|>\n<|im_start|>assistant" in said


def test_inspect_tells_the_bits_where_a_file_names_no_quantization(
    folder: Path, tiny_model: Path
) -> None:
    unnamed = Header.read(tiny_model).with_values(general__file_type=None)
    (folder / "f32.gguf").write_bytes(unnamed.encode())

    assert "quantization      32.0 bits a parameter" in run("inspect", str(folder / "f32.gguf"))


def test_inspect_says_why_a_model_is_none_for_chat(folder: Path, tiny_model: Path) -> None:
    base = Header.read(tiny_model).with_values(tokenizer__chat_template=None)
    (folder / "base.gguf").write_bytes(base.encode())

    said = run("inspect", str(folder / "base.gguf"))

    assert "chat format       none: it carries no chat template: it is a base model" in said


def test_inspect_says_what_keeps_a_model_from_being_loaded(folder: Path, tiny_model: Path) -> None:
    """Such as tensors of another architecture, while its vocabulary is fine."""
    whole = Header.read(tiny_model)
    (folder / "cut.gguf").write_bytes(replace(whole, tensors=whole.tensors[:-1]).encode())

    said = run("inspect", str(folder / "cut.gguf"))

    assert "can't be loaded   llama.cpp can't load it (" in said
    assert "vocabulary        259 tokens" in said


def test_shell_is_offered_names_and_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "notes.txt").touch()

    assert model_names("m") == ["mine", "models/"]
    assert model_names("models/m") == ["models/mine.gguf"]
    assert model_names(f"{folder}/mi") == [f"{folder}/mine.gguf"]


def test_shell_is_offered_files_where_models_toml_is_malformed(folder: Path) -> None:
    (folder / "models.toml").write_text("[")

    assert model_names(f"{folder}/mi") == [f"{folder}/mine.gguf"]


def test_doctor_knows_adapters_and_what_is_yet_to_be_fetched(folder: Path) -> None:
    adapted = Settings(model=f"mine+{folder / 'law.gguf'}", models=folder)

    (missing,) = doctor.default_model(adapted)
    assert (missing.mark, "there is no adapter" in missing.found) == (Mark.failed, True)

    write_lora(folder / "law.gguf")
    (there,) = doctor.default_model(adapted)
    assert there.mark is not Mark.failed

    (later,) = doctor.default_model(adapted.model_copy(update={"model": "far"}))
    assert "hf:acme/Tiny-GGUF:q4_0 is fetched from the hub when" in later.found
