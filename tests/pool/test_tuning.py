"""What is known of a model's best settings: from the user, from measurements, or by default."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tasks.errors import StorageError
from tasks.models.spec import ModelSpec
from tasks.pool.tuning import (
    FIELDS,
    Rates,
    Tuning,
    free_fields,
    keep,
    kept,
    missing,
    tuning_for,
    worker_config,
)
from tasks.settings import Settings

MEASURED = Tuning(
    n_seq_max=16, n_batch=256, n_threads=2, n_threads_batch=4, kv_unified=True, flash_attn="on"
)
ONE, OTHER = "1" * 64, "2" * 64


def test_defaults_are_safe_until_something_is_measured(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)

    assert tuning_for(settings, ONE) == Tuning(n_seq_max=8, n_batch=512)
    assert missing(settings, ONE) == sorted(FIELDS)


def test_what_was_measured_is_kept_for_that_model_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    path = keep(settings, ONE, asdict(MEASURED))

    assert tuning_for(settings, ONE) == MEASURED
    assert missing(settings, ONE) == []
    assert tuning_for(settings, OTHER) == Tuning()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "changed", [{"pool_n_ctx": 8192}, {"pool_n_gpu_layers": 0}, {"pool_tensor_split": (3.0, 1.0)}]
)
def test_what_was_measured_holds_for_contexts_of_that_kind(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    """Longer contexts need more memory: as many sequences may not fit."""
    keep(Settings(home=tmp_path), ONE, asdict(MEASURED))

    assert tuning_for(Settings(home=tmp_path, **changed), ONE) == Tuning()


@pytest.mark.parametrize(
    ("set_by_user", "expected"),
    [
        ({"pool_n_seq_max": 2}, {"n_seq_max": 2}),
        ({"pool_n_batch": 64}, {"n_batch": 64}),
        ({"pool_n_threads": 1}, {"n_threads": 1, "n_threads_batch": 1}),
        ({"pool_n_threads_batch": 3}, {"n_threads_batch": 3}),
        ({"pool_kv_cache": "split"}, {"kv_unified": False}),
        ({"pool_flash_attn": "off"}, {"flash_attn": "off"}),
    ],
)
def test_the_user_wins(
    tmp_path: Path, set_by_user: dict[str, object], expected: dict[str, object]
) -> None:
    """Over what was measured; and what is set is not measured."""
    keep(Settings(home=tmp_path), ONE, asdict(MEASURED))
    settings = Settings.model_validate({"home": tmp_path, **set_by_user})

    assert tuning_for(settings, ONE) == replace(MEASURED, **expected)  # type: ignore[arg-type]
    assert free_fields(settings) == [name for name in FIELDS if name not in expected]


def test_what_is_measured_later_comes_beside_what_is_kept(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    keep(settings, ONE, {"n_seq_max": 4, "n_batch": 128})
    keep(settings, ONE, {"n_batch": 256})

    assert kept(settings, ONE) == {"n_seq_max": 4, "n_batch": 256}
    assert missing(settings, ONE) == sorted(set(FIELDS) - {"n_seq_max", "n_batch"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"tuning": 3}',
        '{"tuning": {"n_seq_max": 0}}',
        '{"tuning": {"n_seq_max": "8"}}',
        '{"tuning": {"n_seq_max": 1e9}}',
        '{"tuning": {"flash_attn": "maybe"}}',
        "\udcff",
    ],
)
def test_a_damaged_file_counts_as_none_and_is_replaced(tmp_path: Path, text: str) -> None:
    settings = Settings(home=tmp_path)
    path = keep(settings, ONE, asdict(MEASURED))
    path.write_bytes(text.encode(errors="surrogateescape"))

    assert tuning_for(settings, ONE) == Tuning()
    keep(settings, ONE, {"n_seq_max": 4})
    assert json.loads(path.read_text())["tuning"] == {"n_seq_max": 4}


def test_fields_of_another_version_are_passed_over(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    path = keep(settings, ONE, {"n_seq_max": 4})
    path.write_text(path.read_text().replace('"n_seq_max"', '"unheard_of": 1, "n_seq_max"'))

    assert kept(settings, ONE) == {"n_seq_max": 4}


def test_a_home_that_can_not_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "tuning").write_text("a file, where a folder should be")

    with pytest.raises(StorageError, match="tuning"):
        keep(Settings(home=tmp_path), ONE, asdict(MEASURED))


def test_a_chunks_time_is_that_of_its_prompt_and_of_its_answer() -> None:
    assert Rates(prefill=1500, decode=200, alone=1).chunks_per_hour == 1800


def test_the_workers_config_follows_settings_model_and_tuning(tmp_path: Path) -> None:
    """No longer context than the model was trained for; fewer sequences only if none were set."""
    used = {"lora": (), "rope_scaling": "auto", "rope_factor": 1.0}
    spec = cast(ModelSpec, SimpleNamespace(path=Path("/m.gguf"), n_ctx_max=2048, **used))
    free = worker_config(Settings(home=tmp_path), spec, MEASURED, "/draft.gguf")
    plain = Settings(home=tmp_path, pool_n_seq_max=4, pool_speculation="off", pool_n_ctx=512)
    fixed = worker_config(plain, spec, MEASURED, "/draft.gguf")

    assert (free.n_ctx, free.adapts, free.draft_path) == (2048, True, "/draft.gguf")
    assert free.n_draft > 0
    assert {name: getattr(free, name) for name in FIELDS} == asdict(MEASURED)
    assert (fixed.n_ctx, fixed.adapts, fixed.draft_path, fixed.n_draft) == (512, False, "", 0)
