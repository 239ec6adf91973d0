"""Batched equals single: an answer does not depend on who else was answered at the time.

Batches of different shapes add up floats in different orders, so greedy answers are compared
token by token up to the first at which the best two logits lie closer than MARGIN.
"""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from benchmarks.pool.models import quantize
from benchmarks.pool.shapes import HALF_B, Shape, write_model
from support.engines import always_guess, make_runner, request, run, same_up_to_close_calls
from support.tiny_model import write_tiny_model

from tasks.models.spec import load_spec
from tasks.pool.engine import Engine
from tasks.pool.model_runner import ModelRunner
from tasks.pool.protocol import Done
from tasks.pool.scheduler import Scheduler
from tasks.pool.sequences import Piece, Sequence
from tasks.records import Message
from tasks.settings import Settings

pytestmark = pytest.mark.slow

SHARED = list(b"The beginning that all of these prompts share, longer than a copy costs. ")
LAYOUTS: list[dict[str, Any]] = [
    {"flash_attn": "off"},
    {"flash_attn": "off", "kv_unified": True},
    {"flash_attn": "on"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
def demo_prompts(config: Settings) -> tuple[Path, list[list[int]]]:
    """The model that ships, and numbered lines as the prompts show them."""
    spec = load_spec("demo", config)
    lines = "\n".join(f"[{n}] Sentence number {n} tells of the year {1900 + n}." for n in (1, 2, 3))
    tasks = ("Summarise the source in bullets.", "Translate the source line by line.")
    return spec.path, [
        spec.prompt([Message("system", task), Message("user", lines.replace("19", str(n)))])
        for task, n in product(tasks, range(17, 25))
    ]


def answers(
    model: Path, prompts: list[list[int]], n_seq_max: int, arrivals: Random | None, **config: Any
) -> list[Done]:
    runner = make_runner(model, n_seq_max, n_ctx=1024, n_batch=256, **config)
    asked = (request(p, 40, ignore_eos=False, logprobs=2) for p in prompts)
    done = run(Engine(runner), *asked, arrivals=arrivals)
    runner.close()
    return done


@pytest.mark.timeout(240)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_greedy_answers_of_the_demo_model_are_the_same_alone_and_in_a_batch(
    demo_prompts: tuple[Path, list[list[int]]],
    layout: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For 1, 2, 8 and 16 sequences, in a random order of arrival, with prefixes shared and, where
    sequences are fewer than prompts, evicted; each with guesses and without."""
    path, prompts = demo_prompts
    alone = answers(path, prompts, 1, None, n_draft=0)
    always_guess(monkeypatch)
    for n_seq_max, n_draft in ((1, 32), (2, 0), (2, 32), (8, 32), (16, 0), (16, 32)):
        dice = Random(f"{n_seq_max} {n_draft}")
        together = answers(path, prompts, n_seq_max, dice, n_draft=n_draft, **layout)

        assert same_up_to_close_calls(alone, together) > 0.5
        assert max(each.cached_tokens for each in together) > 0


@pytest.mark.parametrize("n_seq_max", [2, 8, 16])
def test_greedy_answers_of_random_weights_are_the_same_alone_and_in_a_batch(
    model: Path, n_seq_max: int
) -> None:
    prompts = [list(f"Question {n}: {'why ' * (3 * n)}?".encode()) for n in range(16)]
    alone = answers(model, prompts, 1, None)
    together = answers(model, prompts, n_seq_max, Random(n_seq_max))

    assert same_up_to_close_calls(alone, together) > 0.9  # the margin leaves nearly all


@pytest.mark.parametrize("options", [{}, {"temperature": 0.8, "seed": 7}, {"stop": ["ee"]}])
def test_answers_are_the_same_with_guesses_and_without(
    model: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With seeds and stop strings as well: a guess only saves the step in which it is computed."""
    always_guess(monkeypatch)
    prompts = [f"{'again and ' * 12} {n} {'again and ' * n}" for n in range(6)]
    done = []
    for n_draft in (0, 32):
        runner = make_runner(model, 3, n_draft=n_draft)
        asked = (request(p, 40, logprobs=2, **options) for p in prompts)
        done.append(run(Engine(runner), *asked))
        runner.close()

    assert same_up_to_close_calls(*done) > 0.5


# Of the logits' own standard deviation: how far the same prompt's may lie apart. Flash attention on
# a CPU computes one token by another way than several, in half precision.
TOLERANCE, FLASH_TOLERANCE = 0.02, 0.15
SMALL = Shape("0.5B, two blocks", 2, 896, 14, 2, 4864, 4096)
SHAPES = [SMALL, *([HALF_B] if os.environ.get("LECTERN_SOAK") else [])]


def last_logits(runner: ModelRunner, prompts: list[list[int]]) -> list[np.ndarray[Any, Any]]:
    """Return the logits after each prompt, computed together as the scheduler has it."""
    scheduler = Scheduler(runner.n_seq_max, runner.n_ctx, runner.n_batch, n_cells=runner.n_cells)
    for number, prompt in enumerate(prompts):
        scheduler.add(Sequence(number, prompt, 1))
    found: dict[int, np.ndarray[Any, Any]] = {}
    while scheduler:
        step = scheduler.schedule()
        for move in step.moves:
            runner.move(move)
        rows = runner.decode(step.pieces)
        scheduler.commit(step)
        for piece in step.pieces:
            if piece.complete:
                found[piece.sequence.id] = runner.logits(rows[piece.sequence.id]).copy()
                scheduler.append(piece.sequence, [0])
                scheduler.finish(piece.sequence)
    return [found[number] for number in range(len(prompts))]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_logits_are_the_same_alone_and_in_a_batch(shape: Shape, tmp_path: Path) -> None:
    """Within the tolerance, Q4_0, in every layout; a prompt in another order lies further apart, so
    a cell that is not its own would be noticed."""
    whole, path = tmp_path / "whole.gguf", tmp_path / "model.gguf"
    write_model(whole, shape, block_scale=0.05)
    quantize(whole, path, "Q4_0")
    dice = Random(1)
    prompts = [SHARED + [dice.randrange(259, shape.vocabulary) for _ in range(9)] for _ in range(6)]
    options: dict[str, Any] = {"n_ctx": 256, "n_batch": 128, "n_threads": 2}

    def distance(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
        return float(np.abs(one - other).max() / one.std())

    for layout in LAYOUTS:
        runner = make_runner(path, 1, **options, **layout)
        alone = [last_logits(runner, [prompt])[0] for prompt in prompts]
        moved = last_logits(runner, [[*SHARED[1:], SHARED[0], *prompts[0][len(SHARED) :]]])[0]
        runner.close()
        tolerance = FLASH_TOLERANCE if layout["flash_attn"] == "on" else TOLERANCE
        assert distance(alone[0], moved) > 2 * tolerance
        runner = make_runner(path, 4, **options, **layout)
        together = last_logits(runner, prompts)
        runner.close()
        assert max(map(distance, alone, together)) < tolerance, layout


def test_logits_of_guesses_are_those_of_plain_steps(model: Path) -> None:
    """A piece of several tokens gives for each the logits that a step of its own would give."""
    tokens = list(b"tokens that stand for guesses")
    runner = make_runner(model, 1)
    sequence = Sequence(0, tokens, 1)
    plain = []
    for n in range(len(tokens)):
        rows = runner.decode([Piece(sequence, 0, n, tokens[n : n + 1], True)])
        plain.append(runner.logits(rows[0]).copy())
    runner.close()
    runner = make_runner(model, 1)
    rows = runner.decode([Piece(sequence, 0, 0, tokens, True, n_draft=len(tokens) - 1)])
    together = [runner.logits(rows[0] + n).copy() for n in range(len(tokens))]
    runner.close()

    for one, other in zip(plain, together, strict=True):
        assert np.abs(one - other).max() < TOLERANCE * one.std()
