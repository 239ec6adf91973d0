"""The search for a tuning, on machines that are functions: no model, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from tasks.pool.search import Choices, Search
from tasks.pool.tuning import FIELDS, Rates, Tuning

Machine = Callable[[Tuning], Rates | None]
CHOICES = Choices(free=FIELDS, flash_attn="on", depth=1024, cores=4, threads=8)


def known(tuning: Tuning) -> Rates:
    """A CPU as measured: split and without flash attention is best, 16 sequences, many threads."""
    slow = (0.4 if tuning.kv_unified else 1.0) * (0.8 if tuning.flash_attn == "on" else 1.0)
    slow *= {1: 0.4, 2: 0.6, 3: 0.8, 0: 1.0, 4: 1.0, 8: 1.2}[tuning.n_threads_batch]
    n = tuning.n_seq_max
    return Rates(
        prefill=700 * slow * {128: 0.7, 256: 0.9, 512: 1.0, 1024: 1.1}[tuning.n_batch],
        decode=slow * min(n, 16) * 14 / (1 if n <= 16 else 1.1),
        alone=40 * {0: 1.0, 1: 0.5, 2: 1.1, 3: 1.3, 4: 1.0, 8: 0.7}[tuning.n_threads],
    )


def play(search: Search, machine: Machine, n: int = 1000) -> list[Tuning]:
    """Measure up to n times; return what was measured."""
    asked = []
    while search.wanted is not None and len(asked) < n:
        asked.append(search.wanted)
        search.note(machine(search.wanted))
    return asked


def test_the_best_of_each_setting_is_found() -> None:
    search = Search(Tuning(), CHOICES)
    asked = play(search, known)

    assert search.best == Tuning(n_seq_max=16, n_batch=1024, n_threads=3, n_threads_batch=8)
    assert search.left == []
    assert len(asked) < 40  # of two or three seconds


def test_a_machine_where_the_other_layout_wins_gets_it() -> None:
    """As on a GPU: unified, flash attention, as many sequences as there are."""

    def gpu(tuning: Tuning) -> Rates:
        fast = (3.0 if tuning.kv_unified else 1.0) * (1.5 if tuning.flash_attn == "on" else 1.0)
        return Rates(5000 * fast, 50 * fast * tuning.n_seq_max, 50)

    search = Search(Tuning(), CHOICES)
    play(search, gpu)

    assert search.best == Tuning(kv_unified=True, flash_attn="on", n_seq_max=32)


def test_threads_for_single_tokens_leave_those_for_batches_alone() -> None:
    """Where the latter are not set they would follow: one thread may be best for a token alone,
    on a machine whose second one doubles all else."""

    def two_cores(tuning: Tuning) -> Rates:
        batch = tuning.n_threads_batch or tuning.n_threads or 2
        single = tuning.n_threads or batch
        return Rates(prefill=100 * batch, decode=10 * batch, alone=20 / single)

    search = Search(Tuning(), replace(CHOICES, cores=2, threads=2))
    play(search, two_cores)

    assert (search.best.n_threads, search.best.n_threads_batch) == (1, 2)


def test_what_is_faster_for_a_token_alone_may_not_cost_chunks() -> None:
    """Threads that come and go between steps can slow all of them down."""

    def jealous(tuning: Tuning) -> Rates:
        fast = 1.0 if tuning.n_threads in (0, 4) else 0.8
        return Rates(prefill=700 * fast, decode=100 * fast, alone=40 / fast)

    search = Search(Tuning(), CHOICES)
    play(search, jealous)

    assert search.best.n_threads == 0


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_changes_almost_nothing(seed: int) -> None:
    """All settings are the same, and measurements differ by half: of the twenty or so that are
    tried, what seems better once is seldom better each time; and then it costs nothing."""
    rng = random.Random(seed)

    def noisy(_tuning: Tuning) -> Rates:
        return Rates(*(rate * rng.uniform(0.7, 1.3) for rate in (700, 100, 20)))

    search = Search(Tuning(), CHOICES)
    play(search, noisy)

    changed = sum(getattr(search.best, name) != getattr(Tuning(), name) for name in FIELDS)
    assert changed <= 2


def test_a_burst_of_other_work_is_not_taken_for_a_setting() -> None:
    """The machine is slow while the first two baselines are measured, and fast ever after."""
    measured = 0

    def disturbed(_tuning: Tuning) -> Rates:
        nonlocal measured
        measured += 1
        return Rates(700, 100, 20) if measured > 2 else Rates(350, 50, 10)

    search = Search(Tuning(), CHOICES)
    play(search, disturbed)

    assert search.best == Tuning()


def test_what_does_not_fit_is_left_out() -> None:
    def small(tuning: Tuning) -> Rates | None:
        return None if tuning.n_seq_max > 8 or tuning.kv_unified else known(tuning)

    search = Search(Tuning(), CHOICES)
    play(search, small)

    assert (search.best.n_seq_max, search.best.kv_unified) == (8, False)
    assert search.left == []


def test_a_search_that_is_broken_off_has_the_best_so_far_and_says_what_is_left() -> None:
    search = Search(Tuning(), CHOICES)
    play(search, known, n=14)  # two baselines, three layouts, five for 16 sequences, three more
    assert search.best.n_seq_max == 16
    assert search.left == ["n_batch", "n_threads_batch", "n_threads"]


@pytest.mark.parametrize("name", FIELDS)
def test_what_the_user_has_set_stays(name: str) -> None:
    start = replace(
        Tuning(), n_seq_max=4, n_batch=256, n_threads=2, n_threads_batch=2, flash_attn="off"
    )
    search = Search(start, replace(CHOICES, free=[each for each in FIELDS if each != name]))
    asked = play(search, known)

    assert {getattr(each, name) for each in asked} == {getattr(start, name)}


def test_a_batch_that_no_prompt_fills_is_not_tried() -> None:
    search = Search(Tuning(n_batch=128), replace(CHOICES, depth=256))
    asked = play(search, known)

    assert {each.n_batch for each in asked} == {128, 256}


def test_nothing_is_changed_where_all_is_set() -> None:
    search = Search(Tuning(), replace(CHOICES, free=()))

    assert len(play(search, known)) == 2
    assert search.best == Tuning()
