"""What `lectern pool status` says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from flows.cli import app
from tasks.pool import lifecycle
from tasks.pool.lifecycle import PoolStatus

ONE = PoolStatus("http://127.0.0.1:1", 7, "ready", "demo", 1.0, 2, 3, 8, workers=[8], models=1)


@pytest.mark.parametrize(
    ("found", "exit_code", "said"),
    [
        (None, 1, "The pool is not running. It starts by itself when a run needs it."),
        (ONE, 0, "http://127.0.0.1:1 (pid 7): ready, model demo, 2 running, 3 waiting"),
        (
            replace(ONE, workers=[8, 9], models=2, swaps=5),
            0,
            "http://127.0.0.1:1 (pid 7): ready, model demo, 2 workers, 2 running, 3 waiting, "
            "2 models, 5 swaps",
        ),
        (
            replace(ONE, state="idle", model="", workers=[], note="no GPU"),
            0,
            "http://127.0.0.1:1 (pid 7): idle, model none yet, 2 running, 3 waiting\nno GPU",
        ),
    ],
)
def test_the_pool_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, found: PoolStatus | None, exit_code: int, said: str
) -> None:
    """And what the user should know of how the model runs in another."""
    monkeypatch.setattr(lifecycle, "pool_status", lambda settings: found)
    answer = CliRunner().invoke(app, ["pool", "status"])

    assert (answer.exit_code, answer.output) == (exit_code, said + "\n")
