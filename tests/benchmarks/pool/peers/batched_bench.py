"""What llama.cpp itself can do with the same work: llama-batched-bench's rates."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..machine import watched
from ..tuned import Tuned
from ..work import Kind, Request, total_out, total_prompt
from .measured import Measured, PeerError

_PAGE = 256  # llama.cpp rounds a sequence's cells up to it
_TELL_TIMES = ("--verbosity", "4")
_LOADED = re.compile(r"load time = +([\d.]+) ms")


@dataclass(frozen=True)
class BatchedBench:
    """The limit: all prompt tokens at its prefill rate, all others at its decode rate.

    It fills as many sequences as the pool has with prompts of the same length, then decodes all
    of them together for as long; with the pool's settings. The shared part of the prompts counts
    once, as if copying it were free.
    """

    name: str
    binary: Path
    model: Path
    kind: Kind
    tuned: Tuned

    def measure(self, warm_up: Request, requests: Sequence[Request]) -> Measured:
        prompt = self.kind.shared + self.kind.own
        with watched() as by:
            rates, _ = _run(self.binary, self.model, self.tuned, prompt, self.kind.out)
        computed = total_prompt(requests) - (len(requests) - 1) * self.kind.shared
        prefill, decode = float(rates["speed_pp"]), float(rates["speed_tg"])
        seconds = computed / prefill + total_out(requests) / decode
        return Measured(seconds, by, {"prefill tokens/s": prefill, "decode tokens/s": decode})


@dataclass(frozen=True)
class LoadTime:
    """llama.cpp's own load time, by its own clock: from opening the file to the first decode."""

    name: str
    binary: Path
    model: Path
    tuned: Tuned
    n_ctx: int

    def measure(self, warm_up: Request, requests: Sequence[Request]) -> Measured:
        with watched() as by:
            _, said = _run(self.binary, self.model, self.tuned, 1, 1, self.n_ctx, _TELL_TIMES)
        found = _LOADED.search(said)
        if not found:
            raise PeerError(f"{self.name} does not say its load time")
        return Measured(float(found[1]) / 1000, by)


def _run(
    binary: Path,
    model: Path,
    tuned: Tuned,
    prompt: int,
    out: int,
    n_ctx: int = 0,
    more: Sequence[str] = (),
) -> tuple[dict[str, float], str]:
    """Return its rates, and all that it said.

    Args:
        n_ctx: tokens that a sequence holds; 0: as few as will do.
        more: flags.
    """
    n_ctx = n_ctx or -(-(prompt + out) // _PAGE) * _PAGE
    n_seq = tuned.n_seq_max
    command = [
        *(str(binary), "--model", str(model), "--output-format", "jsonl"),
        *("-npp", str(prompt), "-ntg", str(out), "-npl", str(n_seq)),
        *("--ctx-size", str(n_ctx * n_seq)),
        *tuned.flags(),
        *more,
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        env=tuned.environment(),
        check=False,
    )  # its words are cut anywhere
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise PeerError(f"{binary.name} ended with {done.returncode}: {done.stderr[-500:]}")
    return json.loads(lines[-1]), done.stdout + done.stderr
