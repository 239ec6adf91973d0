"""kill -9 of anything, at any moment, then the same again: as if nothing had happened.

`LECTERN_SOAK=1 pytest -m soak tests/crashes` kills each target 50 times (LECTERN_SOAK_KILLS: so
often) in summaries, and in translations the flow, the pool's worker and everything; `make test`
kills each once in summaries, and everything twice in translations and lectures.
What fails is told at the end, with the seed and the number of the run:
LECTERN_SOAK_SEED repeats the moments, LECTERN_SOAK_FROM begins with that run.
"""

from __future__ import annotations

import os
import random
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID

import polars as pl
import pytest
from support.crashing import SOURCES, World, lasting, start, wait_until, world
from support.cues import cues_of, srt
from support.killing import ROWS_BETWEEN, TARGETS, Moment, kill
from support.lecture_site import BLOCK, lecture_site
from support.media import write_media
from whisper_model.grammar import sentences
from whisper_model.speech import speak_sentences

from flows.keeping import MOST_ENDS
from flows.server import RunningServer
from flows.stopping import STOPPED

SOAK = bool(os.environ.get("LECTERN_SOAK"))
KILLS = int(os.environ.get("LECTERN_SOAK_KILLS") or (50 if SOAK else 1))
CAMPAIGNS = [*(("summarize", target, KILLS) for target in TARGETS),
             *(("translate", target, KILLS) for target in ("flow", "pool-worker") if SOAK),
             ("translate", "everything", max(KILLS, 2)),
             ("lecture", "everything", max(KILLS, 2))]  # fmt: skip
# Elsewhere the same moments every time, as near as a machine's pace allows.
SEED = int(os.environ.get("LECTERN_SOAK_SEED") or (random.randrange(10**6) if SOAK else 1))
FROM = int(os.environ.get("LECTERN_SOAK_FROM") or 0)
DELAY_S = 0.2  # of an answer: a run takes long enough to be met in all of its parts
IN_FLIGHT = 4  # requests with the pool at once: twice its sequences
MOST_OUTLIVED, MOST_ENDED = 4, 2  # kills that a run outlives; that end it, before it ends well

KEPT = {"prefect-worker", "prefect-server"}  # by `lectern up`; the pool hears nothing of it
OUTLIVED = {"pool-worker", "pool-front", *KEPT}  # by the run, so they may die more than once

pytestmark = [
    pytest.mark.slow,
    pytest.mark.soak,
    pytest.mark.timeout(480 + 240 * KILLS),
]


@dataclass(frozen=True)
class Undisturbed:
    """What a run comes to that nobody kills."""

    tables: dict[str, pl.DataFrame]
    files: dict[str, bytes]
    asked: int
    duration_s: float


@dataclass(frozen=True)
class Disturbed:
    """A run that is disturbed: how it is started, whether without a pool, and when it is met."""

    target: str
    how: str
    cold: bool
    moments: tuple[Moment, ...]

    @classmethod
    def any(
        cls, n: int, target: str, most: int, undisturbed: Undisturbed, *, asks_late: bool
    ) -> Disturbed:
        """Return the nth of the seed, with so many kills at most.

        Args:
            asks_late: most of the run is over before it asks.
        """
        rng = random.Random(f"{SEED}-{target}-{n}")
        how = rng.choice(["command", "deployment"])
        cold = rng.random() < 0.25
        most = min(most, MOST_OUTLIVED if target in OUTLIVED else MOST_ENDED)
        if asks_late:
            moments = Moment.by_time(rng, 1, undisturbed.duration_s)
        else:
            moments = Moment.some(rng, most, undisturbed.duration_s, undisturbed.asked)
        how = "deployment" if target == "prefect-worker" else how
        return cls(target, how, cold, moments)


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: RunningServer, tiny_model: Path
) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world"), prefect_server, tiny_model, DELAY_S) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def lecture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A lecture that takes a while to fetch, and captions of another."""
    samples, _ = speak_sentences(sentences(40, seed=8))
    folder = tmp_path_factory.mktemp("lecture")
    sound = write_media(folder / "talk.mp3", samples)
    captions = folder / "other.srt"
    captions.write_text(srt(cues_of(sentences(60, seed=9), 240)))
    with lecture_site() as site:
        data, form = sound.read_bytes(), "audio/mpeg"
        pause_s, headers = 2 * BLOCK / len(data), {"ETag": '"1"'}
        url = site.put("/talk.mp3", data, form, pause_s=pause_s, headers=headers)
        SOURCES["lecture"] = [url, str(captions)]
        yield


@pytest.fixture(scope="module")
def undisturbed(place: World) -> Callable[[str], Undisturbed]:
    """Return what a task comes to; it is found once."""

    @cache
    def of(task: str) -> Undisturbed:
        place.task = task
        place.forget()
        began = time.monotonic()
        assert start(place, "command").went_well(place)
        duration_s = time.monotonic() - began
        return Undisturbed(place.tables(), place.files(), len(place.answered), duration_s)

    return of


def test_a_translation_to_kill_in_has_a_glossary_and_all_rungs(
    undisturbed: Callable[[str], Undisturbed],
) -> None:
    """So that a kill may fall between any two of them."""
    made = undisturbed("translate")
    assert "布林赫斯特" in made.tables["glossary"]["rendering"].to_list()
    assert set(made.tables["generations"]["level"]) == {0, 1, 2, 3}
    assert set(made.tables["lines"]["status"]) == {"ok", "repaired", "kept"}
    names = [Path(path).name for path in made.files]
    assert (names.count("translation.md"), names.count("glossary.csv")) == (2, 1)


@pytest.mark.parametrize(("task", "target", "kills"), CAMPAIGNS)
def test_after_a_kill_the_same_again_ends_as_if_it_had_not_been(
    task: str, target: str, kills: int, place: World, undisturbed: Callable[[str], Undisturbed]
) -> None:
    """Tables and files equal an undisturbed run's; nothing finished is asked twice; nothing is left
    over."""
    expected = undisturbed(task)
    place.task = task
    failures: list[str] = []
    killed, n = 0, FROM
    while killed < kills:
        late = task == "lecture"
        each = Disturbed.any(n, target, kills - killed, expected, asks_late=late)
        label = f"LECTERN_SOAK_SEED={SEED} LECTERN_SOAK_FROM={n}: {task}, {each}"
        print(f"{time.strftime('%T')} {label}, {killed} kills before", flush=True)
        try:
            killed += _disturb(place, each, expected)
        except Exception:
            failures.append(f"{label}\n{traceback.format_exc()}")
            print(f"{time.strftime('%T')} FAILED {failures[-1]}", flush=True)
            killed += 1
            place.renew()
        n += 1
    assert not failures, "\n\n".join(failures)


def _disturb(place: World, each: Disturbed, undisturbed: Undisturbed) -> int:
    """Return how often somebody was killed; fail, if that can be told afterwards."""
    if place.restarts + len(each.moments) >= MOST_ENDS:  # `lectern up` gives up at so many
        place.up.stop()
        place.start_up()
    if each.cold:
        place.stop_pool()
    place.forget()
    kept, pieces = _run(place, each, undisturbed.asked)

    for path, written in pieces.items():
        assert place.pieces().get(path) == written, f"{path} was recognised again"
    asked_again = len(place.answered) - undisturbed.asked
    after = place.tables()
    for name, expected in undisturbed.tables.items():
        assert lasting(after[name]).equals(lasting(expected)), name
    files = place.files()
    assert files.keys() == undisturbed.files.keys()
    assert [name for name in files if files[name] != undisturbed.files[name]] == []
    for rows in kept:
        assert after["generations"].join(rows, on=["key", "attempt"], how="semi").equals(rows)
    assert 0 <= asked_again <= (0 if each.target in KEPT else IN_FLIGHT * len(kept))
    wait_until(lambda: not place.open_runs(), 120, every_s=0.5)
    wait_until(lambda: not place.left_over(), 30, every_s=0.2)
    assert place.temporary_files() == []
    assert place.held_locks() == []
    return len(kept)


def _run(place: World, each: Disturbed, rows: int) -> tuple[list[pl.DataFrame], dict[Path, int]]:
    """Run, kill, and give the same command again where it was killed, with all that it needs.

    Return what the ledger held after each kill, and which pieces of recordings there were after
    any. An undisturbed run comes to so many rows.
    """
    kept: list[pl.DataFrame] = []
    pieces: dict[Path, int] = {}
    run = start(place, each.how)
    for moment in each.moments:
        between = min(place.parts + ROWS_BETWEEN, rows) if kept else 0
        if not kill(moment.wait(place, run, TARGETS[each.target], between)):
            continue  # the run has ended before
        place.restarts += each.target in KEPT
        if each.target not in OUTLIVED and run.command is not None:
            run.command.communicate()
        if each.target == "everything":
            place.up.process.communicate()
            place.start_up()
        kept.append(place.tables()["generations"])
        pieces = place.pieces() | pieces  # of each, when it was written first
        if each.target not in OUTLIVED:
            run = start(place, each.how)
    assert run.went_well(place)
    return kept, pieces


@pytest.mark.parametrize("how", ["command", "deployment"])
def test_cancelling_in_the_ui_cancels_the_requests(
    how: str, place: World, undisturbed: Callable[[str], Undisturbed]
) -> None:
    """The run ends as cancelled, the pool has nothing left to do, and the same again goes on."""
    expected = undisturbed("summarize")
    place.task = "summarize"
    place.forget()
    run = start(place, how)
    wait_until(lambda: place.parts >= 2 or run.ended(place))
    cancelled = UUID(place.newest_run()["id"])
    place.cancel(cancelled)
    wait_until(lambda: run.ended(place))

    wait_until(lambda: place.state(cancelled).get("type") == "CANCELLED", every_s=0.5)
    if run.command is not None:
        assert STOPPED in run.command.communicate()[0]
        assert run.command.returncode == 130
    wait_until(lambda: not place.is_pool_busy())
    assert len(place.answered) < expected.asked
    kept = place.tables()["generations"]
    assert start(place, how).went_well(place)
    after = place.tables()
    assert after["generations"].join(kept, on=["key", "attempt"], how="semi").equals(kept)
    for name, rows in expected.tables.items():
        assert lasting(after[name]).equals(lasting(rows)), name


@pytest.mark.skipif(not os.environ.get("LECTERN_SOAK"), reason="takes two minutes: make soak")
def test_a_dead_run_is_marked_within_two_minutes(place: World) -> None:
    """By the automation of `lectern up` alone; one that ended with warnings is not."""
    warned = place.command("/nowhere/missing.pdf")
    warned.communicate()
    assert warned.returncode == 2
    ended = UUID(place.newest_run()["id"])
    place.forget()
    command = place.command()
    wait_until(lambda: place.parts >= 2 or command.poll() is not None)
    killed = UUID(place.newest_run()["id"])
    assert place.state(killed)["type"] == "RUNNING"
    command.kill()
    command.communicate()

    wait_until(lambda: place.state(killed).get("type") == "CRASHED", 120, 0.5)
    state = place.state(ended)
    assert (state["type"], state["name"]) == ("COMPLETED", "Completed with warnings")
