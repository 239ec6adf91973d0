"""Fetching from a hub: with progress, all parts, going on where it broke, and then never again."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from filelock import FileLock
from huggingface_hub import constants
from support.fetching import Fetcher
from support.hub_server import Hub, serve_hub

from tasks.models.hub import alone_with
from tasks.models.hub_bytes import TRIES, retry_after_s
from tasks.models.hub_cache import cached_models


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
    hub.break_after = [12_000_000, -500]

    broken = fetch("hf:acme/Tiny-GGUF:q4_0")
    again = fetch("hf:acme/Tiny-GGUF:q4_0")

    assert "run the same again" in broken.error
    assert "\n" not in broken.error
    assert again.content == [hub.files["tiny-q4_0.gguf"]]
    assert hub.ranges == ["bytes=0-", "bytes=12000000-", "bytes=12000000-"]


@pytest.mark.parametrize("header_only", [False, True])
def test_connections_that_each_bring_little_bring_the_whole(
    header_only: bool, fetch: Fetcher, tiny_model: Path
) -> None:
    """Each goes on from the last byte of the one before, and none counts as a failure."""
    content = tiny_model.read_bytes()
    with serve_hub(Hub("acme/Tiny-GGUF", {"m.gguf": content}, break_each=9_000)) as hub:
        fetch.environment["HF_ENDPOINT"] = hub.url
        answer = fetch("hf:acme/Tiny-GGUF", header_only=header_only)

    end = str(len(content) - 1) if header_only else ""
    assert [len(each) for each in answer.content] == [len(content)]
    assert hub.ranges == [f"bytes={start}-{end}" for start in range(0, len(content), 9_000)]
    assert len(hub.ranges) > TRIES


def test_hub_without_ranges_is_gone_on_with_too(fetch: Fetcher, hub: Hub) -> None:
    content = hub.files["tiny-q4_0.gguf"]
    with serve_hub(Hub("acme/Tiny-GGUF", {"m.gguf": content}, knows_ranges=False)) as other:
        other.break_after = [12_000_000, 13_000_000]
        fetch.environment["HF_ENDPOINT"] = other.url
        answer = fetch("hf:acme/Tiny-GGUF")

    assert answer.content == [content]
    assert other.ranges == ["bytes=0-", "bytes=12000000-", "bytes=13000000-"]


@pytest.mark.parametrize("header_only", [False, True])
def test_busy_hub_is_asked_again(header_only: bool, fetch: Fetcher, tiny_model: Path) -> None:
    """By each question that there is: for files, their sizes, their bytes."""
    content = tiny_model.read_bytes()
    with serve_hub(Hub("acme/Tiny-GGUF", {"m.gguf": content})) as hub:
        hub.statuses, hub.break_after = [503, 429], [-503, -429]
        fetch.environment["HF_ENDPOINT"] = hub.url
        answer = fetch("hf:acme/Tiny-GGUF", header_only=header_only)

    assert [len(each) for each in answer.content] == [len(content)]
    assert (hub.statuses, hub.break_after) == ([], [])


@pytest.mark.parametrize("header_only", [False, True])
def test_hub_that_stays_busy_is_not_asked_for_ever(
    header_only: bool, fetch: Fetcher, tiny_model: Path
) -> None:
    with serve_hub(Hub("acme/Tiny-GGUF", {"m.gguf": tiny_model.read_bytes()})) as hub:
        hub.break_after = [-503] * (TRIES + 1)
        fetch.environment["HF_ENDPOINT"] = hub.url
        answer = fetch("hf:acme/Tiny-GGUF", header_only=header_only)

    assert f"can't be fetched from {hub.url} (it answers 503 Service Unavailable" in answer.error
    assert hub.break_after == [-503]


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


def test_hub_that_asks_for_long_patience_is_not_waited_for(
    fetch: Fetcher, tiny_model: Path
) -> None:
    with serve_hub(Hub("acme/Tiny-GGUF", {"m.gguf": tiny_model.read_bytes()})) as hub:
        hub.statuses, hub.retry_after = [429, 429], 3600
        fetch.environment["HF_ENDPOINT"] = hub.url
        answer = fetch("hf:acme/Tiny-GGUF")

    assert "(it answers 429 Too Many Requests, try again in 3600 s)" in answer.error
    assert hub.statuses == [429]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"ratelimit": '"api";r=0;t=55', "Retry-After": "7"}, 55.0),
        ({"ratelimit": '"api";r=9;t=55'}, None),
        ({}, None),
    ],
)
def test_wait_that_a_hub_asks_for(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(httpx.Response(429, headers=headers)) == expected


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


def test_folder_in_the_cache_that_is_no_repository_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for repo in ("acme--Tiny", "acme--Tiny--GGUF"):
        folder = tmp_path / f"models--{repo}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("abc")
        (folder / "snapshots" / "abc").mkdir(parents=True)
        (folder / "snapshots" / "abc" / "tiny-q4_0.gguf").write_bytes(b"GGUF")

    assert [each.name for each in cached_models()] == ["hf:acme/Tiny:Q4_0"]


def test_cache_counts_only_where_it_has_what_is_meant(fetch: Fetcher, tmp_path: Path) -> None:
    """Not what is called alike, and no link to content that was removed."""
    alike = fetch("hf:acme/Tiny-GGUF:ud-q4_k_m")
    first = fetch("hf:acme/Tiny-GGUF:q4_k_m")
    Path(first.parts[0]).resolve().unlink()
    again = fetch("hf:acme/Tiny-GGUF:q4_k_m")

    assert [each.content for each in (alike, again)] == [[b"GGUF ud-q4_k_m"], [b"GGUF q4_k_m"]]


@pytest.mark.parametrize("page", [b"<html>Log in</html>", b'{"error": "no"}', b"[1]", b"1"])
def test_what_is_no_hub_is_told_in_one_line(page: bytes, tmp_path: Path) -> None:
    """A proxy that wants a login answers everything with a page."""
    with serve_hub(Hub("acme/Tiny-GGUF", {}, page=page)) as hub:
        answer = Fetcher(hub, tmp_path)("hf:acme/Tiny-GGUF:q4_0")

    assert f"it can't be fetched from {hub.url} (its answer is not that of a hub)" in answer.error


def test_redirection_to_nowhere_is_told_in_one_line(tmp_path: Path) -> None:
    with serve_hub(Hub("acme/Tiny-GGUF", {"m.gguf": b"GGUF"}, statuses=[302])) as hub:
        answer = Fetcher(hub, tmp_path)("hf:acme/Tiny-GGUF")

    assert f"it can't be fetched from {hub.url} (its answer is not that of a hub)" in answer.error


def test_what_its_owner_grants_takes_a_token(fetch: Fetcher) -> None:
    with serve_hub(Hub("acme/Tiny-GGUF", {"m.gguf": b"GGUF"}, gated=True)) as hub:
        fetch.environment["HF_ENDPOINT"] = hub.url
        without = fetch("hf:acme/Tiny-GGUF", HF_TOKEN="")
        unsendable = fetch("hf:acme/Tiny-GGUF", HF_TOKEN="bädtoken")
        hub.tells_codes = False
        nameless = fetch("hf:acme/Tiny-GGUF", HF_TOKEN="")
        with_token = fetch("hf:acme/Tiny-GGUF", HF_TOKEN="hf_right")

    ask = "its owner grants access by request. Ask at the page of acme/Tiny-GGUF"
    letting = f"{ask}, and set HF_TOKEN to a token of the account that was let in."
    assert without.error == nameless.error == f"hf:acme/Tiny-GGUF: {letting}"
    assert "knows no such token as yours. Correct HF_TOKEN" in unsendable.error
    assert with_token.content == [b"GGUF"]


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


def test_part_that_is_too_long_is_begun_anew(fetch: Fetcher, hub: Hub, tmp_path: Path) -> None:
    content = hub.files["tiny-q4_k_m.gguf"]
    blobs = tmp_path / "hf" / "hub" / "models--acme--Tiny-GGUF" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(content).hexdigest()}.part").write_bytes(bytes(99))

    assert fetch("hf:acme/Tiny-GGUF:q4_k_m").content == [content]


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
