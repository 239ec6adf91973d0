"""From a name to files: paths, split files, models.toml, a hub; and a file's identity."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from support.hub_server import Hub, serve_hub

from tasks.errors import ModelError
from tasks.pool.hub import alone_with
from tasks.pool.models import ModelFiles, absolute_name, identify, resolve
from tasks.pool.registry import read_known
from tasks.settings import PROJECT_ROOT, Settings

FETCH = """
import json, sys
from pathlib import Path
from tasks.errors import ModelError
from tasks.pool.models import resolve
from tasks.settings import Settings
steps = []
try:
    files = resolve(sys.argv[1], Settings(), lambda *step: steps.append(step))
    answer = {"parts": [str(part) for part in files.parts], "steps": steps}
except ModelError as error:
    answer = {"error": str(error)}
print(json.dumps(answer))
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF and some")
    return path


def test_path_is_resolved_from_the_working_directory(
    model: Path, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)

    assert resolve("model.gguf", config).parts == (model,)
    assert absolute_name("model.gguf", model.parent) == str(model)


def test_path_in_the_home_folder_is_resolved(
    model: Path, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(model.parent))

    assert resolve("~/model.gguf", config).parts == (model,)


def test_names_of_models_toml_and_hubs_stay_as_they_are(tmp_path: Path) -> None:
    assert absolute_name("demo", tmp_path) == "demo"
    assert absolute_name("hf:a/b:q4_0", tmp_path) == "hf:a/b:q4_0"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nonsense", "nonsense: there is no such model. Give a GGUF file's path, hf:owner/repo"),
        ("./nothing.gguf", "nothing.gguf. Check the path"),
        ("..", "is a folder. Give the path of a GGUF file in it."),
        ("hf:nonsense", "hf:nonsense: this is no model name. Write hf:owner/repo:quantization."),
    ],
)
def test_unknown_name_says_what_names_there_are(name: str, expected: str, config: Settings) -> None:
    with pytest.raises(ModelError) as caught:
        resolve(name, config)

    assert expected in str(caught.value)


def test_unknown_name_lists_the_known_models(config: Settings) -> None:
    with pytest.raises(ModelError, match=r"\(demo, qwen"):
        resolve("nonsense", config)


def test_any_part_of_a_split_file_means_all_of_it(tmp_path: Path, config: Settings) -> None:
    parts = tuple(tmp_path / f"big-{n:05}-of-00003.gguf" for n in (1, 2, 3))
    for part in parts:
        part.write_bytes(b"GGUF")

    assert resolve(str(parts[1]), config).parts == parts


def test_missing_part_of_a_split_file_is_named(tmp_path: Path, config: Settings) -> None:
    (tmp_path / "big-00001-of-00002.gguf").write_bytes(b"GGUF")

    with pytest.raises(ModelError, match=r"big-00002-of-00002\.gguf is missing"):
        resolve(str(tmp_path / "big-00001-of-00002.gguf"), config)


def test_the_shipped_models_toml_is_valid_and_says_what_the_demo_is() -> None:
    known = read_known(PROJECT_ROOT / "data" / "models" / "models.toml")

    assert "no language ability" in known["demo"].note
    assert known["demo"].max_lines
    assert all(entry.source.startswith("hf:") for name, entry in known.items() if name != "demo")


def test_malformed_models_toml_is_named_with_the_field(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text('[mine]\nfile = "a.gguf"\nmax_line = 3\n')

    with pytest.raises(ModelError, match=r"models\.toml: mine\.max_line: Extra inputs"):
        read_known(path)


def test_identity_is_the_hash_of_all_parts(tmp_path: Path) -> None:
    parts = tuple(tmp_path / f"big-{n:05}-of-00002.gguf" for n in (1, 2))
    for part in parts:
        part.write_bytes(part.name.encode())
    expected = hashlib.sha256(b"".join(part.name.encode() for part in parts)).hexdigest()

    assert identify(ModelFiles("big", parts), tmp_path / "home") == expected


def test_identity_is_remembered_until_the_file_changes(model: Path, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []

    def identity() -> str:
        files = ModelFiles("m", (model,))
        return identify(files, tmp_path / "home", lambda *step: steps.append(step))

    first = identity()
    assert identity() == first
    assert steps == [("reading model.gguf", 13, 13)]

    model.write_bytes(b"GGUF and more")

    assert identity() != first
    assert len(steps) == 2


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    files = {
        "README.md": b"text",
        "tiny-q4_0.gguf": b"GGUF" + random.Random(0).randbytes(25_000_000),
        "tiny-q4_k_m.gguf": b"GGUF q4_k_m",
        "tiny-Q8_0-00001-of-00002.gguf": b"GGUF q8_0, 1",
        "tiny-Q8_0-00002-of-00002.gguf": b"GGUF q8_0, 2",
        "mmproj-tiny-q4_0.gguf": b"GGUF of another kind",
    }
    with serve_hub(Hub("acme/Tiny-GGUF", files)) as hub:
        yield hub


class Fetcher:
    """Resolves names in a process of its own: huggingface_hub reads its settings at import."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self.hub, self.home = hub, home

    def __call__(self, name: str, **environment: str) -> dict[str, object]:
        done = subprocess.run(
            [sys.executable, "-c", FETCH, name],
            env={**os.environ, "HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.home)}
            | {"PYTHONPATH": str(PROJECT_ROOT)}
            | environment,
            capture_output=True,
            text=True,
            check=True,
        )
        answer: dict[str, object] = json.loads(done.stdout)
        return answer


@pytest.fixture
def fetch(hub: Hub, tmp_path: Path) -> Fetcher:
    hub.ranges.clear()
    hub.break_after.clear()
    return Fetcher(hub, tmp_path / "hf")


def _content(answer: dict[str, object]) -> list[bytes]:
    parts = answer["parts"]
    assert isinstance(parts, list), answer
    return [Path(part).read_bytes() for part in parts]


def test_model_is_fetched_with_progress_and_then_needs_no_hub(fetch: Fetcher, hub: Hub) -> None:
    whole = hub.files["tiny-q4_0.gguf"]

    online = fetch("hf:acme/Tiny-GGUF:Q4_0")
    offline = fetch("hf:acme/Tiny-GGUF:Q4_0", HF_HUB_OFFLINE="1")

    assert _content(online) == [whole]
    steps = online["steps"]
    assert isinstance(steps, list)
    assert steps[-1] == ["fetching tiny-q4_0.gguf", len(whole), len(whole)]
    assert len(steps) == 24
    assert offline == {"parts": online["parts"], "steps": []}


def test_broken_download_goes_on_where_it_stopped(fetch: Fetcher, hub: Hub) -> None:
    """A connection that breaks, then a server that fails: the next run asks for the rest."""
    hub.break_after = [12_000_000, -1]

    broken = fetch("hf:acme/Tiny-GGUF:q4_0")
    again = fetch("hf:acme/Tiny-GGUF:q4_0")

    assert "run the same again" in str(broken["error"])
    assert _content(again) == [hub.files["tiny-q4_0.gguf"]]
    first, rest = hub.ranges
    assert first == "bytes=0-"
    assert int(rest.removeprefix("bytes=").removesuffix("-")) > 10_000_000


def test_a_second_run_sees_how_far_the_first_has_fetched(tmp_path: Path) -> None:
    """It waits, for one copy is enough; and what it shows meanwhile is not nothing."""
    (part := tmp_path / "etag.part").write_bytes(b"12345")
    first = FileLock(f"{part}.lock")
    first.acquire()
    heard: list[tuple[int, int]] = []

    def report(done: int, total: int) -> None:
        heard.append((done, total))
        first.release()

    with alone_with(part, 10, report):
        assert heard == [(5, 10)]


def test_all_parts_of_a_split_model_are_fetched(fetch: Fetcher) -> None:
    assert _content(fetch("hf:acme/Tiny-GGUF:q8_0")) == [b"GGUF q8_0, 1", b"GGUF q8_0, 2"]


def test_file_of_a_repository_can_be_named(fetch: Fetcher) -> None:
    assert _content(fetch("hf:acme/Tiny-GGUF/tiny-q4_k_m.gguf")) == [b"GGUF q4_k_m"]


def test_wrong_quantization_lists_those_there_are(fetch: Fetcher) -> None:
    error = fetch("hf:acme/Tiny-GGUF:q5_0")["error"]

    assert error == (
        "hf:acme/Tiny-GGUF:q5_0: there is no such quantization. "
        "Write hf:owner/repo:quantization with one of Q8_0, q4_0, q4_k_m."
    )


def test_missing_repository_is_named(fetch: Fetcher) -> None:
    assert fetch("hf:acme/None:q4_0")["error"] == (
        "hf:acme/None:q4_0: there is no repository acme/None. Check the spelling."
    )


def test_offline_without_the_model_says_so(fetch: Fetcher) -> None:
    error = fetch("hf:acme/Tiny-GGUF:q4_0", HF_HUB_OFFLINE="1")["error"]

    assert "it is not in the cache, and HF_HUB_OFFLINE is set" in str(error)
