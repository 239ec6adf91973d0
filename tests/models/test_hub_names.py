"""Wrong names: one line, with the nearest right ones that there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fetching import Answer, Fetcher
from support.hub_server import Hub, serve_hub

from tasks.errors import ModelError
from tasks.models.files import resolve
from tasks.models.hub_names import (
    choose,
    exactly,
    labels,
    meant_by,
    models_in,
    only,
    parse,
    quantization,
)
from tasks.models.nearest import close, listed, nearest
from tasks.settings import Settings

MANY = ("IQ2_M", "IQ3_XXS", "IQ4_XS", "Q2_K", "Q3_K_M", "Q4_0", "Q4_K_M", "Q5_K_M", "Q8_0")
WRONG = {
    "hf:acme/Tiny-GGUF:q5_0": "there is no such quantization. "
    "Write hf:acme/Tiny-GGUF:QUANTIZATION with one of Q4_0, Q8_0, Q4_K_M.",
    "hf:acme/Tiny-GGUF": "which quantization is not said. "
    "Write hf:acme/Tiny-GGUF:QUANTIZATION with one of Q4_K_M, Q4_0, Q8_0.",
    "hf:acme/Tiny-GGUF/tiny-q4.gguf": "there is no such file. "
    "Write hf:acme/Tiny-GGUF/FILE with one of "
    "tiny-q4_0.gguf, tiny-q4_k_m.gguf, tiny-Q8_0-00001-of-00002.gguf.",
    "hf:acme/Tiny-GGUF:q4": "several files match. "
    "Write hf:acme/Tiny-GGUF:QUANTIZATION with one of Q4_0, Q4_K_M.",
    "hf:acme/Torn-GGUF:q8_0": "the repository lacks torn-Q8_0-00002-of-00003.gguf. "
    "Choose another quantization or repository.",
    "hf:acme/Torn-GGUF/torn-Q8_0-00002-of-00003.gguf": "the repository lacks "
    "torn-Q8_0-00002-of-00003.gguf. Choose another quantization or repository.",
    "hf:acme/Tiny": "the repository holds no GGUF file. "
    "Similar ones with GGUF files are hf:acme/Tiny-GGUF, hf:other/tiny-7b-gguf.",
    "hf:acme/Weights": "the repository holds no GGUF file. Look for its GGUF version.",
    "hf:acne/Tiny-GUF:q4_0": "there is no repository acne/Tiny-GUF. "
    "Similar ones with GGUF files are hf:acme/Tiny-GGUF, hf:other/tiny-7b-gguf.",
    "hf:acme/Nothing": "there is no repository acme/Nothing. Check the spelling.",
}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    files = {
        "tiny-q4_0.gguf": b"GGUF q4_0",
        "tiny-q4_k_m.gguf": b"GGUF q4_k_m",
        "tiny-Q8_0-00001-of-00002.gguf": b"GGUF q8_0, 1",
        "tiny-Q8_0-00002-of-00002.gguf": b"GGUF q8_0, 2",
        "mmproj-tiny-q4_0.gguf": b"GGUF of another kind",
    }
    others = {
        "acme/Torn-GGUF": {
            "torn-Q8_0-00001-of-00003.gguf": b"GGUF",
            "torn-Q8_0-00003-of-00003.gguf": b"GGUF",
            "torn-Q4_0.gguf": b"GGUF",
        },
        "acme/Tiny": {"model.safetensors": b"weights"},
        "acme/Weights": {"model.safetensors": b"weights"},
        "other/tiny-7b-gguf": {"tiny-7b-q4_0.gguf": b"GGUF"},
    }
    with serve_hub(Hub("acme/Tiny-GGUF", files, others=others)) as hub:
        yield hub


@pytest.fixture(scope="module")
def answers(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    return Fetcher(hub, tmp_path_factory.mktemp("fetched")).all(*WRONG)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_name_at_a_hub(name: str, answers: dict[str, Answer]) -> None:
    assert answers[name].error == f"{name}: {WRONG[name]}"


@pytest.mark.parametrize("status", [401, 404])
def test_mirror_that_tells_no_more_than_a_status_gets_the_same_line(
    status: int, hub: Hub, tmp_path: Path
) -> None:
    hub.statuses = [status]
    answer = Fetcher(hub, tmp_path)("hf:acne/Tiny-GUF:q4_0")

    assert hub.statuses == []
    assert answer.error == f"hf:acne/Tiny-GUF:q4_0: {WRONG['hf:acne/Tiny-GUF:q4_0']}"


def test_without_the_hub_what_is_in_the_cache_is_offered(hub: Hub, tmp_path: Path) -> None:
    """Offline by choice, and by a hub that can't be reached."""
    fetch = Fetcher(hub, tmp_path)
    fetch("hf:acme/Tiny-GGUF:q4_0")

    offline = fetch("hf:acme/Tiny-GGUF:q8_0", HF_HUB_OFFLINE="1")
    unreachable = fetch("hf:acme/Tiny-GGUF:q8_0", HF_ENDPOINT="http://127.0.0.1:9")

    assert offline.error == (
        "hf:acme/Tiny-GGUF:q8_0: it is not in the cache, and HF_HUB_OFFLINE is set. "
        "Unset it. In the cache there is hf:acme/Tiny-GGUF:Q4_0."
    )
    assert "it can't be fetched from http://127.0.0.1:9" in unreachable.error
    assert unreachable.error.endswith(". In the cache there is hf:acme/Tiny-GGUF:Q4_0.")


def test_quantization_of_a_known_name_is_told_by_that_name(hub: Hub, tmp_path: Path) -> None:
    """Without the hub, what models.toml has."""
    (tmp_path / "models.toml").write_text(
        '[mine]\nsource = "hf:acme/Tiny-GGUF:q4_0"\nquantizations = ["q4_0", "q8_0"]\n'
        '[gone]\nsource = "hf:acme/Tiny-GGUF:q2_k"\n'
    )
    fetch = Fetcher(hub, tmp_path)
    fetch.environment |= {"LECTERN_MODELS": str(tmp_path)}

    answers = fetch.all("mine:q5_k_m", "gone")
    offline = fetch.all("mine:q5_k_m", "mine:q8_0", HF_HUB_OFFLINE="1")

    has = "there is no such quantization. Write"
    assert answers["mine:q5_k_m"].error == (
        f"mine:q5_k_m: {has} mine:QUANTIZATION with one of Q4_K_M, Q4_0, Q8_0."
    )
    assert answers["gone"].error.startswith(f"gone: {has} gone:QUANTIZATION with one of Q")
    assert offline["mine:q5_k_m"].error.endswith(". models.toml has mine in q4_0, q8_0.")
    assert "models.toml" not in offline["mine:q8_0"].error


@pytest.mark.parametrize("name", ["Qwen2.5-7B", "qwen2.57b", "qwen2.5"])
def test_nearest_known_name_is_offered(name: str, tmp_path: Path) -> None:
    """Among the known names, and those of Ollama's store."""
    (tmp_path / "models.toml").write_text(
        '["qwen2.5-7b"]\nsource = "hf:a/b"\n[mistral]\nsource = "hf:a/c"\n'
    )

    with pytest.raises(ModelError) as caught:
        resolve(name, Settings(models=tmp_path, home=tmp_path))

    assert caught.value.remedy.startswith(
        "Did you mean qwen2.5-7b? Or give a GGUF file's path, hf:"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("o/r", "hf:o/r"),
        ("o/r:Q4_K_M", "hf:o/r:Q4_K_M"),
        ("hf.co/o/r:Q4_K_M", "hf:o/r:Q4_K_M"),
        ("HuggingFace.co/o/r/", "hf:o/r"),
        ("https://huggingface.co/o/r/tree/main#files", "hf:o/r"),
        ("https://huggingface.co/o/r/blob/main/README.md", "hf:o/r"),
        ("https://huggingface.co/o/r/blob/main/x.gguf", "hf:o/r/x.gguf"),
        ("https://hf.co/o/r/resolve/main/Q4_0/x%20y.gguf?download=true", "hf:o/r/Q4_0/x y.gguf"),
        ("https://huggingface.co/o/r?show_file_info=x-Q4_0.gguf", "hf:o/r/x-Q4_0.gguf"),
        ("http://mirror.invalid/o/r/resolve/main/x.gguf", "hf:o/r/x.gguf"),
        ("https://huggingface.co/o/r/blob/v1/x.gguf", ""),
        ("https://huggingface.co/datasets/o", ""),
        ("https://huggingface.co/o", ""),
        ("https://[::1/x", ""),
        ("https://github.com/o/r", ""),
        ("https://github.com/o/r/blob/main/x.gguf", ""),
        ("models/x.gguf", ""),
        ("o/r/x.gguf", ""),
        ("./r", ""),
        ("/o/r", ""),
        ("~/r", ""),
        ("ollama:o/r", ""),
        ("C:/r", ""),
        ("", ""),
    ],
)
def test_pasted_address_means_a_name(text: str, expected: str) -> None:
    assert meant_by(text) == expected


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("hf:https://hf.co/o/r", "this is no model name. Write hf:o/r."),
        ("hf:hf.co/o/r:q4_0", "this is no model name. Write hf:o/r:q4_0."),
        ("hf:o/r/blob/main/x.gguf", "this is no model name. Write hf:o/r/x.gguf."),
        ("hf:o", "this is no model name. Write hf:owner/repo:quantization."),
        *(
            (
                f"hf:{repo}:q4_0",
                f"no repository can be called {repo}. "
                "Write its name as its page has it: Latin letters, digits, _, . and single -.",
            )
            for repo in ("Qwen/Qwen2.5 7B", "a/b@main", "通义/千问", "a/-b", "a/b--c", "a/b.git")
        ),
    ],
)
def test_what_no_hub_can_have_is_told_without_asking_one(name: str, line: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse(name)

    assert str(caught.value) == f"{name}: {line}"


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("qwen2.5-1.5b-instruct-q4_0.gguf", "Q4_0"),
        ("Qwen2.5-7B-Instruct.Q5_K_M.gguf", "Q5_K_M"),
        ("Q4_K_M/big-Q4_K_M-00001-of-00003.gguf", "Q4_K_M"),
        ("model-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("model-i1-IQ3_XXS.gguf", "IQ3_XXS"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("model-bf16.gguf", "BF16"),
        ("model.gguf", ""),
    ],
)
def test_quantization_is_read_from_a_files_name(file: str, expected: str) -> None:
    assert quantization(file) == expected


def test_quantization_means_itself_and_not_what_only_contains_it() -> None:
    files = ["m-Q4_K_M.gguf", "m-UD-Q4_K_M.gguf", "m-Q4_K.gguf", "m-Q4_K_S.gguf"]

    assert choose(files, "q4_k_m") == [["m-Q4_K_M.gguf"]]
    assert choose(files, "q4_k") == [["m-Q4_K.gguf"]]
    assert choose(files, "ud-q4_k_m") == [["m-UD-Q4_K_M.gguf"]]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("f16", []),
        ("bf16", [["m-BF16.gguf"]]),
        ("q4_k_m", []),
        ("m-UD-Q4_K_M.gguf", [["m-UD-Q4_K_M.gguf"]]),
        ("", [["m-BF16.gguf"], ["m-UD-Q4_K_M.gguf"]]),
    ],
)
def test_what_some_files_tell_holds_among_all(wanted: str, expected: list[list[str]]) -> None:
    """The hub may have the very quantization of which here is only one that contains it."""
    assert exactly(["m-BF16.gguf", "m-UD-Q4_K_M.gguf"], wanted) == expected


def test_files_with_the_same_quantization_are_told_apart_by_their_names() -> None:
    models = models_in(["base-q4_0.gguf", "chat-q4_0.gguf", "chat-q8_0.gguf"]).values()

    assert list(labels(models)) == ["/base-q4_0.gguf", "/chat-q4_0.gguf", ":Q8_0"]


def test_of_many_quantizations_the_five_nearest_are_shown() -> None:
    files = [f"m-{quantization}.gguf" for quantization in MANY]

    with pytest.raises(ModelError) as caught:
        only("hf:a/b:Q4_K", [*files, "m-Q4_K_S.gguf"], "Q4_KM")

    assert caught.value.remedy.startswith("Write hf:a/b:QUANTIZATION with one of Q4_K_M, ")
    assert caught.value.remedy.endswith(" and 5 more")


def test_nearest_first_and_case_does_not_count() -> None:
    names = ["mistral-7b", "qwen2.5-7b", "qwen2.5-1.5b"]

    assert nearest("QWEN2.5-7B", names)[0] == "qwen2.5-7b"
    assert nearest("qwen", names)[-1] == "mistral-7b"
    assert close("QWEN2.5-7B", names) == ["qwen2.5-7b"]
    assert close("entirely different", names) == []
    assert listed(names, most=2) == "mistral-7b, qwen2.5-7b and 1 more"
