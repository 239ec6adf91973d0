"""Models on a hub: what would not be loaded here is refused by its header, before it is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.command import Lectern
from support.gguf_header import Header, text
from support.hostile_models import unwritten_model
from support.hub_server import Hub, serve_hub
from support.tiny_lora import write_lora

from tasks.pool.fitting import held_by_pool
from tasks.pool.lifecycle import ensure_pool, stop_pool
from tasks.settings import PROJECT_ROOT, Settings

GIANT, TINY, ODD = (f"hf:acme/Some-GGUF/{name}.gguf" for name in ("giant", "tiny", "odd"))
PAPER = PROJECT_ROOT / "data" / "samples" / "two-columns-en.pdf"
HEADER, WHOLE = "bytes=0-4194303", "bytes=0-"
NEEDS = "giant.gguf: it needs 29"  # GiB; its weights alone are 290
MORE = "; `lectern models fit` tells what would fit."


@pytest.fixture
def hub(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a model that fits nowhere, one that fits, and one that nobody knows."""
    giant = unwritten_model(
        tmp_path / "giant.gguf", tiny_model, n_embd=8192, n_layers=80, n_ff=28672
    )
    with giant.open("rb") as file:
        head = file.read(1 << 20)
    odd = Header.read(tiny_model).with_values(general__architecture=text("quantum")).encode()
    files = {"giant.gguf": head, "tiny.gguf": tiny_model.read_bytes(), "odd.gguf": odd}
    holes = {"giant.gguf": giant.stat().st_size - len(head)}
    with serve_hub(Hub("acme/Some-GGUF", files, holes=holes)) as hub:
        for name, value in {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "LECTERN_POOL_N_CTX": "512",
            "LECTERN_POOL_N_THREADS": "1",
        }.items():
            monkeypatch.setenv(name, value)
        yield hub


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    """Where the hub's library keeps what is fetched of the repository."""
    return tmp_path / "hf" / "hub" / "models--acme--Some-GGUF"


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_a_run_refuses_what_does_not_fit_before_it_is_fetched(
    hub: Hub, fetched: Path, lectern: Lectern
) -> None:
    answer = lectern("summarize", str(PAPER), "--model", GIANT)

    assert answer.returncode == 1
    assert NEEDS in answer.stderr
    assert MORE in answer.stderr
    assert hub.ranges == [HEADER]
    assert not fetched.exists()


def test_so_does_measuring(hub: Hub, lectern: Lectern) -> None:
    answer = lectern("bench", "--model", GIANT)

    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
    assert answer.stderr.startswith(f"lectern: {NEEDS}")
    assert hub.ranges == [HEADER]


def test_chunks_are_counted_with_the_header_alone(hub: Hub, lectern: Lectern) -> None:
    answer = lectern("chunks", str(PAPER), "--model", GIANT, LECTERN_POOL_N_CTX="4096")

    assert (answer.returncode, answer.stderr) == (0, "")
    assert "[2] The Lectern Project" in answer.stdout
    assert hub.ranges == [HEADER]


@pytest.mark.slow
def test_so_does_the_pool_and_it_fetches_what_fits(hub: Hub, config: Settings) -> None:
    settings = config.model_copy(update={"pool_n_ctx": 512, "pool_n_threads": 1})
    address = ensure_pool(settings)
    headers = {"authorization": f"Bearer {address.api_key}"}

    def ask(http: httpx.Client, model: str) -> httpx.Response:
        messages = [{"role": "user", "content": "hello"}]
        body: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": 4}
        return http.post("/v1/chat/completions", json=body)

    try:
        with httpx.Client(base_url=address.url, headers=headers, timeout=60) as http:
            refused = ask(http, GIANT)
            asked, held_before = list(hub.ranges), held_by_pool(settings)
            answered = ask(http, TINY)
            held = held_by_pool(settings)
    finally:
        stop_pool(settings)

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (422, "model_load_failed")
    assert error["message"].startswith(NEEDS)
    assert asked == [HEADER]
    assert answered.status_code == 200
    assert hub.ranges[2:] == [WHOLE]
    assert held_before == 0 < held  # what a model's worker has


def test_pull_tells_of_it_and_fetches_all_the_same(hub: Hub, lectern: Lectern) -> None:
    """It may be for another machine. This hub does not have it."""
    answer = lectern("models", "pull", GIANT)

    note, _, failure = answer.stderr.partition("\n")
    assert note.startswith(f"It would not be loaded here. {NEEDS}")
    assert note.endswith(MORE)
    assert failure.startswith(f"lectern: {GIANT}: it can't be fetched")
    assert hub.ranges[:2] == [HEADER, WHOLE]


def test_pull_says_nothing_of_what_fits(
    hub: Hub, lectern: Lectern, fetched: Path, tiny_model: Path
) -> None:
    answer = lectern("models", "pull", TINY)
    again = lectern("models", "pull", TINY)

    assert (answer.returncode, answer.stderr) == (0, "")
    assert (again.stdout, again.stderr) == (answer.stdout, "")
    assert [each.read_bytes() for each in fetched.glob("snapshots/*/*")] == [
        tiny_model.read_bytes()
    ]
    assert hub.ranges[1:] == [WHOLE]  # nothing is asked of what is here


def test_pull_fetches_again_what_is_damaged_on_the_disk(
    hub: Hub, lectern: Lectern, fetched: Path, tiny_model: Path
) -> None:
    lectern("models", "pull", TINY)
    [blob] = fetched.glob("blobs/*[0-9a-f]")
    blob.write_bytes(blob.read_bytes()[:5_000])

    answer = lectern("models", "pull", TINY)

    assert (answer.returncode, answer.stderr) == (
        0,
        "tiny.gguf was damaged on this disk: it is fetched again.\n",
    )
    assert blob.read_bytes() == tiny_model.read_bytes()
    assert hub.ranges[-1] == WHOLE


@pytest.mark.parametrize(("name", "broken"), [(ODD, []), (TINY, [-500])])
def test_what_can_not_be_told_is_fetched(
    name: str, broken: list[int], hub: Hub, lectern: Lectern
) -> None:
    """Of an architecture that llama.cpp does not know, or where the hub fails."""
    hub.break_after = broken
    answer = lectern("models", "pull", name)

    assert (answer.returncode, answer.stderr) == (0, "")
    assert hub.ranges[1:] == [WHOLE]


def test_an_adapter_of_another_model_keeps_it_from_being_fetched(
    hub: Hub, lectern: Lectern, tmp_path: Path
) -> None:
    write_lora(tmp_path / "law.gguf")
    name = f"{GIANT}+{tmp_path / 'law.gguf'}"
    for answer in (lectern("models", "pull", name), lectern("models", "fit", name)):
        assert (answer.returncode, answer.stdout) == (1, "")
        assert answer.stderr.startswith("lectern: law.gguf: llama.cpp can't load this adapter (")
        assert "tensor 'blk.0.attn_q.weight' has incorrect shape" in answer.stderr
    assert hub.ranges == [HEADER]


def test_an_adapter_of_another_model_is_not_left_out_where_the_shape_is_known(
    hub: Hub, lectern: Lectern, tmp_path: Path
) -> None:
    """`lectern models fit` counts by the shape of models.toml only what it can't have."""
    write_lora(tmp_path / "law.gguf")
    (tmp_path / "models.toml").write_text(
        f'[mine]\nsource = "{GIANT}"\nlora = ["law.gguf"]\n[mine.shape]\narchitecture = "llama"\n'
        "n_vocab = 259\ncontext_length = 4096\nblock_count = 2\nembedding_length = 64\n"
        "feed_forward_length = 128\nhead_count = 4\nhead_count_kv = 4\n"
    )
    answer = lectern("models", "fit", "mine", LECTERN_MODELS=str(tmp_path))

    assert answer.returncode == 1
    assert answer.stderr.startswith("lectern: law.gguf: llama.cpp can't load this adapter (")
