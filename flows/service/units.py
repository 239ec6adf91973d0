"""The texts of the units: what each part runs, in which environment, and what systemd must not
misread in a path.

Knows nothing of the system that they are for; writes nothing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from tasks.errors import PipelineError
from tasks.settings import PROJECT_ROOT

MARK = "# Written by `lectern service install`"
_TEMPLATE = PROJECT_ROOT / "deployments" / "unit.service.jinja"
# What of the shell's environment the parts need: a user's systemd starts them with hardly any.
_KEPT = re.compile(
    r"(LECTERN|HF|CUDA|HIP|ROCR|GGML|LLAMA|OMP|LC)_\w+|HUGGING_FACE_HUB_TOKEN|LANG|TZ|TMPDIR|"
    r"XDG_CACHE_HOME|TESSDATA_PREFIX|LD_LIBRARY_PATH|SSL_CERT_(FILE|DIR)|"
    r"((HTTPS?|NO|ALL)_PROXY|(https?|no|all)_proxy)"
)
_KNOWS_STEPS = 254  # the first systemd whose delays can grow; earlier ones warn of the setting
_SECRET = re.compile(r"KEY|TOKEN|PASSWORD|SECRET|PROXY", re.IGNORECASE)  # a proxy's may hold one


@dataclass(frozen=True)
class Part:
    """One of the three units.

    Attributes:
        arguments: of `lectern`.
        type: of systemd's service types: notify tells when it is ready.
        after: the unit that it needs, started before it.
        restart: when it is started again by itself.
        restart_s: the delay before that, the first time; from then on ever more.
        start_s, stop_s: the patience for starting and stopping.
    """

    name: str
    description: str
    arguments: tuple[str, ...]
    type: str = "notify"
    after: str = ""
    restart: str = "on-failure"
    restart_s: int = 5
    start_s: int = 300
    stop_s: int = 60

    @property
    def unit(self) -> str:
        return f"lectern-{self.name}.service"


def parts(port: int, *, own_pool: bool = True) -> tuple[Part, ...]:
    """Return the parts, in the order in which they start.

    Args:
        own_pool: the model is held here; not by another server (the setting `pool_url`).
    """
    server = Part("server", "Prefect's server", ("up", "--only", "server", "--port", str(port)))
    worker = Part(
        "worker", "the worker and its runs", ("up", "--only", "worker"), after=server.unit
    )
    # It ends after ten minutes without requests, which frees the model's memory; a fresh one,
    # without a model, takes its place at once.
    pool = Part(
        "pool", "the process that holds the model", ("pool", "serve", "--wait"),
        type="exec", restart="always", restart_s=1, stop_s=30,
    )  # fmt: skip
    return (server, worker, pool) if own_pool else (server, worker)


def unit_text(
    part: Part, environment: Mapping[str, str], *, systemd: int = 0, masked: bool = False
) -> str:
    """Return a unit's text.

    Args:
        environment: of the shell; what the parts need of it goes into the unit.
        systemd: its version; 0 where that is not known.
        masked: secrets are shown as stars.

    Raises:
        PipelineError: a path can't be written into a unit.
    """
    command = ("-m", "flows.cli", *part.arguments)
    kept = kept_environment(environment)
    shown = {
        name: "***" if masked and _SECRET.search(name) else value for name, value in kept.items()
    }
    return _template().render(
        mark=MARK,
        root=str(PROJECT_ROOT),
        part=part,
        command=" ".join([_program(sys.executable), *map(_quoted, command)]),
        environment=[_quoted(f"{name}={value}") for name, value in shown.items()],
        longer_delays=systemd >= _KNOWS_STEPS,
    )


def kept_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that go into the units: what the programs are found and set by."""
    kept = {name: environment[name] for name in sorted(environment) if _KEPT.fullmatch(name)}
    folders = [str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]
    return {"PATH": os.pathsep.join(folders), **kept}


def belongs_to(text: str) -> str | None:
    """Return the project that a unit's text says it was written for; None for a foreign unit."""
    match = re.match(rf"{re.escape(MARK)} of (.*)\.\n", text)
    return match[1] if match else None


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATE.parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"path": _path, "comment": _plain, "uri": _uri}
    return environment.get_template(_TEMPLATE.name)


def _quoted(text: str) -> str:
    """Return a word as systemd.syntax(7) has it: quoted, escaped, without specifiers.

    A $ stands for itself in a program's path and in Environment=, and no other word has one.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{_plain(escaped)}"'


def _program(path: str) -> str:
    if set(path) & set("\"'\\"):  # systemd takes none of these in a program's name
        raise _unfit(path)
    return _quoted(path)


def _path(path: str) -> str:
    """Return a path for a setting that takes the rest of its line as it is."""
    if path != path.strip() or path.endswith("\\"):
        raise _unfit(path)
    return _plain(path.replace("%", "%%"))


def _uri(path: str) -> str:
    return Path(path).as_uri().removeprefix("file://").replace("%", "%%")


def _plain(text: str) -> str:
    if not text.isprintable():
        raise _unfit(text)
    return text


def _unfit(text: str) -> PipelineError:
    return PipelineError(
        text,
        "this can't stand in a unit file",
        "Use folders and settings without quotes, backslashes and control characters",
    )
