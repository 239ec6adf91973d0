"""Other programs use the pool: the real `openai` client, and LangChain's ChatOpenAI on top of it.

One pool with a tiny model serves all; what it says is noise, so the answers are compared with
each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from support.tiny_model import write_tiny_model

from tasks.pool.lifecycle import PoolAddress, ensure_pool, stop_pool
from tasks.settings import Settings

pytestmark = pytest.mark.slow

HELLO: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}]
GREEDY: Any = {"temperature": 0, "max_tokens": 8, "extra_body": {"ignore_eos": True}}
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf"))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolAddress]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, pool_n_threads=1, pool_n_ctx=512, pool_n_seq_max=4)
    yield ensure_pool(settings)
    stop_pool(settings)


@pytest.fixture(scope="module")
def client(pool: PoolAddress) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{pool.url}/v1", api_key=pool.api_key, max_retries=0) as made:
        yield made


def said(client: openai.OpenAI, model: str, **options: Any) -> str:
    whole = client.chat.completions.create(model=model, messages=HELLO, **{**GREEDY, **options})
    return whole.choices[0].message.content or ""


# The openai client.


def test_chat(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=HELLO, **GREEDY)

    assert (answer.object, answer.model) == ("chat.completion", model)
    choice = answer.choices[0]
    assert (choice.message.role, choice.finish_reason) == ("assistant", "length")
    assert choice.message.content
    assert answer.usage
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8
    assert answer.usage.prompt_tokens_details


def test_stream_says_the_same_and_its_role_once(client: openai.OpenAI, model: str) -> None:
    """Usage comes with the last event alone: some clients add up what they get."""
    stream = client.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}, **GREEDY
    )
    events = list(stream)

    deltas = [choice.delta for event in events for choice in event.choices]
    assert "".join(delta.content or "" for delta in deltas) == said(client, model)
    assert [delta.role for delta in deltas if delta.role] == ["assistant"]
    assert [bool(event.usage) for event in events] == [False] * (len(events) - 1) + [True]


def test_stream_helper_puts_the_answer_together(client: openai.OpenAI, model: str) -> None:
    """It takes an answer that its cap ended for an error, hence the stop."""
    options = {**GREEDY, "stop": said(client, model)[3:5]}
    with client.chat.completions.stream(model=model, messages=HELLO, **options) as stream:
        whole = stream.get_final_completion()

    assert whole.choices[0].message.content == said(client, model, **options)
    assert whole.choices[0].message.role == "assistant"


def test_chat_logprobs_whole_and_streamed(client: openai.OpenAI, model: str) -> None:
    options: Any = {**GREEDY, "logprobs": True, "top_logprobs": 2}
    whole = client.chat.completions.create(model=model, messages=HELLO, **options)
    stream = client.chat.completions.create(model=model, messages=HELLO, stream=True, **options)

    assert whole.choices[0].logprobs
    tokens = whole.choices[0].logprobs.content or []
    assert len(tokens) == 8
    assert all(len(token.top_logprobs) == 2 for token in tokens)
    assert all(token.logprob == token.top_logprobs[0].logprob <= 0 for token in tokens)
    streamed = [
        token
        for event in stream
        for choice in event.choices
        if choice.logprobs
        for token in choice.logprobs.content or []
    ]
    assert [token.token for token in streamed] == [token.token for token in tokens]


def test_plain_completions(client: openai.OpenAI, model: str) -> None:
    """The prompt is text, tokens, or a list with one text, as older programs send it."""
    prompts: list[Any] = ["abc", [97, 98, 99], ["abc"]]
    answers = [
        client.completions.create(model=model, prompt=prompt, logprobs=1, **GREEDY)
        for prompt in prompts
    ]
    stream = client.completions.create(model=model, prompt="abc", stream=True, **GREEDY)

    texts = {answer.choices[0].text for answer in answers}
    assert texts == {"".join(event.choices[0].text for event in stream if event.choices)}
    assert answers[0].choices[0].logprobs
    assert len(answers[0].choices[0].logprobs.token_logprobs or []) == 8
    with pytest.raises(openai.BadRequestError, match="one prompt"):
        client.completions.create(model=model, prompt=["abc", "def"], **GREEDY)


def test_limits_stops_and_seeds_are_heeded(client: openai.OpenAI, model: str) -> None:
    whole = said(client, model)

    assert said(client, model, max_tokens=openai.omit, max_completion_tokens=8) == whole
    assert said(client, model, stop=[whole[2:4]]) == whole.partition(whole[2:4])[0]
    dice: Any = {"temperature": 1.5, "max_tokens": 24}
    assert said(client, model, seed=7, **dice) == said(client, model, seed=7, **dice)
    assert said(client, model, seed=7, **dice) != said(client, model, seed=8, **dice)


def test_models_are_listed_and_headers_can_be_read(client: openai.OpenAI, model: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO, **GREEDY)

    assert raw.headers["content-type"] == "application/json"
    assert raw.parse().choices[0].message.content == said(client, model)
    assert model in [each.id for each in client.models.list()]
    assert client.models.retrieve(model).id == model
    with pytest.raises(openai.NotFoundError, match=r"lectern models list"):
        client.models.retrieve("another")


def test_asynchronous_client(pool: PoolAddress, client: openai.OpenAI, model: str) -> None:
    async def ask() -> tuple[list[Any], str]:
        async with openai.AsyncOpenAI(base_url=f"{pool.url}/v1", api_key=pool.api_key) as there:
            create = there.chat.completions.create
            answers = await asyncio.gather(
                *(create(model=model, messages=HELLO, **GREEDY) for _ in range(6))
            )
            stream = await create(model=model, messages=HELLO, stream=True, **GREEDY)
            return list(answers), "".join(
                [c.delta.content or "" async for event in stream for c in event.choices]
            )

    answers, streamed = asyncio.run(ask())

    assert {each.choices[0].message.content for each in answers} == {streamed}
    assert streamed == said(client, model)


# What it refuses.


def test_wrong_key_is_an_authentication_error(pool: PoolAddress, model: str) -> None:
    with openai.OpenAI(base_url=f"{pool.url}/v1", api_key="no") as stranger:
        with pytest.raises(openai.AuthenticationError):
            said(stranger, model)
        with pytest.raises(openai.AuthenticationError):
            list(stranger.models.list())


def test_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=r"nowhere\.gguf") as caught:
        said(client, "/nowhere.gguf")

    assert caught.value.code == "model_error"


def test_prompt_that_is_too_long_is_named_as_such(client: openai.OpenAI, model: str) -> None:
    long: Any = [{"role": "user", "content": "too long " * 200}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model, messages=long, **GREEDY)

    assert caught.value.code == "context_length_exceeded"


IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"temperature": -1}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"tools": [TOOL]}, "tools"),
        ({"functions": [TOOL["function"]]}, "functions"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": IMAGE}, "messages"),
        ({"messages": []}, "messages"),
    ],
)
def test_what_the_pool_can_not_do_is_refused_by_name(
    client: openai.OpenAI, model: str, options: dict[str, Any], parameter: str
) -> None:
    """Rather than answered as if it had not been asked for."""
    wanted = {"model": model, "messages": HELLO, **GREEDY, **options}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**wanted)

    error: Any = caught.value.body
    assert caught.value.param == parameter
    assert error["message"].startswith(parameter)
    assert error["type"] == "invalid_request_error"


def test_pictures_and_empty_prompts_are_refused_in_plain_words(
    client: openai.OpenAI, model: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=r"the pool reads text, no image_url"):
        client.chat.completions.create(model=model, messages=IMAGE, **GREEDY)
    with pytest.raises(openai.BadRequestError, match=r"the prompt has no tokens"):
        client.completions.create(model=model, prompt=[], **GREEDY)


@pytest.mark.parametrize("parameter", ["echo", "suffix", "best_of"])
def test_what_plain_completions_can_not_do_is_refused(
    client: openai.OpenAI, model: str, parameter: str
) -> None:
    values: dict[str, Any] = {"echo": True, "suffix": "the end", "best_of": 3}
    wanted: Any = {**GREEDY, parameter: values[parameter]}
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=model, prompt="abc", **wanted)

    assert caught.value.param == parameter


def test_what_changes_nothing_is_taken(client: openai.OpenAI, model: str) -> None:
    nothing: Any = {
        "n": 1, "tools": [], "response_format": {"type": "text"}, "user": "me", "store": False,
        "logit_bias": {}, "metadata": {"a": "b"}, "parallel_tool_calls": True,
    }  # fmt: skip

    assert said(client, model, **nothing) == said(client, model)
    unused: Any = {"tools": [TOOL], "tool_choice": "none"}
    assert said(client, model, **unused) == said(client, model)


# LangChain.


@pytest.fixture
def chain(pool: PoolAddress, model: str, monkeypatch: pytest.MonkeyPatch) -> ChatOpenAI:
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    made: Any = ChatOpenAI
    return made(
        base_url=f"{pool.url}/v1", api_key=pool.api_key, model=model, temperature=0, max_tokens=8,
        max_retries=0, extra_body={"ignore_eos": True},
    )  # fmt: skip


ASK = [SystemMessage("Be brief."), HumanMessage("Hello.")]


def test_langchain_invokes(chain: ChatOpenAI, client: openai.OpenAI, model: str) -> None:
    answer = chain.invoke(ASK)

    assert answer.content == said(client, model)
    assert answer.usage_metadata
    assert answer.usage_metadata["output_tokens"] == 8
    assert answer.response_metadata["finish_reason"] == "length"


def test_langchain_streams(chain: ChatOpenAI, client: openai.OpenAI, model: str) -> None:
    """Whether it asks for usage or not, it counts it once."""
    for stream_usage in (True, False):
        whole = AIMessageChunk("")
        for piece in chain.stream(ASK, stream_usage=stream_usage):
            assert isinstance(piece, AIMessageChunk)
            whole += piece

        assert whole.content == said(client, model)
        assert whole.usage_metadata
        assert whole.usage_metadata["output_tokens"] == 8


def test_langchain_batches(chain: ChatOpenAI) -> None:
    """In threads and in tasks; the answers come in order."""
    prompts = [f"Say {n}." for n in range(5)]
    one_by_one = [chain.invoke(prompt).content for prompt in prompts]

    assert [each.content for each in chain.batch(list(prompts))] == one_by_one
    together = asyncio.run(chain.abatch(list(prompts)))
    assert [each.content for each in together] == one_by_one


def test_langchain_reads_logprobs(chain: ChatOpenAI) -> None:
    answer = chain.bind(logprobs=True).invoke(ASK)

    assert len(answer.response_metadata["logprobs"]["content"]) == 8


def test_langchain_with_tools_is_told_that_there_are_none(chain: ChatOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="tools"):
        chain.bind_tools([TOOL]).invoke(ASK)
