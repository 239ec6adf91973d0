"""Why a worker may have died, most often by its exit status, and what to do about it.

Knows no processes.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

_REBUILD = "rm -f .venv/.llama-build && make install"


@dataclass(frozen=True)
class Death:
    """What is told of an exit status: the cause in a few words, and the remedy."""

    cause: str
    remedy: str


_DEATHS = {
    signal.SIGILL: Death(
        "llama.cpp was built for another CPU (SIGILL)",
        f"Build it for this one: {_REBUILD}; if that does not help, with "
        "CMAKE_ARGS=-DGGML_NATIVE=OFF before `make`",
    ),
    signal.SIGBUS: Death(
        "its model's file can't be read any more (SIGBUS): it was cut short, or the disk fails",
        "Get the file again",
    ),
    signal.SIGKILL: Death(
        "something killed it (SIGKILL), most likely the system for want of memory",
        "Lower LECTERN_POOL_N_SEQ_MAX or LECTERN_POOL_N_CTX, or choose a smaller model",
    ),
}
HUNG = Death("it gave no sign of life", "If it happens again, choose another model")
_LOADING = "The file may be damaged: get it again, or choose another model"
_COMPUTING = "If it happens again: `lectern doctor`, or another model or quantization"


def death(status: int, *, loading: bool) -> Death:
    """Return what is to be told of a worker that ended with this status, negative for a signal."""
    known = _DEATHS.get(signal.Signals(-status)) if _is_signal(status) else None
    return known or Death(
        f"llama.cpp failed ({_named(status)})", _LOADING if loading else _COMPUTING
    )


def hung_loading(progress: float) -> Death:
    """Return what is to be told of a load that came to a stop at a share of it."""
    remedy = "See whether its disk answers, or choose another model"
    return Death(f"loading it came to a stop at {progress:.0%}", remedy)


def _is_signal(status: int) -> bool:
    return -status in set(signal.Signals)


def _named(status: int) -> str:
    return signal.Signals(-status).name if _is_signal(status) else f"status {status}"
