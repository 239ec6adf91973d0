"""Models in Ollama's local store, as its manifests have them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tasks.errors import ModelError
from tasks.models import ollama
from tasks.models.adapters import Adapter
from tasks.models.files import absolute_name, identify, resolve
from tasks.settings import Settings

IMAGE = "application/vnd.ollama.image"


class Store:
    """A store as Ollama writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs").mkdir(parents=True)
        (folder / "manifests").mkdir()

    def blob(self, content: bytes) -> Path:
        path = self.folder / "blobs" / f"sha256-{hashlib.sha256(content).hexdigest()}"
        path.write_bytes(content)
        return path

    def add(self, name: str, **layers: bytes) -> Path:
        """Add a model by its full name, with blobs as its layers; return its manifest."""
        content = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "layers": [
                {
                    "mediaType": f"{IMAGE}.{kind.rstrip('12')}",
                    "digest": self.blob(data).name.replace("-", ":"),
                    "size": len(data),
                }
                for kind, data in layers.items()
            ],
        }
        manifest = self.folder / "manifests" / name
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(json.dumps(content))
        return manifest


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    return Store(tmp_path / "ollama")


def _problem(name: str, config: Settings) -> str:
    with pytest.raises(ModelError) as caught:
        resolve(name, config)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ollama:qwen2.5", "registry.ollama.ai/library/qwen2.5/latest"),
        ("ollama:qwen2.5:7b", "registry.ollama.ai/library/qwen2.5/7b"),
        ("ollama:QWEN2.5:7B", "registry.ollama.ai/library/qwen2.5/7b"),
        ("ollama:me/mine:q4_0", "registry.ollama.ai/me/mine/q4_0"),
        ("ollama:hf.co/acme/Tiny-GGUF:Q4_0", "hf.co/acme/Tiny-GGUF/Q4_0"),
        ("ollama:registry.ollama.ai/library/qwen2.5:7b", "registry.ollama.ai/library/qwen2.5/7b"),
    ],
)
def test_name_leads_to_its_blob(name: str, path: str, store: Store, config: Settings) -> None:
    store.add(path, model=b"GGUF it", template=b"{{ .Prompt }}", projector=b"GGUF eyes")
    store.add("registry.ollama.ai/library/other/latest", model=b"GGUF other")

    files = resolve(name, config)

    assert files.parts == (store.blob(b"GGUF it"),)
    assert (files.adapters, files.file_name) == ((), name)
    assert identify(files, config.home) == hashlib.sha256(b"GGUF it").hexdigest()


def test_identity_is_of_the_content_whatever_the_blob_is_called(
    store: Store, config: Settings
) -> None:
    store.add("registry.ollama.ai/library/m/latest", model=b"GGUF it")
    store.blob(b"GGUF it").write_bytes(b"GGUF no")  # as long

    files = resolve("ollama:m", config)

    assert identify(files, config.home) == hashlib.sha256(b"GGUF no").hexdigest()


def test_its_own_adapters_come_before_those_that_are_asked_for(
    store: Store, config: Settings, tmp_path: Path
) -> None:
    store.add("registry.ollama.ai/library/m/latest", model=b"GGUF", adapter=b"GGUF lora")
    (asked := tmp_path / "more.gguf").write_bytes(b"GGUF")

    files = resolve(f"ollama:m+{asked}@0.5", config)

    assert files.adapters == (Adapter(store.blob(b"GGUF lora")), Adapter(asked, 0.5))


def test_name_is_the_same_from_everywhere(tmp_path: Path) -> None:
    name = "ollama:hf.co/acme/Tiny-GGUF:Q4_0"

    assert absolute_name(name, tmp_path) == name


def test_known_model_may_lie_in_the_store(store: Store, tmp_path: Path) -> None:
    store.add("registry.ollama.ai/library/m/latest", model=b"GGUF it")
    (tmp_path / "models.toml").write_text('[mine]\nsource = "ollama:m"\n')

    files = resolve("mine", Settings(models=tmp_path, home=tmp_path))

    assert files.parts == (store.blob(b"GGUF it"),)


def test_wrong_name_offers_the_nearest_of_the_store(store: Store, config: Settings) -> None:
    for tag in ("7b", "1.5b"):
        store.add(f"registry.ollama.ai/library/qwen2.5/{tag}", model=b"GGUF")
    store.add("registry.ollama.ai/library/mistral/latest", model=b"GGUF")

    assert _problem("ollama:qwen25:7b", config) == (
        "ollama:qwen25:7b: there is no such model in Ollama's store. There is ollama:qwen2.5:7b, "
        "ollama:qwen2.5:1.5b; or fetch it with ollama pull qwen25:7b."
    )
    assert _problem("ollama:nonsense", config) == (
        "ollama:nonsense: there is no such model in Ollama's store. `lectern models list` shows "
        "what there is; or fetch it with ollama pull nonsense."
    )
    assert ", ollama:mistral:latest? Or give" in _problem("mistral", config)


def test_model_with_other_tags_offers_these_alone(store: Store, config: Settings) -> None:
    for each in ("qwen2.5/latest", "qwen2/latest", "qwen3/8b-q4_K_M", "qwen3/0.6b", "qwen/latest"):
        store.add(f"registry.ollama.ai/library/{each}", model=b"GGUF")
    store.add("registry.ollama.ai/me/qwen3/latest", model=b"GGUF")

    assert _problem("ollama:qwen3", config) == (
        "ollama:qwen3: Ollama's store has this model, but not with the tag latest. "
        "There is ollama:qwen3:0.6b, ollama:qwen3:8b-q4_K_M; or fetch it with ollama pull qwen3."
    )
    assert "There is ollama:qwen3:8b-q4_K_M, ollama:qwen3:0.6b; or fetch it with ollama pull " in (
        _problem("ollama:qwen3:8b", config)
    )


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ollama/qwen2.5", "ollama:qwen2.5"),
        ("ollama.com/library/qwen2.5:7b", "ollama:qwen2.5:7b"),
        ("https://ollama.com/me/mine", "ollama:me/mine"),
        ("https://ollama.com/", ""),
        ("me/ollama", ""),
        ("ollama/a b", ""),
        ("ollama/a.gguf", ""),
    ],
)
def test_page_of_a_model_means_its_name(text: str, meant: str) -> None:
    assert ollama.meant_by(text) == meant


def test_empty_store_says_how_to_pull(store: Store, config: Settings) -> None:
    assert _problem("ollama:qwen2.5:7b", config) == (
        f"ollama:qwen2.5:7b: Ollama's store is empty ({store.folder}). "
        "Fetch it with ollama pull qwen2.5:7b, or set OLLAMA_MODELS to where the models are."
    )


@pytest.mark.parametrize("name", ["ollama:", "ollama:a:", "ollama:/m", "ollama:a/b/c/d"])
def test_what_is_no_name_is_told(name: str, store: Store, config: Settings) -> None:
    assert "this is no name of Ollama's. Write ollama:model:tag" in _problem(name, config)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"layers": [{"mediaType": "x", "digest": "sha256:../../etc", "size": 1}]}'],
)
def test_damaged_manifest_is_one_line(content: str, store: Store, config: Settings) -> None:
    manifest = store.add("registry.ollama.ai/library/m/latest", model=b"GGUF")
    manifest.write_text(content)

    assert _problem("ollama:m", config) == (
        f"ollama:m: Ollama's manifest {manifest} is damaged. "
        "Fetch it again with ollama pull m:latest."
    )


def test_missing_and_incomplete_blobs_are_named(store: Store, config: Settings) -> None:
    store.add("registry.ollama.ai/library/m/latest", model=b"GGUF it")
    blob = store.blob(b"GGUF it")

    blob.write_bytes(b"GGUF")
    assert f"{blob} has 4 of 7 bytes. Fetch it again" in _problem("ollama:m", config)

    blob.unlink()
    assert f"{blob} is missing from Ollama's store. Fetch it" in _problem("ollama:m", config)


def test_model_that_is_no_gguf_is_refused(store: Store, config: Settings) -> None:
    store.add("registry.ollama.ai/library/m/latest", tensor=b"safetensors")

    assert "Ollama holds no GGUF of it" in _problem("ollama:m", config)


def test_own_store_is_below_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    Store(tmp_path / ".ollama" / "models").add("hf.co/a/b/Q4_0", model=b"GGUF")

    assert "ollama:hf.co/a/b:Q4_0" in map(str, ollama.names())
