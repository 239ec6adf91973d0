"""`lectern models`: which there are, fetching one, and what there is to know of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from flows.cli import models_fit
from flows.cli.completion import model_names
from flows.cli.options import Json, absolute_model
from tasks.files import make_folder
from tasks.settings import settings

app = typer.Typer(
    help="The models that there are: which to choose, fetching them, what is in a file.",
    no_args_is_help=True,
)
app.command()(models_fit.fit)
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", autocompletion=model_names,
        help="A GGUF file, hf:owner/repository:quant, ollama:name, or a name that `lectern models "
        "list` shows, also with a quantization (qwen2.5-7b:q8_0); adapters behind it with a +.",
    ),
]  # fmt: skip


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models that have names, and all that lie on this disk.

    Those with names are in data/models/models.toml, where you can add your own. On this disk are
    looked through: that folder, the hub's cache, and Ollama's store. A * is the one to take of its
    size; the size is that of the file, and a ! marks what takes more memory than is free here.
    --json has size and memory in bytes, also for other quantizations.

        lectern models list --json | jq -r 'select(.here) | .name'
    """
    from flows.models_shown import as_dict, print_models
    from tasks.models.inventory import models_here, named_models
    from tasks.pool.room import room_here

    config = settings()
    named = named_models(config)
    with _busy("looking through this disk"):
        others = list(models_here(config))
    if as_json:
        for each in (*named, *others):
            _print_json(**as_dict(each))
    else:
        print_models(named, others, room_here(config))
        models_fit.tell_of_a_pool()


@app.command()
def pull(name: Name) -> None:
    """Fetch a model from the hub, or the rest of it, and say where it lies.

    A broken download goes on where it stopped, and what came, or was here before, is compared with
    the hub's checksum; what is damaged is fetched again.
    HF_ENDPOINT names another hub, HF_HOME the folder to fetch into; HF_TOKEN opens models whose
    owner grants access by request. Of a model that would not be loaded here it is said so, and it
    is fetched all the same: it may be for another machine.

    Exit status: 0 it is here, 1 not, 130 stopped by Ctrl-C.

        lectern models pull qwen2.5-7b:q4_k_m
    """
    from flows.models_shown import lies
    from flows.terminal import Terminal
    from tasks.models.files import ModelFiles, on_hub, resolve
    from tasks.pool.fit import NoRoomError
    from tasks.pool.fitting import refuse_what_is_too_large

    config = settings()
    terminal = Terminal()
    asked = absolute_model(name) or name

    def warn(header: ModelFiles) -> None:
        try:
            refuse_what_is_too_large(header, config)
        except NoRoomError as error:
            terminal.note(f"It would not be loaded here. {error}")

    def discard_damaged() -> None:
        for origin in on_hub(asked, config):
            from tasks.models import hub  # its library takes a second to import

            for file in hub.discard_damaged(origin, config.home, terminal.fetched):
                terminal.note(f"{file} was damaged on this disk: it is fetched again.")

    try:
        with terminal:
            discard_damaged()
            files = resolve(asked, config, terminal.fetched, before_fetching=warn)
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command goes on from here.", err=True)
        raise typer.Exit(130) from None
    for line in lies(files):
        typer.echo(line)


@app.command()
def inspect(
    name: Name,
    prompt: Annotated[
        bool, typer.Option("--prompt", help="Show how the model is talked to, by a sample.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Say what a model is: its size, context, vocabulary, chat format, and where answers end.

    Of a model on the hub that is not here the header alone is fetched, a few MB.

    Exit status: 0, or 1 where there is no such model or its header can't be read.

        lectern models inspect hf:Qwen/Qwen2.5-7B-Instruct-GGUF:q4_k_m --prompt
    """
    from flows.models_shown import description_as_dict, print_description
    from flows.terminal import Terminal
    from tasks.models.description import describe

    config = settings()
    make_folder(config.home)
    with Terminal() as terminal:
        found = describe(absolute_model(name) or name, config, terminal.fetched)
    if as_json:
        _print_json(**description_as_dict(found))
    else:
        print_description(found, prompt=prompt)


@contextmanager
def _busy(text: str) -> Iterator[None]:
    from flows.terminal import err

    with err.status(text):
        yield


def _print_json(**values: Any) -> None:
    typer.echo(json.dumps(values, ensure_ascii=False))
