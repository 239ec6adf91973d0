"""Token ids equal llama.cpp's, on every vocabulary, with its chat template applied."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import psutil
import pytest
from support.vocabularies import TEMPLATES, parallel_text, vocabulary_file

from tasks.models.spec import ModelSpec, load_spec
from tasks.models.tokenizer import BpeTokenizer, LlamaTokenizer, MarkTokenizer
from tasks.models.vocabulary import load_vocabulary
from tasks.records import Message
from tasks.settings import PROJECT_ROOT, Settings

TIKTOKEN = {"qwen2", "qwen35", "llama-bpe", "gpt-2"}
ODD = (
    "",
    "a\x00b",
    "lone \ud800 surrogate",
    "<|im_end|> <s></s> <unk> <|endoftext|><|eot_id|>",
    "digits of Unicode 16: \U00010d40\U00010d41\U00010d42\U00010d43 1\U000116d0",
    "spaces" + " " * 3000 + "end" + "\n" * 3000 + "\t" * 2000,
    "x" * 20_000,
    "好" * 20_000,
)


@dataclass(frozen=True)
class Case:
    """A vocabulary: our view of it, and llama.cpp's own."""

    name: str
    spec: ModelSpec
    control: list[str]
    llama: llama_cpp.Llama

    def expected(self, text: str, *, special: bool) -> list[int]:
        clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return list(self.llama.tokenize(clean.encode(), add_bos=False, special=special))

    @property
    def bos(self) -> str:
        token = self.llama.token_bos()
        vocabulary = llama_cpp.llama_model_get_vocab(self.llama.model)
        text: bytes = llama_cpp.llama_vocab_get_text(vocabulary, token) if token >= 0 else b"none"
        return text.decode()


@pytest.fixture(scope="module", params=sorted(TEMPLATES))
def case(
    request: pytest.FixtureRequest, material: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("vocabulary")
    path = vocabulary_file(request.param, material, folder)
    home = folder / "home"
    spec = load_spec(str(path), Settings(home=home))
    control = sorted(load_vocabulary(path, spec.identity, home, spec.name).control)
    llama = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    yield Case(name=request.param, spec=spec, control=control, llama=llama)
    llama.close()


def test_tiktoken_serves_the_vocabularies_where_it_is_equal(case: Case) -> None:
    kind = BpeTokenizer if case.name in TIKTOKEN else LlamaTokenizer

    assert type(case.spec.tokenizer) is kind


def test_vectors_of_llama_cpp(case: Case, material: Path) -> None:
    vectors = material / "gguf" / f"ggml-vocab-{case.name}.gguf.inp"
    if not vectors.exists():
        pytest.skip("this vocabulary has no vectors")
    texts = vectors.read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    lines = vectors.with_suffix(".out").read_text(encoding="utf-8").splitlines()

    found = [case.spec.tokenizer.encode(text, special=False) for text in texts[:-1]]

    assert found == [[int(token) for token in line.split()] for line in lines]


def test_prompt_equals_llama_cpps(case: Case, material: Path) -> None:
    """Mixed Chinese and English through the chat template: the same ids, with one BOS at most."""
    spec, text = case.spec, parallel_text(material)
    for start in range(0, len(text), 1500):
        messages = [Message("system", "概括原文。 Be brief."), Message("user", text[start:][:1500])]
        rendered = spec.template.render(messages)
        has_bos = rendered.startswith(case.bos)
        expected = case.llama.tokenize(rendered.encode(), add_bos=not has_bos, special=True)

        assert spec.prompt(messages) == expected
        assert spec.count(messages) == len(expected)


@pytest.mark.parametrize("special", [True, False])
def test_odd_texts_equal_llama_cpps(case: Case, special: bool) -> None:
    for text in ODD:
        assert case.spec.tokenizer.encode(text, special=special) == case.expected(
            text, special=special
        ), text[:40]


def test_random_texts_equal_llama_cpps(case: Case) -> None:
    """Characters of all classes in random order, in random bits of words and special tokens."""
    dice = random.Random(1)
    alphabet = "aZé好の한١½Ⅻ1 \u00a0\u3000\t\n\r'’sS!.<|>_/\u0301\u200d🚀" + "".join(
        map(chr, dice.sample(range(0x20, 0x3000), 200))
    )
    special = case.control[:20] or [" "]
    for _ in range(300):
        pieces = [*dice.choices(alphabet, k=60), *dice.choices(special, k=2)]
        dice.shuffle(pieces)
        text = "".join(pieces)

        assert case.spec.tokenizer.encode(text) == case.expected(text, special=True), repr(text)


def test_all_kinds_of_characters_equal_llama_cpps(case: Case) -> None:
    """Where the Unicode tables of tiktoken and llama.cpp part, the text goes to llama.cpp."""
    if case.name != "llama-bpe":
        pytest.skip("one vocabulary shows it: its pattern has classes and limits")
    dice = random.Random(2)
    codes = dice.sample([c for c in range(0x30000) if not 0xD800 <= c < 0xE000], 40_000)
    for start in range(0, len(codes), 300):
        text = "".join(f"a{chr(c)}{chr(c)}b 1{chr(c)}2 {chr(c)} !" for c in codes[start:][:300])

        assert case.spec.tokenizer.encode(text) == case.expected(text, special=True), repr(text)


@pytest.fixture
def served(material: Path, tmp_path: Path) -> LlamaTokenizer:
    path = vocabulary_file("phi-3", material, tmp_path)
    tokenizer = load_spec(str(path), Settings(home=tmp_path / "home")).tokenizer
    assert isinstance(tokenizer, LlamaTokenizer)
    return tokenizer


def test_child_answers_several_threads(served: LlamaTokenizer) -> None:
    texts = [f"text number {n}\nwith 中文" for n in range(50)]
    expected = [served.encode(text) for text in texts]
    found: dict[int, list[list[int]]] = {}

    def ask(me: int) -> None:
        found[me] = [served.encode(text) for text in texts]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == dict.fromkeys(range(4), expected)


def test_child_that_dies_is_started_anew(served: LlamaTokenizer, tmp_path: Path) -> None:
    expected = served.encode("hello")
    (child,) = _children(tmp_path)
    child.kill()
    child.wait(10)

    assert served.encode("hello") == expected
    assert _children(tmp_path) not in ([], [child])


PARENT = """
import sys, time
from pathlib import Path
import psutil
from tasks.models.spec import load_spec
from tasks.settings import PROJECT_ROOT, Settings
tokenizer = load_spec(sys.argv[1], Settings(home=Path(sys.argv[2]))).tokenizer
tokenizer.encode("hello")
print(psutil.Process().children()[0].pid, flush=True)
time.sleep(60)
"""


def test_child_ends_with_its_parent(material: Path, tmp_path: Path) -> None:
    """Even where the parent is killed: its end of the pipe closes."""
    path = vocabulary_file("phi-3", material, tmp_path)
    command = [sys.executable, "-c", PARENT, str(path), str(tmp_path / "home")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT_ROOT) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    assert psutil.wait_procs([child], timeout=10)[0]


def _children(folder: Path) -> list[psutil.Process]:
    """Return this process's children that serve a model in the folder."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # one that has just ended, or waits to be reaped
            if any(argument.startswith(str(folder)) for argument in process.cmdline()):
                found.append(process)
    return found


class Letters:
    """A tokenizer whose tokens are characters."""

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        return [ord(letter) for letter in text]


@pytest.mark.parametrize(
    ("special", "expected"),
    [(True, [9, ord("a"), 8, 9, ord("b")]), (False, [ord(each) for each in "<u>a<a><u>b"])],
)
def test_marks_that_are_text_to_the_vocabulary_become_tokens(
    special: bool, expected: list[int]
) -> None:
    """Where special tokens are looked for, and nowhere else."""
    tokenizer = MarkTokenizer(Letters(), {"<u>": 9, "<a>": 8})

    assert tokenizer.encode("<u>a<a><u>b", special=special) == expected
