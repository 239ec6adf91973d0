"""The engine over a real llama.cpp with a tiny model of random weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.engines import always_guess, make_runner, request, run, steps
from support.tiny_model import EOG, write_tiny_model

from tasks.errors import ModelError
from tasks.pool.engine import Engine
from tasks.pool.model_runner import ModelRunner
from tasks.pool.protocol import Done, Refused, Text

SHARED = list(b"The beginning that all of these prompts share, longer than a copy costs. ")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def runner(model: Path) -> Iterator[ModelRunner]:
    runner = make_runner(model, 4)
    yield runner
    runner.close()


@pytest.fixture
def engine(runner: ModelRunner) -> Engine:
    """A fresh engine: its first admissions clear whatever the slots hold."""
    return Engine(runner)


def test_a_shared_prefix_is_counted_and_does_not_change_the_answer(
    model: Path, engine: Engine
) -> None:
    """Reused from the own slot, copied from another, or computed: the same text."""
    prompts = [SHARED + list(f"Then {n}.".encode()) for n in range(4)]
    fresh = [run(Engine(make_runner(model, 1)), request(p))[0] for p in prompts]

    first = run(engine, *(request(p) for p in prompts))
    again = run(engine, *(request(p) for p in prompts))

    assert [answer.cached_tokens for answer in fresh] == [0] * 4
    assert first[0].cached_tokens == 0
    assert all(answer.cached_tokens >= 64 for answer in first[1:])  # n_batch, at least
    assert [len(p) - 1 for p in prompts] == [answer.cached_tokens for answer in again]
    assert [a.text for a in fresh] == [a.text for a in first] == [a.text for a in again]


def test_a_long_prompt_does_not_stall_a_running_answer(engine: Engine) -> None:
    """While 300 tokens are prefilled in pieces, the other gets a token every step."""
    running = request("a", 40, stream=True)
    engine.add(running)
    engine.step(lambda _: None)
    engine.add(request("b" * 300, 1))
    seen = []
    for _ in range(5):
        events = engine.step(lambda _: None)
        seen.append([event.id for event in events if isinstance(event, Text)])

    assert [[running.id]] * 5 == seen
    engine.cancel(running.id)


def test_stop_strings_end_the_text_before_them(engine: Engine) -> None:
    """Also those that span tokens: the tiny model's tokens are single bytes."""
    whole = run(engine, request("stop here"))[0]
    stop = whole.text[5:8]

    answer = run(engine, request("stop here", stop=[stop]))[0]

    assert (whole.text[: whole.text.index(stop)], "stop") == (answer.text, answer.finish_reason)
    assert answer.completion_tokens < whole.completion_tokens


def test_the_same_seed_gives_the_same_text_and_another_one_another(engine: Engine) -> None:
    """Also beside other requests."""
    options = {"temperature": 1.5, "top_p": 0.95, "min_p": 0.01, "top_k": 50}
    alone = run(engine, request("seeds", seed=1, **options))[0]
    beside = run(engine, *(request("seeds", seed=n, **options) for n in (1, 2, 3)))

    assert alone.text == beside[0].text
    assert len({answer.text for answer in beside}) == 3


def test_ignore_eos_gives_the_full_length(engine: Engine) -> None:
    """A bias makes the end token certain; ignoring it, the answer still has its length."""
    wants_end = {str(EOG): 100.0}

    ended = run(engine, request("x", 50, ignore_eos=False, logit_bias=wants_end))[0]
    ignored = run(engine, request("x", 50, ignore_eos=True))[0]

    assert (ended.text, ended.finish_reason, ended.completion_tokens) == ("", "stop", 1)
    assert (ignored.finish_reason, ignored.completion_tokens) == ("length", 50)


def test_a_frequency_penalty_breaks_a_repetition(engine: Engine) -> None:
    """A bias makes one letter certain; the penalty wins in the end."""
    loop = {str(ord("a")): 25.0}

    plain = run(engine, request("x", logit_bias=loop))[0]
    penalised = run(engine, request("x", logit_bias=loop, frequency_penalty=2.0))[0]

    assert plain.text.count("a") > 20
    assert penalised.text.count("a") < plain.text.count("a") - 5


def test_a_grammar_holds_the_form(engine: Engine) -> None:
    grammar = 'root ::= "[" [0-9] "] " ("yes" | "no")'

    answer = run(engine, request("x", grammar=grammar, ignore_eos=False))[0]

    assert answer.text[:1] + answer.text[2:4] == "[] "
    assert answer.text[4:] in ("yes", "no")


def test_a_bad_grammar_or_token_is_refused_alone(engine: Engine) -> None:
    grammar = engine.add(request("x", grammar="root ::= ("))
    token = engine.add(request([1, 100_000]))
    long = engine.add(request("x" * 500, 13))

    codes = ["invalid_grammar", "invalid_tokens", "context_length_exceeded"]
    assert codes == [r.code for r in (grammar, token, long) if isinstance(r, Refused)]
    assert not engine.busy


def test_logprobs_are_of_the_chosen_token_among_all(runner: ModelRunner, engine: Engine) -> None:
    """They are a log-softmax of the logits, for sampled tokens too."""
    top = runner.n_vocab
    answer = run(engine, request("x", 5, logprobs=top, temperature=2.0, seed=4, ignore_eos=False))[
        0
    ]

    for token in answer.logprobs:
        assert np.isclose(1.0, sum(np.exp(t["logprob"]) for t in token["top_logprobs"]))
        assert (token["bytes"], token["logprob"]) in [
            (t["bytes"], t["logprob"]) for t in token["top_logprobs"]
        ]


def test_cancelling_frees_the_slot(model: Path) -> None:
    """With one slot and an endless answer in it, the next one starts after cancel()."""
    engine = Engine(make_runner(model, 1))
    endless, next_one = request("endless", 400), request("next", 3)
    assert engine.add(endless) is None
    engine.step(lambda _: None)
    waiting = request("waiting", 400)
    assert engine.add(waiting) is None
    engine.cancel(waiting.id)
    engine.cancel(endless.id)

    assert not engine.busy
    assert run(engine, next_one)[0].finish_reason == "length"


def test_a_streamed_answer_is_the_plain_one_in_parts(engine: Engine) -> None:
    plain = run(engine, request("stream me", stop=["zzz"]))[0]
    streamed = request("stream me", stop=["zzz"], stream=True)
    assert engine.add(streamed) is None
    parts = []
    while engine.busy:
        parts += [e.text for e in engine.step(lambda _: None) if isinstance(e, Text | Done)]

    assert len(parts) > 5
    assert plain.text == "".join(parts)


def test_times_add_up(engine: Engine) -> None:
    answer = run(engine, request("time", waited_s=2.0))[0]

    assert answer.queue_s >= 2.0
    assert answer.prefill_s > 0
    assert answer.decode_s > 0


def test_the_context_is_never_larger_than_the_model_was_trained_on(tmp_path: Path) -> None:
    runner = make_runner(write_tiny_model(tmp_path / "short.gguf", n_ctx_train=300), 2)

    assert runner.n_ctx == 300
    runner.close()


def test_a_file_that_is_no_model_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(100))

    with pytest.raises(ModelError, match=r"bad\.gguf"):
        make_runner(tmp_path / "bad.gguf", 1)


COPIED = "every name, each figure and whole phrases as they stand in what was asked"
COPYING = f'root ::= "{COPIED}"'


@pytest.mark.slow
def test_what_is_copied_from_the_prompt_takes_fewer_steps(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is the same: a grammar makes the model copy, as names and figures are copied."""
    always_guess(monkeypatch)
    taken, texts = [], []
    for n_draft in (0, 32):
        runner = make_runner(model, 2, n_draft=n_draft)
        asked = request(f"copy: {COPIED}!", 80, grammar=COPYING, ignore_eos=False)
        [answer] = run(Engine(runner), asked)
        texts.append(answer.text)
        taken.append(steps(Engine(runner), asked))
        runner.close()

    assert texts == [COPIED, COPIED]
    assert taken[1] < taken[0] / 3


@pytest.mark.slow
def test_dry_keeps_an_answer_from_repeating_itself(engine: Engine) -> None:
    """A model that is biased to two tokens alone says them in turns; DRY makes it stop doing so."""
    bias = {str(token): 100.0 for token in b"ab"}
    plain, dry = run(
        engine,
        request("say", 24, logit_bias=bias),
        request("say", 24, logit_bias=bias, dry_multiplier=50.0, dry_allowed_length=2),
    )

    def longest_repetition(text: str) -> int:
        return max(n for n in range(len(text)) if text[-n:] in text[:-1])

    assert longest_repetition(dry.text) < longest_repetition(plain.text)
