"""Which GPUs each worker of a model has, and which part of the processors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tasks.pool import sharing
from tasks.pool.fit import Need
from tasks.pool.gpus import Gpu, Part
from tasks.pool.protocol import WorkerConfig
from tasks.pool.sharing import Share, share

GIB = 2**30
Gpus = Callable[[Sequence[int]], None]


def config(**values: object) -> WorkerConfig:
    return WorkerConfig(model_path="m.gguf", n_ctx=4096, **values)  # type: ignore[arg-type]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Gpus:
    """Let the machine have GPUs with so many GiB free, for a model of 10 GiB, most of it there."""

    def have(free: Sequence[int]) -> None:
        found = [Gpu(i, f"CUDA{i}", each * GIB, 80 * GIB) for i, each in enumerate(free)]
        monkeypatch.setattr(sharing, "gpus", lambda: found)
        there = tuple(Part(each, weights=8 * GIB) for each in found[:1])
        monkeypatch.setattr(sharing, "need_of", lambda _: Need(GIB // 2, GIB, GIB // 2, there))

    return have


@pytest.mark.parametrize(
    ("free", "n_workers", "own", "others"),
    [
        ((24, 24, 24), 0, (0,), [(1,), (2,)]),  # one on each
        ((24, 4, 24), 0, (0,), [(2,)]),  # but for those on which it does not fit
        ((6, 6), 0, None, []),  # over both
        ((24, 24, 24), 1, None, []),
        ((24, 24), 3, (0,), [(1,), (0,)]),
    ],
)
def test_each_worker_has_gpus_of_its_own(
    gpus: Gpus,
    free: Sequence[int],
    n_workers: int,
    own: Sequence[int] | None,
    others: Sequence[Sequence[int]],
) -> None:
    gpus(free)
    wanted = config(n_workers=n_workers)

    assert share(wanted) == Share(config(n_workers=n_workers, gpus=own), others)
    assert share(wanted).config.gpus == own


def test_a_worker_that_was_told_its_gpus_wants_no_others(gpus: Gpus) -> None:
    gpus((24, 24))
    told = config(n_workers=0, gpus=(1,))

    assert share(told) == Share(told, [])
    assert share(told).config.gpus == (1,)


def test_shares_that_the_user_sets_are_for_one_worker_over_all(gpus: Gpus) -> None:
    gpus((24, 24))

    assert share(config(n_workers=0, tensor_split=(3, 1))).siblings == []


@pytest.mark.parametrize(("n_workers", "threads", "n_siblings"), [(0, 0, 0), (1, 0, 0), (2, 4, 1)])
def test_workers_on_processors_share_the_cores(
    gpus: Gpus,
    monkeypatch: pytest.MonkeyPatch,
    n_workers: int,
    threads: int,
    n_siblings: int,
) -> None:
    """Zero: all of them. What the user has set stands."""
    gpus(())
    monkeypatch.setattr(sharing, "physical_cores", lambda: 8)
    found = share(config(n_workers=n_workers))

    assert (found.config.n_threads_batch, found.config.n_threads) == (threads, 0)
    assert found.siblings == [None] * n_siblings
    assert share(config(n_workers=n_workers, n_threads=3)).config.n_threads_batch == 0


def test_more_workers_than_cores_have_one_thread_each(
    gpus: Gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(())
    monkeypatch.setattr(sharing, "physical_cores", lambda: 2)

    assert share(config(n_workers=3)).config.n_threads_batch == 1


def test_a_model_that_stays_off_the_gpus_is_shared_as_if_there_were_none(gpus: Gpus) -> None:
    gpus((24, 24))

    assert share(config(n_gpu_layers=0, n_workers=0)).siblings == []
