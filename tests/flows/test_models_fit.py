"""`lectern models fit`: what it prints, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import Lectern
from support.gguf_header import Header, u32
from support.hostile_models import unwritten_model
from support.hub_server import Hub, serve_hub
from support.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="module")
def giant(tiny: Path) -> Path:
    """290 GiB of weights that nobody has written, and a token of context takes 2.5 MiB."""
    long = tiny.with_name("long.gguf")
    long.write_bytes(Header.read(tiny).with_values(llama__context_length=u32(1 << 17)).encode())
    return unwritten_model(tiny.with_name("giant.gguf"), long, n_embd=8192, n_layers=80, n_ff=28672)


def test_it_prints_what_a_model_takes_and_what_there_is(lectern: Lectern, tiny: Path) -> None:
    answer = lectern("models", "fit", str(tiny), "--n-ctx", "1024", "--n-seq", "2")

    assert (answer.returncode, answer.stderr) == (0, "")
    for row in ("weights", "KV cache", "compute", "process", "in all", "in RAM"):
        assert row in answer.stdout
    assert "2 sequences of 1,024 tokens" in answer.stdout
    assert "tiny.gguf fits." in answer.stdout
    assert "one sequence with LECTERN_POOL_N_CTX=4096" in answer.stdout
    assert "Q8_0" in answer.stdout


def test_what_does_not_fit_is_said_and_the_status_is_1(lectern: Lectern, giant: Path) -> None:
    answer = lectern("models", "fit", str(giant), "--n-ctx", "131072", "--n-seq", "64")

    assert (answer.returncode, answer.stderr) == (1, "")
    assert "giant.gguf does not fit." in answer.stdout


def test_less_than_was_asked_for_is_said(lectern: Lectern, tiny: Path) -> None:
    """And by what it could be more."""
    less = lectern("models", "fit", str(tiny), "--n-ctx", "8192", "--n-seq", "1")
    more = lectern(
        "models", "fit", str(tiny), "--n-ctx", "8192", "--n-seq", "1", LECTERN_POOL_ROPE_FACTOR="2"
    )

    said = " ".join(less.stdout.split())
    assert "1 sequence of 4,096 tokens" in said
    assert (
        "It takes 4,096 tokens a sequence, not the 8,192 asked for: LECTERN_POOL_ROPE_FACTOR and "
        "LECTERN_POOL_ROPE_SCALING stretch it (docs/models.md)."
    ) in said
    assert "1 sequence of 8,192 tokens" in more.stdout
    assert "asked for" not in more.stdout


def test_as_json_it_has_all_in_bytes(lectern: Lectern, tiny: Path) -> None:
    answer = lectern("models", "fit", str(tiny), "--n-ctx", "1024", "--n-seq", "2", "--json")
    found = json.loads(answer.stdout)

    assert answer.returncode == 0
    assert found["model"] == str(tiny)
    assert found["cache"] == 2 * 1024 * 2 * 2 * 64 * 2  # tokens, layers, K and V, f16
    assert found["total"] == sum(found[n] for n in ("weights", "cache", "compute", "process"))
    assert found["fits"] is True
    assert {each["name"] for each in found["quantizations"]} == {
        "Q4_0", "Q4_K_M", "Q5_K_M", "Q8_0"
    }  # fmt: skip


def test_settings_for_gpus_are_noted_where_there_is_none(lectern: Lectern, tiny: Path) -> None:
    answer = lectern(
        "models", "fit", str(tiny), LECTERN_POOL_N_GPU_LAYERS="20", CUDA_VISIBLE_DEVICES="-1",
        HIP_VISIBLE_DEVICES="-1",
    )  # fmt: skip

    assert answer.returncode == 0
    assert "`pool_n_gpu_layers`: ignored, as llama.cpp finds no GPU" in answer.stdout


SHAPED = """\
[shaped]
source = "hf:nobody/nothing-GGUF:q4_0"
[shaped.shape]
architecture = "qwen2"
n_vocab = 151936
context_length = 32768
block_count = 24
embedding_length = 896
feed_forward_length = 4864
head_count = 14
head_count_kv = 2
tied_embeddings = true
"""
N_WEIGHTS = 494_032_768  # as Qwen2.5-0.5B, whose shape it is, has them


@pytest.mark.parametrize(("quantization", "bits", "off_by"), [("", 4.5, 0.3), ("q8_0", 8.5, 0.01)])
def test_a_model_of_models_toml_needs_neither_its_file_nor_a_network(
    quantization: str, bits: float, off_by: float, lectern: Lectern, tmp_path: Path
) -> None:
    """Of its shape follows all but the vocabulary, which is added. In Q4_0 the embeddings, a
    quarter of all here, have more bits than the rest."""
    (tmp_path / "models.toml").write_text(SHAPED)
    asked = ("shaped", "--n-ctx", "4096", "--n-seq", "2", "-q", quantization)
    answer = lectern(
        "models", "fit", *asked, "--json", LECTERN_MODELS=str(tmp_path), HF_HUB_OFFLINE="1",
        HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path / "hf"),
    )  # fmt: skip
    found = json.loads(answer.stdout)

    assert found["cache"] == 2 * 4096 * 24 * 2 * 128 * 2  # tokens, layers, K and V, f16
    assert found["weights"] == pytest.approx(N_WEIGHTS * bits / 8, rel=off_by)
    assert found["process"] > 151_936 * 300


def test_of_a_model_on_a_hub_the_header_is_enough(
    lectern: Lectern, tiny: Path, tmp_path: Path
) -> None:
    """What is told is the same as of the file; it is not fetched for that."""
    with serve_hub(Hub("acme/Tiny-GGUF", {"tiny.gguf": tiny.read_bytes()})) as hub:
        away, here = (
            json.loads(
                lectern(
                    "models", "fit", name, "--json", HF_ENDPOINT=hub.url,
                    HF_HOME=str(tmp_path / "hf"), HF_HUB_DISABLE_XET="1",
                ).stdout
            )
            for name in ("hf:acme/Tiny-GGUF/tiny.gguf", str(tiny))
        )  # fmt: skip

    same = ("weights", "cache", "compute", "n_ctx", "fits", "most_n_ctx")
    assert [away[name] for name in same] == [here[name] for name in same]
    assert not list((tmp_path / "hf").rglob("tiny.gguf"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "lectern: nonsense: there is no such model."),
        (["{tiny}", "-q", "q9"], "llama.cpp can't quantize it to Q9."),
    ],
)
def test_what_can_not_be_told_is_one_line(
    arguments: list[str], said: str, lectern: Lectern, tiny: Path
) -> None:
    answer = lectern("models", "fit", *(each.format(tiny=tiny) for each in arguments))

    assert (answer.returncode, answer.stdout) == (1, "")
    assert said in answer.stderr
    assert answer.stderr.count("\n") == 1
