"""A draft model's guesses, with real models of random weights."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engines import always_guess, make_runner, request, run, steps
from support.tiny_model import write_tiny_model

from tasks.errors import ModelError
from tasks.pool.client import PoolClient
from tasks.pool.draft_model import DraftModel
from tasks.pool.engine import Engine
from tasks.pool.lifecycle import PoolAddress, ensure_pool, stop_pool
from tasks.pool.loading import load_draft_model, load_model
from tasks.pool.model_runner import ModelRunner
from tasks.pool.protocol import WorkerConfig
from tasks.pool.sequences import Sequence
from tasks.pool.types import ChatAnswer
from tasks.records import Message, Sampling
from tasks.settings import PROJECT_ROOT, Settings

pytestmark = pytest.mark.slow

PROMPTS = [f"Question {n}: {'why ' * (9 * n)}?" for n in range(6)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
def runner(model: Path) -> Iterator[ModelRunner]:
    runner = make_runner(model, 3)
    yield runner
    runner.close()


def answers(engine: Engine) -> list[str]:
    return [done.text for done in run(engine, *(request(p, 30) for p in PROMPTS))]


def test_it_guesses_what_it_would_say(model: Path, runner: ModelRunner) -> None:
    """As many tokens as are wanted of each, whatever was guessed and cut off before."""
    plain = make_runner(model, 1, n_draft=0)
    told = [
        done.text.encode() for done in run(Engine(plain), *(request(p, 12) for p in PROMPTS[:3]))
    ]
    plain.close()
    drafter = DraftModel(runner, runner.n_vocab)
    sequences = [Sequence(n, list(p.encode()), 30) for n, p in enumerate(PROMPTS[:3])]

    while not all((first := drafter.draft([(s, 4 + s.id) for s in sequences])).values()):
        pass  # it reads a piece of a prompt at a time
    assert [len(first[n]) for n in range(3)] == [4, 5, 6]
    for n, sequence in enumerate(sequences):
        sequence.tokens += first[n][:2]  # the rest was not what came
    again = drafter.draft([(s, 3) for s in sequences])

    for n in range(3):
        guessed = b"".join(runner.piece(token) for token in first[n][:2] + again[n])
        assert told[n].startswith(guessed)


def test_a_long_prompt_is_read_in_pieces(runner: ModelRunner) -> None:
    """So that nobody who is answered beside it waits for all of it."""
    drafter = DraftModel(runner, runner.n_vocab)
    long = Sequence(0, [65] * 200, 9)  # three times n_batch

    guessed = [len(drafter.draft([(long, 2)])[0]) for _ in range(4)]

    assert guessed == [0, 0, 0, 2]


def test_tokens_that_only_one_of_the_two_has_do_no_harm(runner: ModelRunner) -> None:
    few = DraftModel(runner, n_vocab=70)
    sequence = Sequence(0, [65, runner.n_vocab + 5, 66], 9)

    assert all(token < 70 for token in few.draft([(sequence, 8)])[0])


def test_seats_are_free_again_once_sequences_have_ended(runner: ModelRunner) -> None:
    drafter = DraftModel(runner, runner.n_vocab)
    for n in range(20):
        sequence = Sequence(n, list(b"some prompt"), 9)
        assert drafter.draft([(sequence, 2)])
        drafter.forget(n)
        drafter.forget(n)  # of one it does not know, too


def test_what_does_not_fit_the_draft_model_is_not_guessed(runner: ModelRunner) -> None:
    long = Sequence(0, [65] * (runner.n_ctx - 2), 2)

    assert DraftModel(runner, runner.n_vocab).draft(
        [(long, 5), (Sequence(1, [65, 66], 9), 1)]
    ).keys() == {1}


def test_a_model_that_drafts_for_itself_is_always_right(
    model: Path, runner: ModelRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which takes a fraction of the steps; another model is wrong, which changes no answer."""
    always_guess(monkeypatch)
    monkeypatch.setattr("tasks.pool.speculation.Lookup.draft", lambda *_: {})
    plain = make_runner(model, 3, n_draft=0)
    expected, most = answers(Engine(plain)), steps(Engine(plain), request(PROMPTS[0], 30))
    plain.close()
    other = make_runner(write_tiny_model(model.with_name("other.gguf"), seed=8), 3)
    drafting = make_runner(model, 3)

    assert answers(Engine(drafting, DraftModel(runner, runner.n_vocab))) == expected
    assert answers(Engine(drafting, DraftModel(other, other.n_vocab))) == expected
    few = steps(Engine(drafting, DraftModel(runner, runner.n_vocab)), request(PROMPTS[0], 30))
    assert few < most / 2
    other.close()
    drafting.close()


def test_a_draft_model_with_another_vocabulary_is_refused(model: Path) -> None:
    demo = PROJECT_ROOT / "data" / "models" / "lectern-demo-q8_0.gguf"
    config = WorkerConfig(model_path=str(demo), draft_path=str(model), n_ctx=256)
    whole = load_model(config)

    with pytest.raises(ModelError, match=r"tiny.gguf: it can't guess for lectern-demo.*another"):
        load_draft_model(whole)
    whole.close()


@pytest.mark.parametrize("fits", [True, False])
def test_a_pool_answers_the_same_with_a_draft_model_and_without(
    model: Path, tmp_path: Path, fits: bool
) -> None:
    """One that does not suit is told in the pool's log, and done without."""
    draft = write_tiny_model(tmp_path / "draft.gguf", seed=8) if fits else "demo"
    answers = []
    for name in (None, str(draft)):
        settings = Settings(
            home=tmp_path / f"home-{name is None}", pool_n_ctx=512, pool_draft_model=name
        )
        address = ensure_pool(settings)
        try:
            answers.append(asyncio.run(ask(address, str(model))))
        finally:
            stop_pool(settings)

    assert answers[0].text == answers[1].text
    log = (tmp_path / "home-False" / "pool.log").read_text()
    assert ("going on without the draft model" in log) != fits


async def ask(address: PoolAddress, model: str) -> ChatAnswer:
    async with PoolClient(address.url, address.api_key) as client:
        return await client.chat(model, [Message("user", "hello")], Sampling(max_tokens=40))
