"""What another server tells of itself, and what is made of it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.hub_server import Hub, serve_hub
from support.scripted_server import Foreign, ScriptedServer

from flows.doctor import serving
from flows.doctor.findings import Finding, Mark
from tasks.generate.budget import Budget
from tasks.models.elsewhere import ServedModel, is_served, n_ctx_there, name_there, read_models
from tasks.models.spec import load_spec
from tasks.records import Message
from tasks.settings import PROJECT_ROOT, Settings


def there(config: Settings, server: ScriptedServer, **more: Any) -> Settings:
    return config.model_copy(update={"pool_url": server.url, **more})


def serving_models(*rows: dict[str, Any]) -> ScriptedServer:
    return ScriptedServer(foreign=Foreign(models=rows))


@pytest.mark.parametrize(
    ("row", "n_ctx"),
    [
        ({"id": "m", "max_model_len": 2048}, 2048),  # vLLM
        ({"id": "m", "meta": {"n_ctx": 1024, "n_ctx_train": 4096}}, 1024),  # llama-server
        ({"id": "m", "context_length": 8192}, 8192),
        ({"id": "m", "owned_by": "library"}, 0),  # Ollama
        ({"id": "m", "meta": None}, 0),
    ],
)
def test_a_models_window_is_read(row: dict[str, Any], n_ctx: int) -> None:
    assert [each.n_ctx for each in read_models({"data": [row]})] == [n_ctx]


@pytest.mark.parametrize("data", [None, [], {"data": None}, {"data": ["m"]}, {"models": []}])
def test_what_is_no_list_of_models_names_none(data: Any) -> None:
    assert read_models(data) == []


def test_the_only_model_of_a_server_needs_no_name(config: Settings) -> None:
    """Of several the name here is as good as any; our own pool lists only what it has used."""
    with (
        serving_models({"id": "one"}) as alone,
        serving_models({"id": "one"}, {"id": "two"}) as several,
        serving_models({"id": "one", "owned_by": "lectern"}) as ours,
    ):
        assert name_there(there(config, alone), "here") == "one"
        assert name_there(there(config, alone, pool_model="set"), "here") == "set"
        assert name_there(there(config, several), "here") == "here"
        assert name_there(there(config, ours), "here") == "here"


def test_a_server_that_is_not_there_tells_nothing(config: Settings) -> None:
    gone = config.model_copy(update={"pool_url": "http://127.0.0.1:9/v1"})

    assert (name_there(gone, "here"), n_ctx_there(gone, "here")) == ("here", 0)


def test_calls_fit_the_window_that_the_server_has(config: Settings, tiny_model: Path) -> None:
    """Rather than be refused by it one by one."""
    name = str(tiny_model)
    with serving_models({"id": "m", "max_model_len": 600}, {"id": "n"}) as server:
        small = load_spec(name, there(config, server, pool_model="m"))
        unknown = load_spec(name, there(config, server, pool_model="n"))

    assert Budget.of(small, config).n_ctx == 600
    assert unknown.n_ctx_max == load_spec(name, config).n_ctx_max


def test_names_are_taken_as_servers_take_them() -> None:
    ollama = [ServedModel("qwen2.5:latest", "library"), ServedModel("llama3:8b", "library")]

    assert is_served("qwen2.5", ollama)
    assert is_served("llama3:8b", ollama)
    assert not is_served("mistral", ollama)
    assert is_served("any", [ServedModel("/models/a.gguf", "llamacpp")])
    assert is_served("any", [])


def test_of_a_model_on_a_hub_the_header_is_enough(tiny_model: Path, tmp_path: Path) -> None:
    """Tokens are counted by it; the weights are the server's."""
    whole = tiny_model.read_bytes()
    weights = 8_000_000
    code = (
        "from tasks.models.spec import load_spec; from tasks.settings import Settings;"
        "from tasks.records import Message;"
        "spec = load_spec('hf:acme/Tiny-GGUF:q4_0', Settings());"
        "print(spec.files.header_only, spec.identity, spec.count([Message('user', 'hello')]))"
    )
    with serve_hub(Hub("acme/Tiny-GGUF", {"tiny-q4_0.gguf": whole + bytes(weights)})) as hub:
        environment = {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub"), "PATH": os.environ["PATH"],
            "LECTERN_HOME": str(tmp_path / "home"), "LECTERN_POOL_URL": "http://127.0.0.1:9/v1",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=PROJECT_ROOT, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr

    sha256 = hashlib.sha256(whole + bytes(weights)).hexdigest()
    n_tokens = load_spec(str(tiny_model), Settings(home=tmp_path)).count([Message("user", "hello")])
    assert done.stdout.split() == ["True", sha256, str(n_tokens)]


# What `lectern doctor` says of it.


def examined(settings: Settings) -> Finding:
    [finding] = serving.pool(settings)
    return finding


def test_the_doctor_names_what_a_server_has(config: Settings) -> None:
    with serving_models({"id": "qwen"}, {"id": "llama"}) as server:
        fine = examined(there(config, server))
        wrong = examined(there(config, server, pool_model="qwem"))

    assert (fine.mark, "with qwen, llama" in fine.found) == (Mark.ok, True)
    assert wrong.mark == Mark.failed
    assert "does not serve qwem: it has qwen, llama" in wrong.found
    assert "LECTERN_POOL_MODEL" in wrong.mend


def test_the_doctor_sees_a_wrong_key(config: Settings) -> None:
    with ScriptedServer(api_key="right") as server:
        found = examined(there(config, server))

    assert "LECTERN_POOL_API_KEY" in found.mend
