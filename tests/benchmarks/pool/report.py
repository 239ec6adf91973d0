"""What the rounds say, as tables: for the terminal, and for docs/benchmarks/."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from rich.table import Column, Table

from .chart import Bar, Group, draw
from .figures import Figure, Goal, measure_goals
from .scenarios import (
    LIMIT,
    LOAD,
    LOOKUP,
    LOOP,
    POOL,
    SERVER,
    SERVER_TUNED,
    Scenario,
)
from .stats import ratio, spread
from .store import Round
from .work import total_out, total_prompt

_CHARTED = (POOL, SERVER_TUNED, SERVER, LOOP)
_OURS = (POOL, LOOKUP)
Row = tuple[str, ...]
_SEEN_HEAD = ("batch", "peer", "", "median", "spread")
_SAMPLES_HEAD = ("", "median s", "spread", "quarters", "tokens/s", "pool: times as fast")
_GOALS_HEAD = ("figure", "median", "spread", "llama.cpp's limit", "goal", "met")


class Report:
    """All that was measured.

    Args:
        rounds: of each scenario that belongs to it; some may have none.
        about: the machine and the versions.
    """

    def __init__(
        self,
        rounds: Mapping[Scenario, Sequence[Round]],
        goals: Sequence[Goal],
        about: Mapping[str, str],
    ) -> None:
        self._measured = {scenario: each for scenario, each in rounds.items() if each}
        self._unmeasured = [scenario for scenario, each in rounds.items() if not each]
        self._about = about
        by_name = {scenario.name: each for scenario, each in self._measured.items()}
        self.figures, self.without = measure_goals(by_name, goals)

    def tables(self) -> Iterator[Table]:
        """Yield what the terminal shows."""
        for title, head, rows in self._parts():
            columns = (Column(name, overflow="fold") for name in head)
            table = Table(*columns, title=title, title_justify="left")
            for row in rows:
                table.add_row(*row)
            yield table

    def write(self, folder: Path) -> None:
        """Write pool.md, pool.svg and pool.json."""
        folder.mkdir(parents=True, exist_ok=True)
        figures = [figure.json() for figure in self.figures]
        (folder / "pool.json").write_text(json.dumps(figures, indent=2) + "\n")
        (folder / "pool.svg").write_text(self._chart())
        (folder / "pool.md").write_text(self._document())

    def _document(self) -> str:
        lines = [
            "# The pool beside its peers",
            "",
            "Written by `make bench`; [how it measures](README.md) and why goals are missed.",
            "",
            *(f"- {name}: {text}" for name, text in self._about.items()),
            *(f"- {line}" for line in _disturbances([*self._measured.values()])),
            "",
            "![Each peer's share of llama.cpp's own rate](pool.svg)",
        ]
        for title, head, rows in self._parts():
            lines += ["", f"## {title}", "", _row(head), _row(["---"] * len(head))]
            lines += [_row(row) for row in rows]
        return "\n".join(lines) + "\n"

    def _parts(self) -> Iterator[tuple[str, Row, list[Row]]]:
        """Yield tables: title, head, rows."""
        if self.figures:
            yield "Goals", _GOALS_HEAD, [_goal_row(figure) for figure in self.figures]
        if self.without:
            yield "Not measured", ("figure", "needs"), list(self._without_rows())
        for scenario, rounds in self._measured.items():
            yield _title(scenario), _SAMPLES_HEAD, _sample_rows(scenario, rounds)
        seen = [
            row for scenario, rounds in self._measured.items() for row in _seen(scenario, rounds)
        ]
        if seen:
            yield "Seen meanwhile", _SEEN_HEAD, seen

    def _without_rows(self) -> Iterator[Row]:
        """Yield a row for each goal that its rounds don't tell, and for each scenario without."""
        unmeasured = [each.name for each in self._unmeasured]
        for goal in self.without:
            if goal.scenario not in unmeasured:
                yield goal.name, goal.needs
        for name in unmeasured:
            n = sum(goal.scenario == name for goal in self.without)
            if n:
                yield f"{name}: {n} figure{'s' * (n > 1)}", "rounds"

    def _chart(self) -> str:
        groups = [
            Group(
                scenario.title,
                [
                    Bar(name, ratio(_seconds(rounds, LIMIT), _seconds(rounds, name)), name == POOL)
                    for name in _CHARTED
                ],
            )
            for scenario, rounds in self._measured.items()
            if {*_CHARTED, LIMIT} <= {*scenario.peers}
        ]
        return draw(
            "Share of llama.cpp's own rate",
            "The same requests, answered by each; 100%: llama-batched-bench's rates for the work",
            groups,
        )


def _seconds(rounds: Sequence[Round], peer: str) -> list[float]:
    return [each.samples[peer].seconds for each in rounds]


def _title(scenario: Scenario) -> str:
    work = scenario.work
    kinds = " and ".join(f"{k.shared} + {k.own} in, {k.out} out" for k in work.kinds)
    requests = "1 request" if work.n_requests == 1 else f"{work.n_requests} requests"
    return f"{scenario.title}: {requests}, {kinds}"


def _sample_rows(scenario: Scenario, rounds: Sequence[Round]) -> list[Row]:
    requests = scenario.work.requests("", scenario.shape.vocabulary)
    tokens = total_prompt(requests) + total_out(requests)
    ours = next((peer for peer in scenario.peers if peer in _OURS), None)
    rows: list[Row] = []
    for peer in scenario.peers:
        s = spread(_seconds(rounds, peer))
        times = ""
        if ours and peer != ours and peer != LOAD:
            times = f"{ratio(_seconds(rounds, peer), _seconds(rounds, ours)).median:.2f}"
        rate = "" if scenario.from_start else f"{tokens / s.median:,.0f}"
        ends, quarters = f"{s.low:.2f} to {s.high:.2f}", f"{s.q1:.2f} to {s.q3:.2f}"
        rows.append((peer, f"{s.median:.2f}", ends, quarters, rate, times))
    return rows


def _seen(scenario: Scenario, rounds: Sequence[Round]) -> Iterator[Row]:
    for peer in scenario.peers:
        for name in rounds[0].samples[peer].seen:
            s = spread([r.samples[peer].seen[name] for r in rounds])
            ends = f"{_number(s.low)} to {_number(s.high)}"
            yield scenario.title, peer, name, _number(s.median), ends


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _goal_row(figure: Figure) -> Row:
    value, goal = figure.value, figure.goal
    met = "yes" if figure.met else "no"
    if not figure.is_clear:
        met += ", but not in every round" if figure.met else ", but in some rounds"
    ends = f"{value.low:.3g} to {value.high:.3g}"
    ceiling = "" if figure.ceiling is None else f"{figure.ceiling:.3g}"
    return goal.name, f"{value.median:.3g}", ends, ceiling, f"{goal.bound} {goal.goal:g}", met


def _disturbances(measured: Sequence[Sequence[Round]]) -> Iterator[str]:
    samples = [s for rounds in measured for r in rounds for s in r.samples.values()]
    if not samples:
        return
    for name, values in (
        ("processor time that other processes took meanwhile", [s.others for s in samples]),
        ("that the host took", [s.stolen for s in samples]),
    ):
        yield f"{name}: {median(values):.1%}, at most {max(values):.1%} of it"
    loads = [s.load for s in samples]
    yield f"load average before each measurement: {median(loads):.1f}, at most {max(loads):.1f}"
    counts = {len(rounds) for rounds in measured}
    span = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    yield f"rounds: {span}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
