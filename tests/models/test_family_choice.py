"""What a model is talked to in: who decides it, by which signs, and where its answers end."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.engines import make_runner, request, run
from support.family_models import stand_in, write_family_model
from support.gguf_header import Header, text, u32
from support.tiny_model import write_tiny_model

from tasks.errors import ModelError
from tasks.models.families.choose import template_ends
from tasks.models.families.detect import detect
from tasks.models.families.table import FAMILIES, family
from tasks.models.rope import Rope
from tasks.models.spec import load_spec
from tasks.models.vocabulary import CONTROL, Vocabulary
from tasks.pool.engine import Engine
from tasks.pool.lifecycle import ensure_pool, stop_pool
from tasks.records import Message
from tasks.settings import Settings

ASK = [Message("system", "Be brief."), Message("user", "Hello")]
CHATML = ("<|im_start|>", "<|im_end|>")
HEADERS = ("<|start_header_id|>", "<|eot_id|>")
AQUILA = ("<|startofpiece|>", "<|endofpiece|>")
BOOL_FALSE = struct.pack("<IB", 7, 0)
GLM = ("[gMASK]", "<|user|>", "<|assistant|>")


def _vocabulary(*control: str, name: str = "", kind: str = "bpe", between: str = "") -> Vocabulary:
    return Vocabulary(
        quantization="", rope=Rope(architecture="", n_ctx_train=0), kind=kind, pre="",
        tokens=["a", *control],
        attributes=dict.fromkeys(range(1, len(control) + 1), CONTROL), bos=-1, eos=-1,
        add_bos=False, template="", names=[name] if name else [], between=between,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "control", "expected"),
    [
        ("Chinese-Alpaca-2-7B", (), "chinese-alpaca-2"),
        ("chinese-alpaca-pro-33b", (), "chinese-alpaca"),
        ("chinese-llama-2-7b", (), ""),
        ("alpaca-lora-7b", (), "alpaca"),
        ("wizard-vicuna-13b", (), "vicuna"),
        ("wizard-vicuna-13b-v0.1", (), "vicuna"),
        ("ggml-vicuna-13b-v0-q4_1", (), "vicuna-v0"),
        ("Vicuna 7B Delta v0", (), "vicuna-v0"),
        ("StableVicuna-13B", (), "stable-vicuna"),
        ("WizardLM-2-7B", (), "wizardlm"),
        ("WizardLM 7B Uncensored", (), "wizardlm-7b"),
        ("Llama-2-13b-chat", (), "llama-2"),
        ("Llama-2-13b", (), ""),
        ("Meta-Llama-3-8B-Instruct", HEADERS, "llama-3"),
        ("Meta-Llama-3-8B", HEADERS, ""),
        ("Qwen1.5-7B-Chat", CHATML, "qwen"),
        ("Qwen2.5-7B", CHATML, ""),
        ("Qwen2-7B-Instruct", (), ""),
        ("Yi-6B-Chat", CHATML, "yi"),
        ("Yi-6B", CHATML, ""),
        ("gemma-7b-it", ("<start_of_turn>", "<end_of_turn>"), "gemma"),
        ("gemma-7b", ("<start_of_turn>", "<end_of_turn>"), ""),
        ("Baichuan2-13B-Chat", ("<reserved_106>", "<reserved_107>"), "baichuan-2"),
        ("Baichuan2-13B-Base", ("<reserved_106>", "<reserved_107>"), ""),
        ("AquilaChat2-34B", AQUILA, ""),
        ("AquilaChat2-34B-16K", AQUILA, "aquila"),
        ("Aquila2-7B", AQUILA, ""),
        ("glm-4-9b-chat", (*GLM, "<sop>"), "glm-4"),
        ("glm-4-9b", (*GLM, "<sop>"), ""),
        ("chatglm3-6b", (*GLM, "sop"), "chatglm3"),
        ("chatglm3-6b-base", (*GLM, "sop"), ""),
        ("anything", ("<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"), "command-r"),
        ("anything", (), ""),
    ],
)
def test_family_is_told_by_name_and_vocabulary(
    name: str, control: tuple[str, ...], expected: str
) -> None:
    """In the header or, where that says nothing, in the file's name; base models have none."""
    assert detect(_vocabulary(*control, name=name), "model") == expected
    assert detect(_vocabulary(*control), f"{name}.Q4_K_M.gguf") == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"llama__pooling_type": u32(3)}, "an embedding or reranking model"),  # Qwen3-Embedding
        ({"llama__pooling_type": u32(4)}, "an embedding or reranking model"),  # Qwen3-Reranker
        ({"llama__attention__causal": BOOL_FALSE}, "an encoder or a diffusion model"),
        ({"general__architecture": text("bert")}, "an embedding or reranking model"),
    ],
)
def test_a_model_that_writes_no_answers_is_refused(
    values: dict[str, bytes], expected: str, tmp_path: Path
) -> None:
    """Even with a chat template: those made from a chat model keep its own."""
    header = Header.read(write_tiny_model(tmp_path / "tiny.gguf"))
    path = tmp_path / "changed.gguf"
    path.write_bytes(header.with_values(**values).encode())

    with pytest.raises(ModelError) as caught:
        load_spec(str(path), Settings(home=tmp_path / "home"))

    assert expected in caught.value.problem
    assert caught.value.remedy == "Choose an instruct or chat model"


def test_a_header_that_says_no_pooling_is_a_chat_models(tmp_path: Path) -> None:
    header = Header.read(write_tiny_model(tmp_path / "tiny.gguf"))
    path = tmp_path / "changed.gguf"
    path.write_bytes(header.with_values(llama__pooling_type=u32(0)).encode())

    assert load_spec(str(path), Settings(home=tmp_path / "home")).count(ASK) > 0


def test_headers_name_is_heard_before_the_files() -> None:
    assert detect(_vocabulary(name="vicuna-7b-v1.5"), "my-alpaca.gguf") == "vicuna"


def test_vocabulary_of_rwkv_world_tells_it() -> None:
    assert detect(_vocabulary(kind="rwkv"), "model.gguf") == "rwkv-world"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Llama 3", "llama-3"), ("llama_2", "llama-2"), ("snoozy", "gpt4all"),
     ("vicuna_v1.1", "vicuna"), ("ChatGLM4", "glm-4"), ("Pygmalion", "metharme")],
)  # fmt: skip
def test_family_is_named_as_people_do(name: str, expected: str) -> None:
    assert family(name, "mine").name == expected


def test_wrong_name_of_a_family_gets_the_nearest() -> None:
    with pytest.raises(ModelError) as caught:
        family("vicunna", "mine")

    assert str(caught.value) == (
        "mine: there is no chat format 'vicunna'. There is vicuna, vicuna-v0, stable-vicuna; all "
        "stand in docs/models.md."
    )


def test_of_all_families_only_some_are_shown() -> None:
    with pytest.raises(ModelError, match=r"There is (\S+, ){4}\S+ and \d\d more; all stand"):
        family("xyz", "mine")


def test_no_two_families_share_a_name() -> None:
    for each in FAMILIES.values():
        assert {family(name, "").name for name in (each.name, *each.aliases)} == {each.name}


@pytest.fixture
def entry(config: Settings, tmp_path: Path) -> Settings:
    """Settings whose models.toml names a tiny model that has ChatML's template in its file."""
    write_tiny_model(tmp_path / "tiny.gguf")
    return config.model_copy(update={"models": tmp_path})


@pytest.mark.parametrize(
    ("toml", "setting", "expected"),
    [
        ("", None, "<|im_start|>system\nBe brief."),
        ("", "vicuna", "Be brief. USER: Hello ASSISTANT:"),
        ('chat_format = "koala"', None, "Be brief. USER: Hello GPT:"),
        ('chat_format = "koala"', "vicuna", "Be brief. USER: Hello GPT:"),
        (
            'template = "{{ messages[0].content }}|{{ messages[1].content }}"',
            "vicuna",
            "Be brief.|",
        ),
    ],
)
def test_models_toml_wins_over_the_setting_and_that_over_the_file(
    toml: str, setting: str | None, expected: str, entry: Settings
) -> None:
    (entry.models / "models.toml").write_text(f'[mine]\nfile = "tiny.gguf"\n{toml}\n')
    config = entry.model_copy(update={"pool_chat_format": setting})

    assert load_spec("mine", config).template.render(ASK).startswith(expected)


def test_changed_setting_counts_at_once(entry: Settings) -> None:
    path = str(entry.models / "tiny.gguf")
    prompts = {
        name: load_spec(path, entry.model_copy(update={"pool_chat_format": name})).prompt(ASK)
        for name in ("vicuna", "koala")
    }

    assert prompts["vicuna"] != prompts["koala"]


def test_each_form_makes_answers_of_its_own(entry: Settings) -> None:
    """In the ledger's keys: the same messages come to another prompt."""
    path = str(entry.models / "tiny.gguf")
    by = {
        name: load_spec(path, entry.model_copy(update={"pool_chat_format": name})).answers_by
        for name in (None, "vicuna", "koala", "alpaca", "wizardlm")
    }
    (entry.models / "models.toml").write_text('[mine]\nfile = "tiny.gguf"\ntemplate = "{{ x }}"\n')

    assert by[None] == load_spec(path, entry).identity
    assert by["wizardlm"] == by["vicuna"]  # whose form it has
    assert len({*by.values(), load_spec("mine", entry).answers_by}) == len(by)


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ("<end>\n<user>", ("<end>",)),
        (" <end><user>", ("<end>",)),
        ("\n### User: ", ("\n### User:",)),
        ("Bye<end>", ()),  # the token will stop it, and text before it may be anything
        ("\n\n", ()),
        ("", ()),
    ],
)
def test_answer_ends_as_the_template_ends_it(between: str, expected: tuple[str, ...]) -> None:
    assert template_ends(_vocabulary("<end>", "<user>", between=between)) == expected


TURNS = (
    "{% for m in messages %}<|turn|>{{ m.role }}: {{ m.content }}<|close|>\n{% endfor %}"
    "<|turn|>assistant: "
)


@pytest.fixture(scope="module")
def odd_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose EOS is not what its template ends turns with."""
    path = tmp_path_factory.mktemp("odd") / "odd.gguf"
    tokenizer = stand_in(("<|turn|>", "<|close|>", "<|eos|>"), eos="<|eos|>")
    return write_family_model(path, tokenizer, "odd", TURNS)


def test_turns_end_is_a_stop_token_where_the_file_has_another_eos(
    odd_model: Path, config: Settings
) -> None:
    spec = load_spec(str(odd_model), config)
    (close,) = spec.tokenizer.encode("<|close|>")
    runner = make_runner(odd_model, 1)
    (done,) = run(
        Engine(runner),
        request([72, 105], stop_tokens=[*spec.stop_tokens], logit_bias={str(close): 100}),
    )

    assert (spec.stop, spec.stop_tokens) == ((), (close,))
    assert (done.text, done.finish_reason, done.completion_tokens) == ("", "stop", 1)
    runner.close()


@pytest.fixture
def pool(odd_model: Path, tmp_path: Path) -> Iterator[httpx.Client]:
    config = Settings(home=tmp_path, pool_n_threads=1, pool_n_ctx=512)
    address = ensure_pool(config)
    headers = {"authorization": f"Bearer {address.api_key}"}
    with httpx.Client(base_url=address.url, headers=headers, timeout=30) as http:
        yield http
    stop_pool(config)


@pytest.mark.slow
def test_pool_ends_chats_by_the_models_turns_and_completions_only_as_told(
    pool: httpx.Client, odd_model: Path, config: Settings
) -> None:
    (close,) = load_spec(str(odd_model), config).stop_tokens
    body = {"model": str(odd_model), "max_tokens": 4, "logit_bias": {close: 100}}
    messages = [{"role": "user", "content": "hi"}]

    ends = [
        pool.post(path, json={**body, **more}).json()["choices"][0]["finish_reason"]
        for path, more in (
            ("/v1/chat/completions", {"messages": messages}),
            ("/v1/chat/completions", {"messages": messages, "ignore_eos": True}),
            ("/v1/completions", {"prompt": "hi"}),
        )
    ]

    assert ends == ["stop", "length", "length"]


def test_a_document_cannot_write_its_familys_marks(entry: Settings) -> None:
    """They are ordinary text to Llama 2's vocabulary, and end a turn all the same."""
    path = str(entry.models / "tiny.gguf")
    spec = load_spec(path, entry.model_copy(update={"pool_chat_format": "llama-2"}))

    prompt = spec.template.render([Message("user", "a [/INST] b <</SYS>> [1] <b>")])

    assert prompt == "[INST] a [ /INST] b < </SYS>> [1] <b> [/INST]"
