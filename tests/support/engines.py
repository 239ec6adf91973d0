"""The pool's engine without its processes: runners, requests, answers, and their comparison."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tasks.pool.engine import Engine
from tasks.pool.loading import load_model
from tasks.pool.model_runner import ModelRunner
from tasks.pool.protocol import AnswerEvent, Done, EngineRequest, WorkerConfig
from tasks.pool.speculation import Payoff

# Batches of different shapes add up floats in different orders. Where the best two logits of
# every step differ by more than this, the greedy answer must be the same (they reach +-15).
MARGIN = 0.01
_ids = count()


def make_runner(model: Path, n_seq_max: int, **config: Any) -> ModelRunner:
    # One thread: a second one only waits for the first with a model this small.
    whole = WorkerConfig(
        **{
            "model_path": str(model),
            "n_ctx": 512,
            "n_seq_max": n_seq_max,
            "n_batch": 64,
            "n_threads": 1,
            **config,
        }
    )
    return ModelRunner(load_model(whole), whole)


def request(prompt: str | list[int], max_tokens: int = 24, **options: Any) -> EngineRequest:
    tokens = list(prompt.encode()) if isinstance(prompt, str) else prompt
    options = {"ignore_eos": True, **options}
    return EngineRequest(id=next(_ids), prompt=tokens, max_tokens=max_tokens, **options)


def run(engine: Engine, *requests: EngineRequest, arrivals: Random | None = None) -> list[Done]:
    """Answer requests together; return the answers in the requests' order.

    Args:
        arrivals: lets them come one by one, in a random order, some steps apart.
    """
    waiting = list(requests)
    if arrivals:
        arrivals.shuffle(waiting)
    events: list[AnswerEvent] = []
    while engine.busy or waiting:
        come = waiting if arrivals is None else waiting[: arrivals.randrange(3)]
        for each in come:
            assert engine.add(each) is None
        waiting = waiting[len(come) :]
        if engine.busy:
            events += engine.step(lambda _: None)
    done = {event.id: event for event in events if isinstance(event, Done)}
    return [done[each.id] for each in requests]


def leads(answer: Done) -> list[float]:
    """Return by how much the best log-probability led, token by token."""
    tops = [token["top_logprobs"] for token in answer.logprobs]
    return [top[0]["logprob"] - top[1]["logprob"] for top in tops]


def same_up_to_close_calls(alone: list[Done], together: list[Done]) -> float:
    """Compare answers token by token up to the first lead below MARGIN; return how much of
    them was compared."""
    compared = 0
    for one, other in zip(alone, together, strict=True):
        close = [at for at, lead in enumerate(leads(one)) if lead <= MARGIN]
        upto = close[0] if close else len(one.logprobs)
        compared += upto
        assert [t["bytes"] for t in one.logprobs[:upto]] == [
            t["bytes"] for t in other.logprobs[:upto]
        ]
    return compared / sum(len(one.logprobs) for one in alone)


def steps(engine: Engine, *requests: EngineRequest) -> int:
    """Answer requests together; return how many steps it took."""
    for each in requests:
        assert engine.add(each) is None
    n = 0
    while engine.busy:
        engine.step(lambda _: None)
        n += 1
    return n


def always_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guess in every step, whether it pays or not."""
    monkeypatch.setattr(Payoff, "is_worth_trying", True)
