"""`lectern bench`: how a model runs best on this machine."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from flows.cli.options import Model, absolute_model
from tasks.settings import PROJECT_ROOT, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.pool.bench import Comparison, Found
    from tasks.pool.tuning import Rates, Tuning

_QUANTIZATIONS_S = 30.0
_NIGHT_H = 8
_TITLES = (
    *("seqs", "cache", "flash", "ubatch", "threads"),
    *("prefill/s", "decode/s", "chunks/h"),
)
_WORDS = {
    "kv_unified": "KV cache", "flash_attn": "flash attention", "n_seq_max": "sequences",
    "n_batch": "ubatch", "n_threads_batch": "threads for prefill",
    "n_threads": "threads for decode",
}  # fmt: skip


def bench(
    model: Model = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="N", min=5, max=3600, help="For the settings.")
    ] = 60,
    no_quantizations: Annotated[
        bool,
        typer.Option(
            "--no-quantizations",
            help="Leave out the half minute for which quantization would be faster.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Measure how a model runs best on this machine, and keep the answer.

    Tries the KV cache split and unified, flash attention on and off, sequences, ubatch, and threads
    for prefill and for decode; what you have set stays as it is. A change is kept only if it is
    better each time. The pool uses the answer from its next start on. It also finds it by itself,
    while it is idle. Let nothing else run meanwhile.

    Exit status: 0 measured, 1 not, for instance because the pool is in use, 130 stopped by Ctrl-C.

        lectern bench -m hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF:q4_0
    """
    try:
        _bench(absolute_model(model), seconds, not no_quantizations, as_json)
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
        raise typer.Exit(130) from None


def _bench(model: str | None, seconds: float, quantizations: bool, as_json: bool) -> None:
    from flows.progress import fetched_in_words
    from flows.terminal import err
    from tasks.models.files import absolute_name
    from tasks.pool.bench import compare_quantizations, find_tuning, machine_alone
    from tasks.pool.fitting import load_spec_that_fits
    from tasks.pool.tuning import default_tuning, worker_config

    config = settings()
    name = model or absolute_name(config.model, PROJECT_ROOT)
    with err.status("reading the model") as status:

        def say(text: str) -> None:
            status.update(escape(text))

        spec = load_spec_that_fits(name, config, lambda *read: say(fetched_in_words(*read)))
        with machine_alone(config) as log:
            found = find_tuning(config, spec, seconds, log, _Progress(seconds, say).hear)
            if not as_json:
                status.stop()
                _show(found)
                status.start()
            compared = None
            if quantizations:
                compared = compare_quantizations(
                    worker_config(config, spec, default_tuning(config)),
                    spec.quantization, found.best, _QUANTIZATIONS_S, log,
                    lambda each: say(f"comparing quantizations: {each}"),
                )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(_as_dict(spec.name, found, compared), ensure_ascii=False))
    elif compared:
        _show_quantizations(compared)


class _Progress:
    """Says how far the measuring is."""

    def __init__(self, seconds: float, say: Callable[[str], None]) -> None:
        self._seconds, self._say = seconds, say
        self._began = 0.0
        self._n = 0

    def hear(self, event: object) -> None:
        from tasks.pool.protocol import Loading, Measured, Ready

        if isinstance(event, Loading):
            self._say(f"loading the model, {event.progress:.0%}")
        elif isinstance(event, Ready):
            self._began = time.monotonic()
            self._say(f"measuring for {self._seconds:.0f} s at most")
        elif isinstance(event, Measured):
            self._n += 1
            spent = time.monotonic() - self._began
            self._say(f"measuring: {self._n} so far, {spent:.0f} of {self._seconds:.0f} s")


def _show(found: Found) -> None:
    from rich import box
    from rich.table import Table

    from flows.terminal import out
    from tasks.pool.search import medians
    from tasks.pool.tuning import ANSWER_TOKENS, PROMPT_TOKENS

    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in _TITLES:
        table.add_column(title, justify="right", no_wrap=True)
    for tuning, measured in found.rates.items():
        best = tuning == found.best
        seqs, *cells = (*_settings(tuning), *_rates(medians(measured)))
        mark = "\N{BLACK STAR} " if best else ""
        table.add_row(mark + seqs, *cells, style="bold" if best else "")
    out.print(table)
    out.print("Tokens a second; threads for prefill/decode; flash: attention, auto is the default.")
    if found.left:
        out.print(f"Not looked at, for want of time: {', '.join(_WORDS[n] for n in found.left)}.")
    if best_rates := found.rates.get(found.best):
        chunks = round(_NIGHT_H * medians(best_rates).chunks_per_hour)
        out.print(
            f"\N{BLACK STAR} is best: about {chunks:,} chunks of {PROMPT_TOKENS:,} tokens in a "
            f"night of {_NIGHT_H} h, each with {ANSWER_TOKENS} tokens of answer."
        )
    out.print(f"Kept in {escape(str(found.kept))}." if found.kept else "Nothing was kept.")


def _settings(tuning: Tuning) -> tuple[str, ...]:
    from tasks.pool.cpus import physical_cores

    batch = tuning.n_threads_batch or tuning.n_threads or physical_cores()
    return (
        str(tuning.n_seq_max), "unified" if tuning.kv_unified else "split", tuning.flash_attn,
        str(tuning.n_batch), f"{batch}/{tuning.n_threads or batch}",
    )  # fmt: skip


def _rates(rates: Rates) -> tuple[str, ...]:
    rounded = (rates.prefill, rates.decode, rates.chunks_per_hour)
    return tuple(f"{each:,.0f}" for each in rounded)


def _show_quantizations(compared: Comparison) -> None:
    from flows.terminal import out

    if compared.problem:
        out.print(
            f"Which quantization would be faster here can't be told: {escape(compared.problem)}."
        )
        return
    others = ", ".join(
        f"{name} {ratio:.1f}" for name, ratio in compared.ratios.items() if name != compared.own
    )
    out.print(f"In chunks an hour, beside {compared.own} as 1: {others}.")
    for name, ratio in list(compared.faster.items())[:1]:
        out.print(f"{name} would do about {ratio:.1f} times as many chunks an hour here.")
    if not compared.faster:
        out.print(f"None is surely faster here than {compared.own}.")


def _as_dict(model: str, found: Found, compared: Comparison | None) -> dict[str, Any]:
    from tasks.pool.search import medians

    rows = [
        {
            **asdict(tuning),
            **asdict(medians(measured)),
            "chunks_per_hour": medians(measured).chunks_per_hour,
            "measured": len(measured),
            "best": tuning == found.best,
        }
        for tuning, measured in found.rates.items()
    ]
    answer: dict[str, Any] = {
        "model": model,
        "rows": rows,
        "best": asdict(found.best),
        "left": found.left,
        "kept": str(found.kept) if found.kept else None,
    }
    if compared:
        answer["quantizations"] = {
            "own": compared.own, "ratios": compared.ratios, "faster": list(compared.faster),
            "problem": compared.problem,
        }  # fmt: skip
    return answer
