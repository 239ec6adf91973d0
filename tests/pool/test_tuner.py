"""Measuring with a real llama.cpp and a tiny model: what is told, what interrupts it, what stays.

Which tuning wins is the machine's matter and not looked at.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import product

import pytest
from support.tiny_model import write_tiny_model

from tasks.errors import ModelError
from tasks.pool import fit
from tasks.pool import tuner as tuner_module
from tasks.pool.alarm import Alarm, RungError
from tasks.pool.loading import Model, load_model, need_of
from tasks.pool.measuring import depth_for, measure
from tasks.pool.model_runner import DecodeError, ModelRunner
from tasks.pool.protocol import Measured, Tune, WorkerConfig
from tasks.pool.sequences import Move, Piece, Sequence
from tasks.pool.tuner import Tuner
from tasks.pool.tuning import FIELDS, Tuning

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> WorkerConfig:
    path = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")
    return WorkerConfig(model_path=str(path), n_ctx=512, n_threads=1, adapts=True)


@pytest.fixture(scope="module")
def model(config: WorkerConfig) -> Iterator[Model]:
    model = load_model(config)
    yield model
    model.close()


@pytest.mark.parametrize(("kv_unified", "n_seq_max"), list(product((False, True), (1, 3))))
def test_every_layout_can_be_measured(
    model: Model, config: WorkerConfig, kv_unified: bool, n_seq_max: int
) -> None:
    tuning = Tuning(n_seq_max=n_seq_max, n_batch=32, n_threads=1, kv_unified=kv_unified)
    rates = measure(model, config, tuning, 128, Alarm())

    assert all(rate > 0 for rate in asdict(rates).values())


@pytest.mark.parametrize("kv_unified", [False, True])
def test_sequences_that_are_filled_without_computing_hold_the_same(
    model: Model, config: WorkerConfig, kv_unified: bool
) -> None:
    """Their next token's logits are those of the first, and dropping the first changes nothing."""
    layout = replace(config, n_seq_max=3, kv_unified=kv_unified, flash_attn="off")
    runner = ModelRunner(model, layout)
    sequences = [Sequence(n, list(b"A prompt of some length."), 1) for n in range(3)]
    prompt = sequences[0].prompt
    runner.decode([Piece(sequences[0], 0, 0, list(prompt), True)])
    runner.fill_like_first([1, 2])

    def next_logits(n: int) -> list[float]:
        rows = runner.decode([Piece(sequences[n], n, len(prompt), [65], True)])
        return [float(logit) for logit in runner.logits(rows[n])]

    first = next_logits(0)
    runner.move(Move(0, None, 0))
    assert next_logits(1) == pytest.approx(first, abs=1e-4)
    assert next_logits(2) == pytest.approx(first, abs=1e-4)
    runner.close()


def test_a_prompt_is_as_deep_as_the_machine_is_fast(model: Model, config: WorkerConfig) -> None:
    """In steps of 128, and never deeper than a chunk, or than a sequence has room."""
    long = replace(config, n_ctx=4096)

    assert [depth_for(rate, model, long) for rate in (5, 300, 100_000)] == [128, 512, 1024]
    assert depth_for(100_000, model, config) < 512


def test_a_rung_alarm_ends_a_decode_from_another_thread(model: Model, config: WorkerConfig) -> None:
    alarm = Alarm()
    runner = ModelRunner(model, config)
    runner.end_at(alarm)
    piece = Piece(Sequence(0, [65], 1), 0, 0, [65], True)
    runner.decode([piece])
    runner.move(Move(0, None, 0))
    ringing = threading.Thread(target=alarm.ring)
    ringing.start()
    ringing.join()

    with pytest.raises(DecodeError, match="returned 2"):
        runner.decode([piece])
    alarm.silence()
    runner.move(Move(0, None, 0))
    runner.decode([piece])
    runner.close()


class Heard:
    """Hears what a Tuner says, and rings at the n-th measurement."""

    def __init__(self, alarm: Alarm, ring_at: int = -1) -> None:
        self.measured: list[Measured] = []
        self._alarm, self.ring_at = alarm, ring_at

    def __call__(self, event: Measured) -> None:
        self.measured.append(event)
        if len(self.measured) == self.ring_at:
            self._alarm.ring()


def test_a_search_begins_with_the_tuning_that_serves(model: Model, config: WorkerConfig) -> None:
    """It comes to an end, and the best is one of those that were measured."""
    alarm = Alarm()
    heard = Heard(alarm)
    tuned = Tuner(model, config, Tune(budget_s=60, free=list(FIELDS)), alarm, heard).run()

    seen = [each.tuning for each in heard.measured]
    assert seen[0] == {name: getattr(config, name) for name in FIELDS}
    assert tuned.tuning in seen
    assert set(tuned.left) <= set(FIELDS)


def test_without_time_all_is_left(model: Model, config: WorkerConfig) -> None:
    tuner = Tuner(model, config, Tune(budget_s=0, free=["n_batch"]), Alarm(), lambda _: None)
    tuned = tuner.run()

    assert tuned.tuning["n_batch"] == config.n_batch
    assert tuned.left == ["n_batch"]


def test_an_interrupted_search_goes_on_where_it_was(model: Model, config: WorkerConfig) -> None:
    """What was measured before is not measured again."""
    alarm = Alarm()
    heard = Heard(alarm, ring_at=2)
    tuner = Tuner(model, config, Tune(budget_s=60, free=["n_threads"]), alarm, heard)
    with pytest.raises(RungError):
        tuner.run()
    assert len(heard.measured) == 2
    alarm.silence()
    tuned = tuner.run()

    whole = Heard(Alarm())
    Tuner(model, config, Tune(budget_s=60, free=["n_threads"]), Alarm(), whole).run()
    assert tuned.left == []
    assert abs(len(heard.measured) - len(whole.measured)) <= 8  # a candidate's turns, more or less


def test_what_has_no_room_is_not_measured(
    model: Model, config: WorkerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is memory for 24 sequences beside those that serve, and not for 32."""
    monkeypatch.setattr(tuner_module, "free_memory", lambda: 16 << 20)
    plain = replace(config, flash_attn="off")  # flash attention would do with less
    alarm = Alarm()
    heard = Heard(alarm)
    tuned = Tuner(model, plain, Tune(budget_s=60, free=["n_seq_max"]), alarm, heard).run()

    assert tuned.left == []
    assert max(each.tuning["n_seq_max"] for each in heard.measured) < 32


def test_fewer_sequences_are_made_where_memory_is_short_and_they_may_be(
    config: WorkerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the user has set are refused instead, with what would fit."""
    wanted = replace(config, n_seq_max=8)
    need = need_of(wanted)
    monkeypatch.setattr(fit, "free_memory", lambda held: need.total - need.cache // 2)

    model = load_model(wanted)
    model.close()
    assert model.config.n_seq_max == 4
    with pytest.raises(ModelError, match="LECTERN_POOL_N_SEQ_MAX=4"):
        load_model(replace(wanted, adapts=False))
