"""`make bench` and `make bench-quick`: make what is needed, measure, report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console
from support.llama_source import BuildError

from tasks.errors import PipelineError

from .campaign import Plan, measure_missing
from .machine import describe
from .models import model_path
from .peers.measured import PeerError
from .places import DOCS, Places
from .preparing import prepare
from .report import Report
from .scenarios import N_CTX
from .sets import SETS, Set
from .showing import Shown, progress_bar
from .store import Store, key_of
from .tuned import pool_settings

_ABOUT = """\
Measure Lectern's pool beside a plain Llama loop, llama-server (at its defaults, and with the
pool's settings) and what llama-batched-bench says llama.cpp can do, on models of Qwen2.5's 0.5B
and 1.5B shapes with random weights, and on the same requests.

The first time it makes the models (about 3 GB, some minutes) and builds llama.cpp's programs
(about eight minutes on two quiet cores), and measures how each model runs best (a minute each),
all in .benchmarks/. Every round measures all peers in turn, each started afresh and warmed up.
What is measured is kept: stopped at any time, the same command goes on; called again, it measures
nothing and writes the report anew, until the pool's code, llama.cpp or the machine change. Use a
machine that does nothing else."""
_AFTER = """\
examples:
  bench_pool.py --quick                        the summarise batch on the smaller model, 3 rounds
  bench_pool.py --only 'summarise-*' --rounds 2
  bench_pool.py --only 'copy-*' --again        speculation where it helps, measured anew
  bench_pool.py --list                         the scenarios, and how many rounds each has"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 if a peer or the build failed."""
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        _run(options, console)
    except (BuildError, PeerError, PipelineError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on where it was.")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench_pool.py",
        description=_ABOUT,
        epilog=_AFTER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", dest="set", action="store_const", const="quick", help="the short form")
    add(
        "--trial",
        dest="set",
        action="store_const",
        const="trial",
        help="try the benchmark itself, in seconds: a tiny model, none of llama.cpp's programs",
    )
    add("--only", metavar="NAMES", default="*", help="scenarios, as a pattern: 'translate-*'")
    add("--rounds", type=int, metavar="N", help="default: 5; of the short form 3")
    add("--again", action="store_true", help="forget the rounds of these scenarios first")
    add("--list", action="store_true", help="measure nothing; say what there is")
    add("--cache", type=Path, metavar="FOLDER", help="default: .benchmarks")
    add("--out", type=Path, metavar="FOLDER", help="default: docs/benchmarks; of short forms none")
    parser.set_defaults(set="full")
    return parser


def _run(options: argparse.Namespace, console: Console) -> None:
    places = Places(options.cache.resolve()) if options.cache else Places()
    chosen = SETS[options.set]
    store = Store(places.rounds / f"{chosen.name}.jsonl")
    if options.list:
        for plan in _plans(chosen, places):
            console.print(f"{plan.scenario.name}: {len(store.rounds(plan.key))} rounds")
        return
    wanted = [each for each in chosen.scenarios if fnmatch(each.name, options.only)]
    n_rounds = options.rounds or chosen.rounds
    with progress_bar(console) as progress:
        prepare(wanted, places, progress)
        plans = _plans(chosen, places)  # only now: their settings have been measured
        possible = [plan for plan in plans if plan.scenario in wanted]
        if options.again:
            store.forget([plan.key for plan in possible])
        steps = sum(len(p.scenario.peers) * len(p.missing(store, n_rounds)) for p in possible)
        measure_missing(possible, n_rounds, store, places, Shown(progress, steps))
    rounds = {plan.scenario: store.rounds(plan.key) for plan in plans}
    settings = {f"{plan.model.stem} runs with": plan.tuned.describe() for plan in plans}
    report = Report(rounds, chosen.goals, {**describe(), **settings})
    for table in report.tables():
        console.print(table)
    out = options.out or (DOCS if chosen.documented else None)
    if out:
        report.write(out)
        console.print(f"Written to {out}")


def _plans(chosen: Set, places: Places) -> list[Plan]:
    plans = []
    for scenario in chosen.scenarios:
        model = model_path(places.models, scenario.shape, scenario.quantization)
        tuned = pool_settings(model, places, N_CTX)
        plans.append(Plan(scenario, model, tuned, key_of(scenario, tuned)))
    return plans
