"""Which Whisper a setting means, where it comes from, and whether there is room for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.hub_server import Hub, serve_hub

from tasks.errors import ModelError
from tasks.media import speech_hub, whisper_models
from tasks.media.speech_shapes import BEST, FETCHED, KNOWN, need_mb
from tasks.media.whisper_models import identity, resolve, that_fits
from tasks.settings import PROJECT_ROOT, Settings

FILES = {"model.bin": b"weights", "config.json": b"{}", "tokenizer.json": b"{}"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with models of their own, a hub's cache that is empty, and no hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return Settings(home=tmp_path / "home", models=tmp_path / "models", speech_device="cpu")


def put(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True)
    for name, data in (FILES | files).items():
        (folder / name).write_bytes(data)
    return folder


def named(settings: Settings, name: str) -> Settings:
    return settings.model_copy(update={"speech_model": name})


def test_names_are_those_of_faster_whisper() -> None:
    from faster_whisper.utils import _MODELS

    assert {name: repo for name, (repo, _) in KNOWN.items()} == _MODELS


def test_what_auto_may_take_is_known_and_knows_all_languages() -> None:
    assert set(FETCHED) <= set(BEST) <= set(KNOWN)
    assert not any(name.endswith(".en") or "distil" in name for name in BEST)


def test_a_folder_is_a_model(here: Settings, tmp_path: Path) -> None:
    folder = put(tmp_path / "mine")
    model = resolve(named(here, str(folder)), None)

    assert (model.folder, model.device, model.compute_type) == (folder, "cpu", "int8")


def test_a_folder_that_lacks_a_file_is_told(here: Settings, tmp_path: Path) -> None:
    folder = put(tmp_path / "mine")
    (folder / "tokenizer.json").unlink()

    with pytest.raises(ModelError, match=r"lacks tokenizer\.json of a Whisper"):
        resolve(named(here, str(folder)))


def test_a_path_where_nothing_is_is_told(here: Settings, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        resolve(named(here, str(tmp_path / "none")))


@pytest.mark.parametrize("folder", ["whisper-small", "small"])
def test_a_name_is_looked_for_among_the_models_first(here: Settings, folder: str) -> None:
    found = put(here.models / folder)

    assert resolve(named(here, "small")).folder == found


def test_a_wrong_name_is_told_with_the_nearest(here: Settings) -> None:
    with pytest.raises(ModelError, match=r"Did you mean large-v3\?"):
        resolve(named(here, "large-v33"))


def test_the_demo_is_used_by_its_name_alone(here: Settings) -> None:
    folder = put(here.models / "whisper-demo")

    assert resolve(named(here, "demo")).folder == folder
    with pytest.raises(ModelError, match="not in the cache"):
        resolve(named(here, "auto"))


def test_auto_takes_the_best_that_is_here_and_fits(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tiny", "base", "large-v3"):
        put(here.models / f"whisper-{name}")
    monkeypatch.setattr(whisper_models, "all_mb", lambda device: 3000)

    assert resolve(named(here, "auto")).name == "base"


def test_auto_takes_a_smaller_one_where_memory_is_short_now(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tiny", "small"):
        put(here.models / f"whisper-{name}")
    monkeypatch.setattr(whisper_models, "all_mb", lambda device: 16_000)
    monkeypatch.setattr(whisper_models, "free_mb", lambda device: 2000)
    chosen = resolve(named(here, "auto"))

    assert (chosen.name, that_fits(chosen, named(here, "auto")).name) == ("small", "tiny")


def test_a_model_that_is_set_is_refused_where_memory_is_short(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tiny", "small"):
        put(here.models / f"whisper-{name}")
    monkeypatch.setattr(whisper_models, "free_mb", lambda device: 2000)

    with pytest.raises(ModelError, match=r"needs about \d+ MB of memory .* 2000 are free"):
        that_fits(resolve(named(here, "small")), named(here, "small"))


def test_a_gpu_short_of_memory_computes_in_eight_bits(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(here.models / "whisper-large-v3")
    monkeypatch.setattr(whisper_models, "_device", lambda settings: "cuda")
    model = resolve(named(here, "large-v3"))
    monkeypatch.setattr(whisper_models, "free_mb", lambda device: model.need_mb - 500)

    assert model.compute_type == "float16"
    assert that_fits(model, named(here, "large-v3")).compute_type == "int8_float16"


def test_a_gpu_that_is_not_there_is_told(here: Settings) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2")
    if ctranslate2.get_cuda_device_count():
        pytest.skip("there is one")
    config = here.model_copy(update={"speech_device": "cuda"})

    with pytest.raises(ModelError, match="there is no GPU that CTranslate2 can use"):
        resolve(named(config, "tiny"))


def test_larger_models_and_batches_need_more() -> None:
    needs = [need_mb(KNOWN[name][1], 8, "int8") for name in reversed(FETCHED)]

    assert needs == sorted(needs)
    assert need_mb(KNOWN["tiny"][1], 16, "int8") > needs[0]


def test_the_identity_is_that_of_all_files(here: Settings, tmp_path: Path) -> None:
    first = put(tmp_path / "first")
    same = put(tmp_path / "same")
    other = put(tmp_path / "other", **{"config.json": b"[]"})
    one, two, three = (
        identity(resolve(named(here, str(each))), here) for each in (first, same, other)
    )

    assert one == two != three


def test_a_name_is_fetched_and_kept(tmp_path: Path) -> None:
    """Files come whole though the connection breaks, and the weights last."""
    hub = Hub(KNOWN["tiny"][0], {"README.md": b"no", **FILES, "model.bin": bytes(5_000_000)})
    hub.break_after = [10, 10, 3_000_000]  # of the one that comes first no more is there
    with serve_hub(hub):
        first = _in_process(tmp_path, hub.url)
        asked = len(hub.requests)
        second = _in_process(tmp_path, hub.url)

    assert first == second
    assert {path.name for path in Path(first).iterdir()} == set(FILES)
    assert hub.ranges[-2:] == ["bytes=10-", "bytes=3000010-"]
    assert len(hub.requests) == asked


def test_a_repository_without_a_whisper_is_told(tmp_path: Path) -> None:
    with serve_hub(Hub("a/b", {"model.gguf": b"x"})) as hub:
        said = _in_process(tmp_path, hub.url, "a/b")

    assert said.startswith("a/b: the repository a/b holds no Whisper for CTranslate2 (no model.bin")


def test_without_a_hub_it_is_said_what_is_here(here: Settings) -> None:
    put(here.models / "whisper-base")

    with pytest.raises(ModelError) as caught:
        resolve(named(here, "tiny"))

    said = str(caught.value)
    assert said.startswith("tiny: it is not in the cache, and HF_HUB_OFFLINE is set. Unset it")
    assert said.endswith("Or set LECTERN_SPEECH_MODEL to one that is on this disk: base.")


def _in_process(folder: Path, url: str, name: str = "tiny") -> str:
    """Return the folder found, or the error: huggingface_hub reads its settings but once."""
    code = (
        "import sys; from pathlib import Path; from tasks.errors import ModelError\n"
        "from tasks.media.whisper_models import resolve; from tasks.settings import Settings\n"
        "config = Settings(home='home', models=sys.argv[1], speech_model=sys.argv[2],"
        " speech_device='cpu')\n"
        "try: print(resolve(config, lambda *told: None).folder)\n"
        "except ModelError as error: print(error)\n"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": url,
        "HF_HOME": str(folder / "hub"),
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    return subprocess.run(
        [sys.executable, "-c", code, str(folder / "models"), name],
        env=environment, cwd=folder, capture_output=True, text=True, check=True, timeout=60,
    ).stdout.strip()  # fmt: skip


def test_what_is_in_the_cache_by_half_is_not_used(here: Settings, tmp_path: Path) -> None:
    root = tmp_path / "cache" / f"models--{KNOWN['tiny'][0].replace('/', '--')}"
    put(root / "snapshots" / "abc")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    whole = speech_hub.cached(KNOWN["tiny"][0])
    (root / "snapshots" / "abc" / "model.bin").unlink()

    assert whole == root / "snapshots" / "abc"
    assert speech_hub.cached(KNOWN["tiny"][0]) is None
