"""The pool's benchmark counts right: its requests, its statistics, its goals, what it keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from benchmarks.pool import figures, report
from benchmarks.pool.campaign import Plan
from benchmarks.pool.chart import Bar, Group, draw
from benchmarks.pool.figures import Figure, Goal, measure_goals, times
from benchmarks.pool.peers.measured import PeerError, check
from benchmarks.pool.peers.pool import ESTIMATED, OUTSIDE, RESIDENT
from benchmarks.pool.places import Places
from benchmarks.pool.scenarios import FULL, LIMIT, N_CTX, POOL, QUICK, SERVER
from benchmarks.pool.sets import SETS
from benchmarks.pool.shapes import HALF_B
from benchmarks.pool.stats import ratio, spread
from benchmarks.pool.store import Round, Sample, Store
from benchmarks.pool.tuned import pool_settings
from benchmarks.pool.work import SUMMARISE, TRANSLATE, Kind, Request, Work

from tasks.pool.worker_process import worker_environment

VOCABULARY = HALF_B.vocabulary
BATCH = Work((SUMMARISE, TRANSLATE), 6)


def _sample(seconds: float, **seen: float) -> Sample:
    return Sample(seconds, seen, others=0.0, stolen=0.0, load=0.0)


def _rounds(seconds: dict[str, Sequence[float]]) -> list[Round]:
    """Return rounds in which each peer took these seconds."""
    return [
        Round("key", number, {peer: _sample(s) for peer, s in zip(seconds, each, strict=True)})
        for number, each in enumerate(zip(*seconds.values(), strict=True))
    ]


def _figure(goal: float, bound: figures.Bound, *values: float) -> Figure:
    return Figure(Goal("name", "scenario", bound, goal, lambda _: None), spread(values))


def test_a_batch_has_the_lengths_of_its_kinds_in_turn() -> None:
    lengths = [(len(r.prompt), r.max_tokens) for r in BATCH.requests("seed", VOCABULARY)]

    assert lengths == [(520, 64), (500, 350)] * 3


def test_prompts_of_a_kind_share_their_beginning_and_nothing_else() -> None:
    one, other = Work((SUMMARISE,), 2).requests("seed", VOCABULARY)

    assert one.prompt[:120] == other.prompt[:120]
    assert one.prompt[120] != other.prompt[120]


def test_a_seed_gives_the_same_batch_again_and_another_one_another() -> None:
    batch = BATCH.requests("seed", VOCABULARY)

    assert batch == BATCH.requests("seed", VOCABULARY)
    assert batch[0].prompt[0] != BATCH.requests("another", VOCABULARY)[0].prompt[0]


def _ahead(kind: Kind) -> tuple[list[int], list[int]]:
    """Return a request's prompt without its last token, and the tokens of its answer."""
    (request,) = Work((kind,), 1).requests("seed", VOCABULARY)
    last = request.prompt[-1]
    return request.prompt[:-1], [last + n for n in range(1, kind.out + 1)]


def _common(prompt: list[int], answer: list[int], n: int) -> int:
    """Return how many of the answer's runs of n tokens stand in the prompt."""
    there = {tuple(prompt[at : at + n]) for at in range(len(prompt))}
    return sum(tuple(answer[at : at + n]) in there for at in range(len(answer) - n + 1))


def test_an_answer_is_copied_where_everything_is_ahead() -> None:
    prompt, answer = _ahead(Kind(shared=10, own=60, out=50, ahead="everything"))

    assert _common(prompt, answer, len(answer)) == 1


def test_an_answer_is_new_where_nothing_is_ahead() -> None:
    prompt, answer = _ahead(Kind(shared=10, own=60, out=50))

    assert _common(prompt, answer, 2) == 0


def test_a_misleading_prompt_has_pieces_of_the_answer_that_go_on_otherwise() -> None:
    prompt, answer = _ahead(Kind(shared=10, own=60, out=50, ahead="misleading"))

    assert _common(prompt, answer, 3) > 10
    assert _common(prompt, answer, 4) == 0


@pytest.mark.parametrize("scenario", [s for s in FULL if "copy" in s.name], ids=lambda s: s.name)
def test_copied_answers_stand_in_their_prompts_whole(scenario: figures.Any) -> None:
    (kind,) = scenario.work.kinds

    assert _common(*_ahead(kind), kind.out) == 1


@pytest.mark.parametrize("text", [" w6 w7", " w6 w7 w8 w9", " w6 w8 w7", ""])
def test_a_wrong_or_incomplete_answer_does_not_count(text: str) -> None:
    request = Request(prompt=[3, 5], max_tokens=3)
    check("peer", request, " w6 w7 w8")

    with pytest.raises(PeerError, match="peer answered"):
        check("peer", request, text)


def test_a_spread_has_the_middle_the_quarters_and_the_ends() -> None:
    s = spread([5.0, 1.0, 2.0, 4.0, 3.0])

    assert (s.low, s.q1, s.median, s.q3, s.high, s.n) == (1, 2, 3, 4, 5, 5)


def test_one_round_is_all_of_its_spread() -> None:
    s = spread([7.0])

    assert (s.low, s.q1, s.median, s.q3, s.high, s.n) == (7, 7, 7, 7, 7, 1)


def test_a_ratio_is_that_of_the_medians_and_its_spread_is_within_rounds() -> None:
    """A round in which the machine was twice as slow moves both, and not their ratio."""
    s = ratio([3.0, 6.0, 3.3], [2.0, 4.0, 2.2])

    assert s.median == pytest.approx(3.3 / 2.2)
    assert (s.low, s.high) == (pytest.approx(1.5), pytest.approx(1.5))


def test_times_as_fast_is_the_others_time_over_ones_own() -> None:
    read = times(POOL, SERVER)
    found = read(_rounds({POOL: [10.0, 10.0], SERVER: [15.0, 13.0]}))

    assert found is not None
    assert (found.low, found.median, found.high) == (1.3, 1.4, 1.5)


@pytest.mark.parametrize(
    ("bound", "goal", "values", "met", "clear"),
    [
        ("at least", 1.05, (1.06, 1.10, 1.20), True, True),
        ("at least", 1.05, (1.01, 1.10, 1.20), True, False),
        ("at least", 1.05, (1.00, 1.04, 1.20), False, False),
        ("at least", 1.05, (1.00, 1.01, 1.02), False, True),
        ("at least", 1.05, (1.05,), True, True),
        ("at most", 0.03, (0.01, 0.02, 0.03), True, True),
        ("at most", 0.03, (0.01, 0.02, 0.04), True, False),
        ("at most", 0.03, (0.04, 0.05, 0.06), False, True),
    ],
)
def test_a_goal_is_met_by_the_median_and_clearly_by_all_rounds(
    bound: figures.Bound, goal: float, values: Sequence[float], met: bool, clear: bool
) -> None:
    figure = _figure(goal, bound, *values)

    assert (figure.met, figure.is_clear) == (met, clear)


def test_what_was_not_measured_is_named_and_has_no_figure() -> None:
    """Neither without rounds, nor where a pool does not tell what a goal asks for."""
    quick = SETS["quick"]
    seconds = {peer: [10.0] for peer in QUICK[0].peers}

    found, without = measure_goals({"quick": _rounds(seconds)}, quick.goals)

    assert len(found) == 4
    assert {goal.needs.split(" ")[0] for goal in without} == {
        "lectern_worker_busy_seconds_total",
        "lectern_worker_memory_estimate_bytes",
    }
    assert measure_goals({}, quick.goals) == ([], list(quick.goals))


def test_memory_is_judged_in_both_directions() -> None:
    def off(resident: float) -> float:
        sample = Sample(1.0, {RESIDENT: resident, ESTIMATED: 100.0, OUTSIDE: 0.0}, 0, 0, 0)
        found = figures.off_estimate([Round("key", 0, {POOL: sample})])
        assert found is not None
        return found.median

    assert off(110) == pytest.approx(0.1)
    assert off(85) == pytest.approx(0.15)


def test_every_goal_reads_a_scenario_that_has_its_peers() -> None:
    for each in SETS.values():
        results = {s.name: _rounds({peer: [1.0] for peer in s.peers}) for s in each.scenarios}
        measured, without = measure_goals(results, each.goals)

        assert {goal.scenario for goal in each.goals} <= set(results)
        assert all(figure.value.median == 1 for figure in measured)
        assert all(goal.needs or goal.scenario == "clients" for goal in without)


def _report() -> report.Report:
    seconds = {peer: [10.0 + n, 11.0 + n, 12.0 + n] for n, peer in enumerate(QUICK[0].peers)}
    goals = SETS["quick"].goals
    return report.Report({QUICK[0]: _rounds(seconds)}, goals, {"CPU": "a good one"})


def test_the_report_is_a_list_of_figures_a_table_and_a_chart(tmp_path: Path) -> None:
    _report().write(tmp_path)

    written = json.loads((tmp_path / "pool.json").read_text())
    table = (tmp_path / "pool.md").read_text()
    assert [each["name"] for each in written] == [f.goal.name for f in _report().figures]
    assert all(set(each) >= {"name", "value", "goal", "met", "spread"} for each in written)
    assert [each["met"] for each in written] == [False, False, True, True]
    assert "a good one" in table
    assert "| llama-server | 12.00 | 11.00 to 13.00 | 11.50 to 12.50 | 779 | 1.09 |" in table
    assert Xml.parse(tmp_path / "pool.svg").getroot().get("role") == "img"


def test_a_bar_is_as_long_as_its_share() -> None:
    bars = [Bar("one", spread([0.8]), True), Bar("other", spread([0.4]), False)]

    svg = Xml.fromstring(draw("title", "axis", [Group("group", bars)]))

    one, other = (float(rect.get("width", "0")) for rect in svg.iter() if "rect" in rect.tag)
    assert one == pytest.approx(2 * other, abs=0.2)


def test_rounds_are_kept_under_what_they_depend_on(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "rounds.jsonl")
    for number in (2, 0):
        store.add(Round("this", number, {POOL: _sample(1.5, share=0.5), LIMIT: _sample(1.0)}))
    store.add(Round("other", 1, {POOL: _sample(9.0)}))

    assert [r.number for r in store.rounds("this")] == [0, 2]
    assert store.rounds("this")[0].samples[POOL] == _sample(1.5, share=0.5)
    assert store.rounds("changed") == []


def test_only_missing_rounds_are_measured_and_forgotten_ones_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "rounds.jsonl")
    model = tmp_path / "model.gguf"
    plan = Plan(QUICK[0], model, pool_settings(model, Places(tmp_path), N_CTX), "this")
    for key, number in (("this", 0), ("this", 2), ("other", 1)):
        store.add(Round(key, number, {}))

    assert plan.missing(store, 4) == [1, 3]
    rare = replace(plan, scenario=replace(QUICK[0], most_rounds=2))
    assert rare.missing(store, 4) == [1]
    store.forget(["this"])
    assert plan.missing(store, 4) == [0, 1, 2, 3]
    assert [r.number for r in store.rounds("other")] == [1]


def test_peers_get_the_pools_settings_as_flags(tmp_path: Path) -> None:
    settings = pool_settings(tmp_path / "model.gguf", Places(tmp_path), N_CTX)
    tuned = replace(settings, flash_attn="on", kv_unified=True, n_ubatch=7)

    flags = " ".join(tuned.flags())

    assert "--flash-attn on --kv-unified " in flags
    assert "--ubatch-size 7 " in flags
    assert tuned.environment() == worker_environment()


def test_what_is_missing_says_why(tmp_path: Path) -> None:
    """A scenario without rounds is one row; a figure that its rounds don't tell has its own."""
    quick, *_ = SETS["quick"].scenarios
    other = replace(quick, name="other")
    goals = [*SETS["quick"].goals, Goal("name", "other", "at least", 1, lambda _: None)]
    rounds = {quick: _rounds({peer: [1.0] for peer in quick.peers}), other: []}

    report.Report(rounds, goals, {}).write(tmp_path)

    table = (tmp_path / "pool.md").read_text()
    assert "| other: 1 figure | rounds |" in table
    assert "| lectern_worker_memory_estimate_bytes |" in table
