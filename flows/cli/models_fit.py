"""`lectern models fit`: whether a model fits into this machine, before it is fetched or loaded."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from flows.cli.completion import model_names
from flows.cli.options import absolute_model
from tasks.settings import PROJECT_ROOT, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.pool.fit_answer import Fit


def fit(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", show_default="the setting `model`", autocompletion=model_names,
            help="A GGUF file, hf:owner/repository:quant, ollama:name, or a name from models.toml.",
        ),
    ] = None,
    n_ctx: Annotated[
        int | None,
        typer.Option(
            "--n-ctx", metavar="N", min=256, max=1 << 20, show_default="the setting `pool_n_ctx`",
            help="Tokens of a sequence.",
        ),
    ] = None,
    n_seq: Annotated[
        int | None,
        typer.Option(
            "--n-seq", metavar="N", min=1, max=64, show_default="as set or measured here",
            help="Sequences together.",
        ),
    ] = None,
    quantization: Annotated[
        str,
        typer.Option(
            "--quantization", "-q", metavar="NAME", show_default="its own",
            help="Count as if it were so quantized: Q4_0, Q4_K_M, Q8_0, …",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object, in bytes.")] = False,
) -> None:  # fmt: skip
    """Say what a model takes, what this machine has, and the largest settings that fit.

    The numbers are llama.cpp's own, from the model's header: of one that is on a hub nothing else
    is fetched, and one from models.toml of which the shape stands there needs no network.

    Exit status: 0 it fits, 1 it does not, or there is no such model.

        lectern models fit hf:Qwen/Qwen2.5-7B-Instruct-GGUF:q4_k_m --n-seq 4
    """
    from tasks.models.files import absolute_name

    config = settings()
    model = absolute_model(name) or absolute_name(config.model, PROJECT_ROOT)
    found = _found(model, n_ctx, n_seq, quantization)
    if as_json:
        typer.echo(json.dumps(_as_dict(model, found), ensure_ascii=False))
    else:
        _show(model, found)
        tell_of_a_pool()
    raise typer.Exit(0 if found.fits else 1)


def _found(model: str, n_ctx: int | None, n_seq: int | None, quantization: str) -> Fit:
    from flows.progress import fetched_in_words
    from flows.terminal import err
    from tasks.pool.fitting import fit as fit_of

    with err.status("reading the model") as status:

        def say(*read: Any) -> None:
            status.update(escape(fetched_in_words(*read)))

        return fit_of(
            model, settings(), n_ctx=n_ctx, n_seq_max=n_seq, quantization=quantization,
            progress=say,
        )  # fmt: skip


def _show(model: str, found: Fit) -> None:
    from rich import box
    from rich.table import Table

    from flows.terminal import out

    table = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for row in _rows(found):
        table.add_row(*row)
    out.print(table)
    for line in _verdict(model, found):
        out.print(escape(line))


def tell_of_a_pool() -> None:
    """Say what makes less free than there would be for another model."""
    from flows.terminal import out
    from tasks.pool.lifecycle import pool_status

    status = pool_status(settings())
    if status is not None and status.model:
        out.print("The pool holds a model now: what that takes is not counted as free.")


def _rows(found: Fit) -> Iterator[tuple[str, str, str]]:
    yield "weights", _size(found.weights), ""
    sequences = "1 sequence" if found.n_seq_max == 1 else f"{found.n_seq_max} sequences"
    yield "KV cache", _size(found.cache), f"{sequences} of {found.n_ctx:,} tokens"
    yield "compute", _size(found.compute), "buffers for a step"
    yield "process", _size(found.process), "a worker and the vocabulary"
    yield "[bold]in all[/]", f"[bold]{_size(found.total)}[/]", ""
    limit = f", a limit of {_size(found.ram_limit)} for this group" if found.ram_limit else ""
    free = f"{_size(found.ram_free)} free of {_size(found.ram_total)}{limit}"
    yield "in RAM", _size(found.ram), free
    for gpu in found.gpus:
        free = f"{_size(gpu.free)} free of {_size(gpu.total)}"
        yield f"on {escape(gpu.name)}", _size(gpu.need), free


def _verdict(model: str, found: Fit) -> Iterator[str]:
    counted = f"{model} in {found.quantization}" if found.quantization else model
    yield f"{counted} fits." if found.fits else f"{counted} does not fit."
    if found.n_ctx < found.n_ctx_asked:
        yield (
            f"It takes {found.n_ctx:,} tokens a sequence, not the {found.n_ctx_asked:,} asked for: "
            "LECTERN_POOL_ROPE_FACTOR and LECTERN_POOL_ROPE_SCALING stretch it (docs/models.md)."
        )
    if found.note:
        yield f"{found.note[0].upper()}{found.note[1:]}."
    if found.most_n_ctx:
        seqs = f"LECTERN_POOL_N_SEQ_MAX={found.most_n_seq}" if found.most_n_seq else "no sequence"
        yield (
            f"The largest that fit: {seqs} with {found.n_ctx:,} tokens each, or one sequence with "
            f"LECTERN_POOL_N_CTX={found.most_n_ctx}."
        )
    else:
        yield "Not even one short sequence fits beside its weights."
    sizes = ", ".join(
        f"{each.name} {_size(each.total)}{'' if each.fits else ' (does not fit)'}"
        for each in found.quantizations
    )
    if sizes:
        yield f"By quantization, in all: {sizes}."
    if not (found.most_n_ctx or any(each.fits for each in found.quantizations)):
        yield "Smaller models: lectern models list."


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"


def _as_dict(model: str, found: Fit) -> dict[str, Any]:
    return {"model": model, "total": found.total, **asdict(found)}
