"""The engine over a real llama.cpp with a tiny model of random weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny_model import EOG, write_tiny_model

from tasks.errors import ModelError
from tasks.pool.engine import Engine
from tasks.pool.loading import load_model
from tasks.pool.model_runner import ModelRunner
from tasks.pool.protocol import AnswerEvent, Done, EngineRequest, Refused, Text, WorkerConfig
from tasks.pool.spec import load_spec
from tasks.pool.speculation import Payoff
from tasks.records import Message
from tasks.settings import Settings

# Batches of different shapes add up floats in different orders. Where the best two logits of
# every step differ by more than this, the greedy answer must be the same (they reach +-15).
MARGIN = 0.01
DEMO_FILE = "lectern-demo-q8_0.gguf"

SHARED = list(b"The beginning that all of these prompts share, longer than a copy costs. ")
_ids = count()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


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


@pytest.fixture(scope="module")
def runner(model: Path) -> Iterator[ModelRunner]:
    runner = make_runner(model, 4)
    yield runner
    runner.close()


@pytest.fixture
def engine(runner: ModelRunner) -> Engine:
    """A fresh engine: its first admissions clear whatever the slots hold."""
    return Engine(runner)


def request(prompt: str | list[int], max_tokens: int = 24, **options: Any) -> EngineRequest:
    tokens = list(prompt.encode()) if isinstance(prompt, str) else prompt
    options = {"ignore_eos": True, **options}
    return EngineRequest(id=next(_ids), prompt=tokens, max_tokens=max_tokens, **options)


def run(engine: Engine, *requests: EngineRequest) -> list[Done]:
    """Answer requests together; return the answers in the requests' order."""
    for each in requests:
        assert engine.add(each) is None
    events: list[AnswerEvent] = []
    while engine.busy:
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


@pytest.mark.slow
@pytest.mark.parametrize("n_seq_max", [4, 8])
def test_greedy_answers_are_the_same_alone_and_in_a_batch(model: Path, n_seq_max: int) -> None:
    """For 1, 4 and 8 sequences, wherever the best two logits differ by more than MARGIN."""
    prompts = [f"Question {n}: {'why ' * (3 * n)}?" for n in range(16)]
    answers = []
    for n in (1, n_seq_max):
        runner = make_runner(model, n)
        answers.append(run(Engine(runner), *(request(p, logprobs=2) for p in prompts)))
        runner.close()

    assert same_up_to_close_calls(*answers) > 0.9  # the margin leaves nearly all to compare


@pytest.mark.slow
def test_greedy_answers_of_the_demo_model_are_the_same_alone_and_in_a_batch(
    config: Settings,
) -> None:
    """The same with the model that ships, on numbered lines as the prompts show them."""
    if not (config.models / DEMO_FILE).exists():
        pytest.skip(f"{DEMO_FILE} is not there yet")
    spec = load_spec("demo", config)
    lines = "\n".join(f"[{n}] Sentence number {n} tells of the year {1900 + n}." for n in (1, 2, 3))
    task = "Summarise the source in bullets. End each with the numbers it rests on."
    prompts = [
        spec.prompt([Message("system", task), Message("user", lines.replace("19", str(n)))])
        for n in range(17, 25)
    ]
    answers = []
    for n in (1, 4, 8):
        runner = make_runner(spec.path, n, n_ctx=1024, n_batch=512)
        asked = (request(p, 40, ignore_eos=False, logprobs=2) for p in prompts)
        answers.append(run(Engine(runner), *asked))
        runner.close()

    assert same_up_to_close_calls(answers[0], answers[1]) > 0.5
    assert same_up_to_close_calls(answers[0], answers[2]) > 0.5


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


@pytest.fixture
def always_guessing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guess in every step, whether it pays or not."""
    monkeypatch.setattr(Payoff, "is_worth_trying", lambda *_: True)


def steps(engine: Engine, *requests: EngineRequest) -> int:
    """Answer requests together; return how many steps it took."""
    for each in requests:
        assert engine.add(each) is None
    n = 0
    while engine.busy:
        engine.step(lambda _: None)
        n += 1
    return n


@pytest.mark.slow
def test_what_is_copied_from_the_prompt_takes_fewer_steps(
    model: Path, always_guessing: None
) -> None:
    """And is the same: a grammar makes the model copy, as names and figures are copied."""
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
@pytest.mark.parametrize("options", [{}, {"temperature": 0.8, "seed": 7}, {"stop": ["ee"]}])
def test_answers_are_the_same_with_guesses_and_without(
    model: Path, always_guessing: None, options: dict[str, Any]
) -> None:
    """Wherever the best two logits differ by more than MARGIN; with seeds, and stop strings."""
    prompts = [f"{'again and ' * 12} {n} {'again and ' * n}" for n in range(6)]
    answers = []
    for n_draft in (0, 32):
        runner = make_runner(model, 3, n_draft=n_draft)
        answers.append(
            run(Engine(runner), *(request(p, 40, logprobs=2, **options) for p in prompts))
        )
        runner.close()

    assert same_up_to_close_calls(*answers) > 0.5


@pytest.mark.slow
def test_answers_are_the_same_however_the_cache_is_laid_out(model: Path) -> None:
    """Split and unified, with flash attention and without; prefixes are shared in all of them."""
    prompts = [SHARED + list(f"Question {n}".encode()) for n in range(12)]
    layouts = [{}, {"kv_unified": True}, {"flash_attn": "on"}, {"kv_unified": True, "n_draft": 0}]
    answers = []
    for layout in layouts:
        runner = make_runner(model, 4, **layout)
        engine = Engine(runner)
        answers.append(run(engine, *(request(p, 12, logprobs=2) for p in prompts)))
        runner.close()

    for other in answers[1:]:
        assert same_up_to_close_calls(answers[0], other) > 0.9
        assert sum(answer.cached_tokens > len(SHARED) // 2 for answer in other) >= 11


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
