"""What one would write without a pool: `Llama`, and a loop."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..machine import watched
from ..work import Request
from .measured import Measured, PeerError, check

_CHILD = Path(__file__).with_name("loop_child.py")


@dataclass(frozen=True)
class PlainLoop:
    """A loop in a process of its own; what prompts share is computed once where they follow.

    Attributes:
        sample: requests that it answers; the time of the others is that of the mean one after
            the first, which alone computes the shared part. One after another, each takes as
            long whatever their number.
    """

    name: str
    model: Path
    n_ctx: int
    n_threads: int
    sample: int

    def measure(self, warm_up: Request, requests: Sequence[Request]) -> Measured:
        asked = requests[: max(2, self.sample)]
        with self._running() as process:
            _ask(process, [warm_up])
            with watched(process.pid) as by:
                answers = _ask(process, asked)
        for request, (_, text) in zip(asked, answers, strict=True):
            check(self.name, request, text)
        first, *others = (seconds for seconds, _ in answers)
        return Measured(first + (len(requests) - 1) * statistics.mean(others), by)

    @contextmanager
    def _running(self) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, str(_CHILD), str(self.model)]
        process = subprocess.Popen(
            [*command, str(self.n_ctx), str(self.n_threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            with process:  # closes its stdin, by which it ends
                yield process
        except BaseException:
            process.kill()
            raise


def _ask(process: subprocess.Popen[str], requests: Sequence[Request]) -> list[tuple[float, str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([[each.prompt, each.max_tokens] for each in requests]) + "\n")
    process.stdin.flush()
    answers = process.stdout.readline()
    if not answers:
        raise PeerError("the plain loop ended early")
    return [(seconds, text) for seconds, text in json.loads(answers)]
