"""Scaled positions: how long a context becomes, and that llama.cpp computes it as it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.engines import make_runner, request, run
from support.tiny_model import write_tiny_model

from tasks.generate.budget import Budget
from tasks.models.rope import Rope, n_ctx_max, parameters
from tasks.models.spec import load_spec
from tasks.pool.engine import Engine
from tasks.pool.protocol import Done
from tasks.records import RopeScaling
from tasks.settings import Settings

LLAMA_2 = Rope(architecture="llama", n_ctx_train=4096)
# As Chinese-Alpaca-2-16K (linear) and -64K (YaRN) are converted: their config.json have
# max_position_embeddings 4096, rope_scaling {linear, 4}, and {yarn, 16, original 4096}.
LLAMA_2_16K = Rope(architecture="llama", n_ctx_train=4096, scaling="linear", factor=4)
LLAMA_2_64K = Rope(
    architecture="llama", n_ctx_train=65536, n_ctx_orig=4096, scaling="yarn", factor=16
)
GEMMA_3 = Rope(architecture="gemma3", n_ctx_train=131072, scaling="linear", factor=8)
PROMPT = "The quick brown fox jumps over the lazy dog. " * 5


@pytest.mark.parametrize(
    ("rope", "scaling", "factor", "expected"),
    [
        (LLAMA_2, "auto", 1, 4096),
        (LLAMA_2_16K, "auto", 1, 16384),
        (LLAMA_2_64K, "auto", 1, 65536),
        (GEMMA_3, "auto", 1, 131072),
        (LLAMA_2, "linear", 4, 16384),
        (LLAMA_2, "ntk", 4, 16384),
        (LLAMA_2, "yarn", 16, 65536),
        (LLAMA_2, "auto", 2, 8192),
        (LLAMA_2_64K, "none", 1, 4096),
        (Rope(architecture="qwen2", n_ctx_train=32768), "yarn", 4, 131072),
        (Rope(architecture="rwkv7", n_ctx_train=0), "auto", 1, 0),
    ],
)
def test_context_is_what_its_scaling_reaches(
    rope: Rope, scaling: RopeScaling, factor: float, expected: int
) -> None:
    assert n_ctx_max(rope, scaling, factor) == expected


def test_ntk_raises_the_base() -> None:
    """By the factor to the power of d / (d - 2), of a head's d rotated dimensions."""
    told = parameters(LLAMA_2, "ntk", 8, freq_base=10000.0, n_dims=128)

    assert told.freq_base == pytest.approx(10000 * 8 ** (128 / 126))
    assert told.freq_scale == 0


@pytest.mark.parametrize(
    ("header", "config"),
    [
        (
            {"scaling.type": "linear", "scaling.factor": 4.0},
            {"rope_scaling": "linear", "rope_factor": 4.0},
        ),
        (
            {
                "scaling.type": "yarn",
                "scaling.factor": 4.0,
                "scaling.original_context_length": 128,
            },
            {"rope_scaling": "yarn", "rope_factor": 4.0},
        ),
        ({"freq_base": 10000 * 4 ** (16 / 14)}, {"rope_scaling": "ntk", "rope_factor": 4.0}),
    ],
    ids=["linear", "yarn", "ntk"],
)
def test_settings_scale_as_the_files_own_header_would(
    header: dict[str, str | float], config: dict[str, Any], tmp_path: Path
) -> None:
    """The same answer, to the last log-probability, and another than without scaling."""
    own = write_tiny_model(tmp_path / "own.gguf", n_ctx_train=128, rope=header)
    plain = write_tiny_model(tmp_path / "plain.gguf", n_ctx_train=128)

    by_file, by_setting, unscaled = (
        run(Engine(make_runner(path, 1, n_ctx=128, **options)), request(PROMPT[:90], logprobs=0))[0]
        for path, options in ((own, {}), (plain, config), (plain, {}))
    )

    assert _logprobs(by_file) == pytest.approx(_logprobs(by_setting), abs=1e-4)
    assert _logprobs(by_file) != pytest.approx(_logprobs(unscaled), abs=1e-2)


def _logprobs(answer: Done) -> list[float]:
    return [token["logprob"] for token in answer.logprobs]


def test_a_longer_context_takes_longer_prompts(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "short.gguf", n_ctx_train=128)
    long = make_runner(model, 1, n_ctx=512, rope_scaling="yarn", rope_factor=4.0)

    (answer,) = run(Engine(long), request(PROMPT, max_tokens=200))

    assert make_runner(model, 1, n_ctx=512).n_ctx == 128
    assert long.n_ctx == 512
    assert answer.completion_tokens == 200


@pytest.mark.parametrize(
    ("rope", "settings", "expected"),
    [
        ({"scaling.type": "linear", "scaling.factor": 4.0}, {}, 16384),
        (
            {
                "scaling.type": "yarn",
                "scaling.factor": 16.0,
                "scaling.original_context_length": 4096,
            },
            {},
            65536,
        ),
        ({}, {"pool_rope_factor": 4}, 16384),
        ({}, {"pool_rope_scaling": "ntk", "pool_rope_factor": 16}, 65536),
        ({}, {}, 4096),
    ],
    ids=["16K linear", "64K YaRN", "16K by setting", "64K by NTK", "unscaled"],
)
def test_chunks_grow_with_the_context(
    rope: dict[str, str | float], settings: dict[str, Any], expected: int, tmp_path: Path
) -> None:
    """As far as the user lets prompts grow; the window's last part is the answer's."""
    model = write_tiny_model(tmp_path / "model.gguf", n_ctx_train=4096, rope=rope)
    config = Settings(
        home=tmp_path / "home", pool_n_ctx=1 << 17, max_prompt_tokens=1 << 17, **settings
    )

    spec = load_spec(str(model), config)
    budget = Budget.of(spec, config)

    assert (spec.n_ctx_max, budget.n_ctx) == (expected, expected)
    assert budget.max_prompt_tokens == expected - 1024


def test_another_scaling_makes_other_answers_keys(tmp_path: Path) -> None:
    model = str(write_tiny_model(tmp_path / "model.gguf"))
    scaled = Settings(home=tmp_path / "home", pool_rope_scaling="linear", pool_rope_factor=2)

    assert (
        load_spec(model, scaled).answers_by
        != load_spec(model, Settings(home=tmp_path / "home")).answers_by
    )
