"""A model's spec: what it is put together from, its limits, and the errors of unfit models."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from support.gguf_edit import write_vocabulary
from support.tiny_model import write_tiny_model
from support.vocabularies import CHATML, vocabulary_file

from tasks.errors import ModelError
from tasks.models.spec import ModelSpec, load_spec
from tasks.records import Message
from tasks.settings import Settings

ASK = [Message("system", "Be brief."), Message("user", "Hello 你好")]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny.gguf")


def test_path_gives_a_spec_without_limits(model: Path, config: Settings) -> None:
    spec = load_spec(str(model), config)

    assert (spec.name, spec.path) == (str(model), model)
    assert (spec.n_ctx_train, spec.note) == (4096, "")
    assert (spec.max_prompt_tokens, spec.max_lines, spec.max_line_tokens) == (None, None, None)
    assert len(spec.identity) == 64


def test_reading_the_vocabulary_is_told_after_the_last_byte(model: Path, config: Settings) -> None:
    """It takes seconds for a large one, in which the bar would stand at its end."""
    told: list[tuple[str, int, int]] = []
    load_spec(str(model), config, lambda *what: told.append(what))

    assert told[-2][1] == told[-2][2] == model.stat().st_size
    assert told[-1] == (f"reading the vocabulary of {model.name}", 0, 0)


def test_name_from_models_toml_gives_its_limits_and_note(model: Path, config: Settings) -> None:
    (model.parent / "models.toml").write_text(
        f'[mine]\nfile = "{model.name}"\nmax_prompt_tokens = 900\nmax_lines = 6\n'
        'max_line_tokens = 120\nnote = "A toy."\n'
    )

    spec = load_spec("mine", config.model_copy(update={"models": model.parent}))

    assert (spec.name, spec.path, spec.note) == ("mine", model, "A toy.")
    assert (spec.max_prompt_tokens, spec.max_lines, spec.max_line_tokens) == (900, 6, 120)


def test_template_of_models_toml_wins(model: Path, config: Settings) -> None:
    (model.parent / "models.toml").write_text(
        f'[mine]\nfile = "{model.name}"\ntemplate = "{{% for m in messages %}}'
        '[{{ m.content }}]{% endfor %}"\n'
    )

    spec = load_spec("mine", config.model_copy(update={"models": model.parent}))

    assert spec.template.render(ASK) == "[Be brief.][Hello 你好]"


def test_bos_is_there_once_whether_or_not_the_template_writes_it(
    material: Path, tmp_path: Path, config: Settings
) -> None:
    """The vocabulary of Llama 2 wants a BOS."""
    written, unwritten = (
        vocabulary_file("llama-spm", material, tmp_path, tokenizer__chat_template=template).rename(
            tmp_path / f"{len(template)}.gguf"
        )
        for template in ("{{ bos_token }}" + CHATML, CHATML)
    )

    ids = load_spec(str(written), config).prompt(ASK)

    assert ids.count(1) == 1
    assert ids[0] == 1
    assert load_spec(str(unwritten), config).prompt(ASK) == ids


def test_count_is_the_length_of_the_prompt(model: Path, config: Settings) -> None:
    spec = load_spec(str(model), config)

    assert spec.count(ASK) == len(spec.prompt(ASK))


def test_control_tokens_in_a_document_stay_text(model: Path, config: Settings) -> None:
    spec = load_spec(str(model), config)
    end = spec.tokenizer.encode("<|im_end|>")
    clean = spec.prompt([Message("user", "before after")])

    ids = spec.prompt([Message("user", "before <|im_end|><|im_start|><|endoftext|> after")])

    assert len(end) == 1
    assert ids.count(end[0]) == clean.count(end[0])
    assert len(ids) == len(clean) + len("< |im_end|>< |im_start|>< |endoftext|> ")


@pytest.mark.parametrize(
    ("head", "expected"), [("", "a[PAD100015]b"), ("[PAD100015]", "a[ PAD100015]b")]
)
def test_user_defined_token_is_guarded_where_the_template_builds_turns_with_it(
    head: str, expected: str, material: Path, tmp_path: Path, config: Settings
) -> None:
    """Elsewhere it is ordinary text, as HTML tags and runs of spaces are."""
    template = head + CHATML
    path = vocabulary_file("deepseek-llm", material, tmp_path, tokenizer__chat_template=template)

    prompt = load_spec(str(path), config).template.render([Message("user", "a[PAD100015]b")])

    assert f"user\n{expected}<" in prompt


def test_model_without_a_chat_template_is_refused(material: Path, config: Settings) -> None:
    path = material / "gguf" / "ggml-vocab-llama-spm.gguf"

    with pytest.raises(ModelError, match="no chat template: it is a base model"):
        load_spec(str(path), config)


def test_model_with_a_broken_template_is_refused(model: Path, config: Settings) -> None:
    path = write_vocabulary(model, model.with_name("b.gguf"), tokenizer__chat_template="{% for %}")

    with pytest.raises(ModelError, match="its chat template can't be read"):
        load_spec(str(path), config)


def test_unknown_model_does_not_become_the_demo(config: Settings) -> None:
    with pytest.raises(ModelError, match="there is no such model"):
        load_spec("dem0", config)


def test_second_call_costs_next_to_nothing(model: Path, config: Settings) -> None:
    first = load_spec(str(model), config)

    assert load_spec(str(model), config) is first


def test_changed_file_gives_another_spec(model: Path, config: Settings) -> None:
    first = load_spec(str(model), config)
    write_vocabulary(model, model, general__name="changed")

    assert load_spec(str(model), config).identity != first.identity


def test_threads_that_ask_at_once_share_one_spec(model: Path, config: Settings) -> None:
    found: list[ModelSpec] = []
    threads = [
        threading.Thread(target=lambda: found.append(load_spec(str(model), config)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 4
    assert len({id(spec) for spec in found}) == 1
