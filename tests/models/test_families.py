"""Every family that people have: its prompt, token by token, and what ends its answers.

The last test compares the table in docs/models.md with what these found; with
LECTERN_WRITE_MODELS_MD=1 it writes it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import llama_cpp
import pytest
from support.engines import make_runner, request, run
from support.family_cases import CASES, TALKS, Case
from support.family_document import family_table
from support.family_models import (
    Header,
    real_tokenizer,
    rwkv_world,
    stand_in,
    write_family_model,
)

from tasks.errors import ModelError
from tasks.models.spec import ModelSpec, load_spec
from tasks.models.tokenizer import LlamaTokenizer
from tasks.pool.engine import Engine
from tasks.pool.model_runner import ModelRunner
from tasks.settings import PROJECT_ROOT, Settings

pytestmark = pytest.mark.slow

WORDS = ("\n\n", "User", "Assistant", "System", ": ", " how", " are", " you", "Hello", "你好")
DOCUMENT = PROJECT_ROOT / "docs" / "models.md"
BEGIN, END = "<!-- families: begin -->", "<!-- families: end -->"
BASES = {"LLaMA v2", "llama-7b", "chinese-llama-2-7b"}
FOUND: dict[str, set[str]] = {}
CHILDREN: dict[str, LlamaTokenizer] = {}  # by the identity of their models


@dataclass
class Loaded:
    """A family's tiny model, as the front and as the worker has it."""

    case: Case
    spec: ModelSpec
    runner: ModelRunner
    goldens: dict[str, str]

    def tokens(self, text: str) -> list[int]:
        """llama.cpp's tokens of a whole prompt, with its BOS if it puts one and none is there."""
        vocab, data = self.runner._vocab, text.encode()
        bos = llama_cpp.llama_vocab_bos(vocab)
        has_bos = bos >= 0 and text.startswith(self.text(bos))
        room = (llama_cpp.llama_token * (len(data) + 8))()
        n = llama_cpp.llama_tokenize(vocab, data, len(data), room, len(room), not has_bos, True)
        return list(room[:n])

    def text(self, token: int) -> str:
        return str(llama_cpp.llama_vocab_get_text(self.runner._vocab, token).decode())

    @cached_property
    def whole(self) -> dict[str, int]:
        """Tokens by their texts."""
        return {self.text(token): token for token in range(self.runner.n_vocab)}


def _tokenizer(case: Case, material: Path) -> Header:
    if case.vocabulary:
        return real_tokenizer(material / "gguf" / f"ggml-vocab-{case.vocabulary}.gguf")
    if case.family.startswith("RWKV"):
        return rwkv_world(WORDS)
    return stand_in(tuple(dict.fromkeys((*case.special, *case.ends))), case.bos, case.eos)


def _template(case: Case, material: Path) -> str:
    file = material / "gguf" / "templates" / f"{case.template}.jinja"
    return file.read_text(encoding="utf-8") if file.is_file() else case.template


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.family)
def loaded(request: pytest.FixtureRequest, home: Path, material: Path) -> Iterator[Loaded]:
    case: Case = request.param
    path = home / f"{case.name}.gguf"  # not in the file: so those with one vocabulary are one
    write_family_model(path, _tokenizer(case, material), "", _template(case, material))
    spec = load_spec(str(path), Settings(home=home / "home"))
    if isinstance(spec.tokenizer, LlamaTokenizer):  # a child process, which many families share
        spec = replace(spec, tokenizer=CHILDREN.setdefault(spec.identity, spec.tokenizer))
    runner = make_runner(path, 1)
    yield Loaded(case, spec, runner, dict(case.goldens.prompts(material)))
    runner.close()
    path.unlink()


def test_prompt_is_the_familys(loaded: Loaded) -> None:
    """For a turn, one with a system text, and two turns: the golden string."""
    prompts = {talk: loaded.spec.template.render(TALKS[talk]) for talk in loaded.goldens}

    assert prompts == loaded.goldens
    FOUND.setdefault(loaded.case.family, set()).add("prompt")


def test_tokens_are_llama_cpps(loaded: Loaded) -> None:
    """Also those of its special tokens, each of them a single one, and of one BOS."""
    for talk, golden in loaded.goldens.items():
        ids = loaded.spec.prompt(TALKS[talk])
        marks = {mark: loaded.whole[mark] for mark in loaded.case.special}

        assert ids == _expected(loaded, golden)
        for mark, token in marks.items():
            written = golden.count(mark)
            assert ids.count(token) == written + (token == loaded.spec.bos and not written), mark
        if loaded.spec.bos is not None:
            assert ids[0] == loaded.spec.bos
            assert ids[1] != loaded.spec.bos
    FOUND.setdefault(loaded.case.family, set()).add("tokens")


def _expected(loaded: Loaded, golden: str) -> list[int]:
    """llama.cpp's tokens; where its vocabulary takes a mark for text, those between them."""
    marks = [mark for mark in loaded.case.special if mark.startswith("<reserved_")]
    if not marks:
        return loaded.tokens(golden)
    begin: list[int] = [] if loaded.spec.bos is None else [loaded.spec.bos]
    ids = list(begin)
    for piece in re.split(f"({'|'.join(marks)})", golden):
        ids += [loaded.whole[piece]] if piece in marks else loaded.tokens(piece)[len(begin) :]
    return ids


def test_answer_ends_where_the_family_ends_it(loaded: Loaded) -> None:
    """Each token and each text in the real engine; and an ordinary token ends nothing."""
    spec, engine = loaded.spec, Engine(loaded.runner)
    options = {"stop": list(spec.stop), "stop_tokens": list(spec.stop_tokens), "ignore_eos": False}
    prompt = spec.prompt(TALKS["one_turn"])[:8]
    ordinary = spec.tokenizer.encode("a", special=False)[-1]
    (plain,) = run(engine, request(prompt, 3, logit_bias={str(ordinary): 100.0}, **options))

    assert plain.finish_reason == "length"
    for end in loaded.case.ends:
        token = loaded.whole.get(end)
        if token is not None and end not in spec.stop:
            (done,) = run(engine, request(prompt, 8, logit_bias={str(token): 100.0}, **options))
            assert (done.text, done.completion_tokens) == ("", 1), end
        else:
            said = f'root ::= "x" {json.dumps(end)} "y"*'
            (done,) = run(engine, request(prompt, 64, grammar=said, **options))
            assert done.text == "x", end
        assert done.finish_reason == "stop", end
    FOUND.setdefault(loaded.case.family, set()).add("ends")


@pytest.mark.parametrize("name", sorted(BASES))
def test_base_model_is_refused(name: str, material: Path, home: Path) -> None:
    """It has no prompt to be asked in: LLaMA, Chinese-LLaMA."""
    tokenizer = real_tokenizer(material / "gguf" / "ggml-vocab-llama-spm.gguf")
    path = write_family_model(home / f"{name}.gguf", tokenizer, "")

    with pytest.raises(ModelError) as caught:
        load_spec(str(path), Settings(home=home / "home"))

    assert "no chat template: it is a base model" in str(caught.value)
    assert re.search(
        r"LECTERN_POOL_CHAT_FORMAT \((\S+, ){4}\S+ and \d\d more; all stand in", str(caught.value)
    )
    assert "\n" not in str(caught.value)
    FOUND[name] = {"refused"}


def test_families_stand_in_the_document_as_they_were_found(material: Path) -> None:
    """docs/models.md: each family with how it was checked here."""
    checks = {"prompt", "tokens", "ends"}
    if any(FOUND.get(case.family) != checks for case in CASES) or not FOUND.keys() >= BASES:
        pytest.skip("not all families were checked in this run")
    document = DOCUMENT.read_text(encoding="utf-8")
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    table = family_table(material)
    if os.environ.get("LECTERN_WRITE_MODELS_MD"):
        DOCUMENT.write_text(f"{head}{begin}\n{table}{end}{tail}", encoding="utf-8")

    assert DOCUMENT.read_text(encoding="utf-8") == f"{head}{begin}\n{table}{end}{tail}"
