"""Fetching from a hub: with progress, all parts, going on where it broke, and then never again."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from support.fetching import Fetcher
from support.hub_server import Hub, serve_hub

from tasks.models.hub import alone_with


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    files = {
        "README.md": b"text",
        "tiny-q4_0.gguf": b"GGUF" + random.Random(0).randbytes(25_000_000),
        "tiny-q4_k_m.gguf": b"GGUF q4_k_m",
        "tiny-Q8_0-00001-of-00002.gguf": b"GGUF q8_0, 1",
        "tiny-Q8_0-00002-of-00002.gguf": b"GGUF q8_0, 2",
        "tiny-UD-q4_k_m.gguf": b"GGUF ud-q4_k_m",
        "mmproj-tiny-q4_0.gguf": b"GGUF of another kind",
    }
    others = {"acme/Single-GGUF": {"single.gguf": b"GGUF single", "config.json": b"{}"}}
    with serve_hub(Hub("acme/Tiny-GGUF", files, others=others)) as hub:
        yield hub


@pytest.fixture
def fetch(hub: Hub, tmp_path: Path) -> Fetcher:
    hub.ranges.clear()
    hub.break_after.clear()
    return Fetcher(hub, tmp_path)


def test_model_is_fetched_with_progress_and_then_needs_no_hub(fetch: Fetcher, hub: Hub) -> None:
    whole = hub.files["tiny-q4_0.gguf"]

    online = fetch("hf:acme/Tiny-GGUF:Q4_0")
    offline = fetch("hf:acme/Tiny-GGUF:Q4_0", HF_HUB_OFFLINE="1")

    assert online.content == [whole]
    assert online.steps[-1] == ["fetching tiny-q4_0.gguf", len(whole), len(whole)]
    assert len(online.steps) == 24
    assert (offline.parts, offline.steps) == (online.parts, [])


def test_broken_download_goes_on_where_it_stopped(fetch: Fetcher, hub: Hub) -> None:
    """A connection that breaks, then a server that fails: the next run asks for the rest."""
    hub.break_after = [12_000_000, -1]

    broken = fetch("hf:acme/Tiny-GGUF:q4_0")
    again = fetch("hf:acme/Tiny-GGUF:q4_0")

    assert "run the same again" in broken.error
    assert "\n" not in broken.error
    assert again.content == [hub.files["tiny-q4_0.gguf"]]
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


def test_files_that_a_name_can_mean(fetch: Fetcher) -> None:
    """A quantization, a file, any part of a split one; and a repository with nothing to choose."""
    split = [b"GGUF q8_0, 1", b"GGUF q8_0, 2"]
    expected = {
        "hf:acme/Tiny-GGUF:q8_0": split,
        "hf:acme/Tiny-GGUF/tiny-Q8_0-00002-of-00002.gguf": split,
        "hf:acme/Tiny-GGUF/tiny-q4_k_m.gguf": [b"GGUF q4_k_m"],
        "hf:acme/Single-GGUF": [b"GGUF single"],
    }

    answers = fetch.all(*expected)

    assert {name: answer.content for name, answer in answers.items()} == expected


def test_cache_counts_only_where_it_has_what_is_meant(fetch: Fetcher, tmp_path: Path) -> None:
    """Not what is called alike, and no link to content that was removed."""
    alike = fetch("hf:acme/Tiny-GGUF:ud-q4_k_m")
    first = fetch("hf:acme/Tiny-GGUF:q4_k_m")
    Path(first.parts[0]).resolve().unlink()
    again = fetch("hf:acme/Tiny-GGUF:q4_k_m")

    assert [each.content for each in (alike, again)] == [[b"GGUF ud-q4_k_m"], [b"GGUF q4_k_m"]]


def test_what_is_no_hub_is_told_in_one_line(tmp_path: Path) -> None:
    """A proxy that wants a login answers everything with a page."""
    with serve_hub(Hub("acme/Tiny-GGUF", {}, page=b"<html>Log in</html>")) as hub:
        answer = Fetcher(hub, tmp_path)("hf:acme/Tiny-GGUF:q4_0")

    assert f"it can't be fetched from {hub.url} (its answer is not that of a hub)" in answer.error


@pytest.mark.parametrize(
    ("file", "etag", "problem"),
    [
        ("../tiny-q4_0.gguf", "", "it names files outside of the repository"),
        ("tiny-q4_0.gguf", "../../tiny", "it gives a checksum that is none"),
    ],
)
def test_hostile_hub_writes_nothing_outside_of_the_cache(
    file: str, etag: str, problem: str, tmp_path: Path
) -> None:
    with serve_hub(Hub("acme/Tiny-GGUF", {file: b"GGUF"}, etag=etag)) as hub:
        answer = Fetcher(hub, tmp_path)("hf:acme/Tiny-GGUF:q4_0")

    assert problem in answer.error
    assert not [path for path in tmp_path.rglob("*tiny*") if path.is_file()]


def test_damaged_download_is_thrown_away(fetch: Fetcher, hub: Hub, tmp_path: Path) -> None:
    """What lay there from a run before is not what the hub has."""
    content = hub.files["tiny-q4_k_m.gguf"]
    blobs = tmp_path / "hf" / "hub" / "models--acme--Tiny-GGUF" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(content).hexdigest()}.part").write_bytes(b"torn")

    damaged = fetch("hf:acme/Tiny-GGUF:q4_k_m")
    again = fetch("hf:acme/Tiny-GGUF:q4_k_m")

    assert "what came is damaged and was thrown away" in damaged.error
    assert again.content == [content]
