"""A model's header from a hub, without the weights: as good as the file for all but computing."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fetching import Answer, Fetcher
from support.gguf_header import Header, texts
from support.hub_server import Hub, serve_hub
from support.split_model import split_model
from support.tiny_model import write_tiny_model

from tasks.errors import ModelError
from tasks.models.files import resolve
from tasks.models.header_bytes import header_end
from tasks.models.header_facts import HeaderFacts, read_facts
from tasks.models.vocabulary import Vocabulary, load_vocabulary
from tasks.pool.fit import Need
from tasks.pool.loading import need_of
from tasks.pool.protocol import WorkerConfig
from tasks.settings import Settings

Known = tuple[Vocabulary, Need, HeaderFacts]

TINY = "hf:acme/Tiny-GGUF/tiny.gguf"
LONG = "hf:acme/Tiny-GGUF/long.gguf"
SPLIT = "hf:acme/Tiny-GGUF/big-00002-of-00002.gguf"
GOOD = (LONG, TINY, SPLIT)
BAD = {
    "hf:acme/Tiny-GGUF/text.gguf": "it is no GGUF file",
    "hf:acme/Tiny-GGUF/torn.gguf": "the header of torn.gguf comes to no end",
    "hf:acme/Tiny-GGUF/endless.gguf": "the header of endless.gguf comes to no end",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiny_model(tmp_path_factory.mktemp("real") / "tiny.gguf").read_bytes()


@pytest.fixture(scope="module")
def long(tiny: bytes) -> bytes:
    """A model whose header does not fit into the first piece."""
    header = Header.parse(tiny)
    return header.with_values(x__long=texts([b"word" * 100] * 20_000)).encode()


@pytest.fixture(scope="module")
def hub(tiny: bytes, long: bytes) -> Iterator[Hub]:
    files = {
        "tiny.gguf": tiny,
        "long.gguf": long,
        **dict(
            zip(
                ("big-00001-of-00002.gguf", "big-00002-of-00002.gguf"),
                split_model(tiny),
                strict=True,
            )
        ),
        "text.gguf": b"<html>" + bytes(100),
        "torn.gguf": tiny[:2000],
        "endless.gguf": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + b"\xff" * 8 + bytes(10_000),
    }
    with serve_hub(Hub("acme/Tiny-GGUF", files)) as hub:
        yield hub


@pytest.fixture(scope="module")
def fetch(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Fetcher:
    return Fetcher(hub, tmp_path_factory.mktemp("fetched"))


@pytest.fixture(scope="module")
def headers(fetch: Fetcher) -> dict[str, Answer]:
    return fetch.all(*GOOD, *BAD, header_only=True)


def known_of(path: Path, home: Path) -> Known:
    return (
        load_vocabulary(path, "", home, "tiny"),
        need_of(WorkerConfig(model_path=str(path), n_ctx=1024, n_gpu_layers=0)),
        read_facts(path, "tiny"),
    )


@pytest.fixture(scope="module")
def known(tiny: bytes, tmp_path_factory: pytest.TempPathFactory) -> Known:
    """What the whole file tells."""
    (real := tmp_path_factory.mktemp("real") / "tiny.gguf").write_bytes(tiny)
    return known_of(real, real.parent)


@pytest.mark.parametrize("name", [TINY, SPLIT])
def test_header_alone_gives_the_same_vocabulary_and_need(
    name: str, headers: dict[str, Answer], hub: Hub, known: Known, tmp_path: Path
) -> None:
    """Of a split file as well, whose weights are in both parts."""
    parts = [Path(part) for part in headers[name].parts]

    assert headers[name].header_only
    assert [part.stat().st_size for part in parts] == [len(hub.files[p.name]) for p in parts]
    assert parts[0].read_bytes() != hub.files[parts[0].name]
    assert known_of(parts[0], tmp_path) == known


def test_identity_is_the_files_own_unless_it_is_split(
    headers: dict[str, Answer], tiny: bytes
) -> None:
    assert headers[TINY].identity == hashlib.sha256(tiny).hexdigest()
    assert headers[SPLIT].identity.startswith("header-")


def test_only_the_beginning_is_asked_for_and_only_once(
    headers: dict[str, Answer], fetch: Fetcher, hub: Hub
) -> None:
    """Ever larger pieces, each from where the one before ended; then the hub is not needed."""
    offline = fetch.all(*GOOD, header_only=True, HF_HUB_OFFLINE="1")

    end = min(2 << 22, len(hub.files["long.gguf"])) - 1
    assert ["bytes=0-4194303", f"bytes=4194304-{end}"] == hub.ranges[:2]
    assert [each.parts for each in offline.values()] == [headers[name].parts for name in GOOD]


def test_server_without_ranges_does_as_well(
    headers: dict[str, Answer], hub: Hub, tmp_path: Path
) -> None:
    hub.knows_ranges = False
    try:
        answer = Fetcher(hub, tmp_path)(LONG, header_only=True)
    finally:
        hub.knows_ranges = True

    assert answer.content == headers[LONG].content


def test_the_real_file_wins_once_it_is_here(
    headers: dict[str, Answer], fetch: Fetcher, tiny: bytes
) -> None:
    fetch(TINY)
    again = fetch(TINY, header_only=True)

    assert headers[TINY].header_only
    assert not again.header_only
    assert again.content == [tiny]


@pytest.mark.parametrize("name", BAD)
def test_bad_header_is_named(name: str, headers: dict[str, Answer]) -> None:
    assert headers[name].error.startswith(f"{name}: {BAD[name]}. ")


def test_local_file_needs_no_header(tiny: bytes, config: Settings, tmp_path: Path) -> None:
    (path := tmp_path / "tiny.gguf").write_bytes(tiny)

    files = resolve(str(path), config, header_only=True)

    assert (files.parts, files.header_only) == ((path,), False)


def test_end_of_a_header_is_where_its_last_tensor_ends(tiny: bytes) -> None:
    """Known with exactly as many bytes, and with one less not."""
    end = header_end(tiny, "tiny")

    assert end is not None
    assert header_end(tiny[:end], "tiny") == end
    assert header_end(tiny[: end - 1], "tiny") is None
    parsed = Header.parse(tiny)
    assert -(-end // 32) * 32 == len(tiny) - len(parsed.data)


@pytest.mark.parametrize(
    "data",
    [
        b"PK\3\4" + bytes(100),
        b"GGUF" + struct.pack("<IQQ", 77, 0, 0),
        b"GGUF" + struct.pack("<IQQQcI", 3, 0, 1, 1, b"k", 99),  # a type that there is not
        b"GGUF" + struct.pack("<IQQQcII", 3, 0, 1, 1, b"k", 9, 9) + bytes(8),  # array of arrays
        b"GGUF" + struct.pack("<IQQQcI", 3, 1, 0, 1, b"t", 5_000_000),  # dimensions
    ],
)
def test_damaged_header_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        header_end(data, "bad")
