"""The child process that reads a GGUF's vocabulary through llama.cpp, or tokenizes with it.

    python -m tasks.models.vocabulary_child read MODEL OUT    write a Vocabulary to OUT, and end
    python -m tasks.models.vocabulary_child serve MODEL       answer lines of JSON until stdin ends

The file may be hostile: this process has limits, and whatever it does, its parent lives on.
It ends with status 1 where it knows what is wrong; asked to read, it then writes a JSON line of the
problem and the remedy, which is "" where only another file helps.
"""

from __future__ import annotations

import json
import random
import resource
import sys
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import llama_cpp

from tasks.errors import ModelError
from tasks.models.gguf_header import GgufHeader
from tasks.models.header_values import header_value, quantization_of, rope_of, why_unfit
from tasks.models.limits import TEMPLATE_SECONDS, bounded, lower
from tasks.models.llama_log import LlamaLog
from tasks.models.template import PROBE, ChatTemplate, JinjaRenderer
from tasks.models.tokenizer import BpeTokenizer, Tokenizer, is_expressible, token_bytes
from tasks.models.vocabulary import NORMAL, Vocabulary, save

GIB = 1024**3
CPU_SECONDS = 50
NAME_KEYS = ("general.name", "general.basename", "general.finetune")
KINDS = {1: "spm", 2: "bpe", 3: "wpm", 4: "ugm", 5: "rwkv", 6: "plamo2"}

# Texts on which tiktoken must agree with llama.cpp: scripts, code, digits, white space, emoji.
PROBES = (
    "Hello, world! It's 2026; I'LL pay $1,234.56 (or 3.14e-10)... DON'T we've they'd?",
    "大语言模型将在2026年11月20日总结这本书。第１２章：“翻译”——『はい。』と言った。",
    "한국어도 됩니다. Größe, naïve café, Ελληνικά, Привет мир, שלום עולם, مرحبا ١٢٣",
    "हिन्दी में लिखा, ไทยไม่มีช่องว่าง, e\u0301 ﬁ ’s ‘quoted’ … ½ Ⅻ ² x²",
    "def f(x):\n\treturn {'a': [1, 2]}\n\n\n    # comment  \r\n\r\n  if (x&&y){ z+=1; }\t\t\n",
    " \t \n  \n\n   three   spaces\u00a0no-break\u3000ideographic\u2003em \u200bzero\u2028line",
    " \x0b\x0c end   ",
    "👩\u200d👩\u200d👧\u200d👦 🇨🇳 🚀🚀",
    "a" * 50 + "1" * 50 + " " * 50 + "\n" * 50 + "!" * 50 + "好" * 50,
)

_LOG = LlamaLog(echo=False)


class Model:
    """A GGUF of which only the vocabulary is loaded."""

    def __init__(self, path: Path) -> None:
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        parameters.n_gpu_layers = 0
        with _LOG.heard() as heard:
            self.header = GgufHeader(path)
            kind = self.header.text("general.type")
            if kind not in ("", "model"):
                problem = f"it is no model, but an addition to one ({kind[:40]})"
                raise ModelError(path.name, problem, "Choose the model itself")
            self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise ModelError(path.name, f"llama.cpp can't read it ({heard.cause})")
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Return llama.cpp's ids, with no BOS or EOS added."""
        data = text.encode()
        size = len(data) + 8
        ids = (llama_cpp.llama_token * size)()
        n = llama_cpp.llama_tokenize(self._vocab, data, len(data), ids, size, False, special)
        if n < 0:
            size = -n
            ids = (llama_cpp.llama_token * size)()
            n = llama_cpp.llama_tokenize(self._vocab, data, len(data), ids, size, False, special)
        return list(ids[:n])

    def vocabulary(self) -> Vocabulary:
        """Return all that the parent needs, unchecked."""
        vocab = self._vocab
        n_tokens = llama_cpp.llama_vocab_n_tokens(vocab)
        texts = (llama_cpp.llama_vocab_get_text(vocab, i) for i in range(n_tokens))
        attributes = ((i, llama_cpp.llama_vocab_get_attr(vocab, i)) for i in range(n_tokens))
        template = llama_cpp.llama_model_chat_template(self._model, None)
        return Vocabulary(
            quantization=quantization_of(self._model),
            rope=rope_of(self._model),
            unfit=why_unfit(self._model),
            kind=KINDS.get(llama_cpp.llama_vocab_type(vocab), "other"),
            pre=header_value(self._model, "tokenizer.ggml.pre"),
            tokens=[text.decode(errors="surrogateescape") for text in texts],
            attributes={i: bits for i, bits in attributes if bits != NORMAL},
            bos=llama_cpp.llama_vocab_bos(vocab),
            eos=llama_cpp.llama_vocab_eos(vocab),
            add_bos=llama_cpp.llama_vocab_get_add_bos(vocab),
            template=template.decode(errors="replace") if template else "",
            names=list(filter(None, (header_value(self._model, key) for key in NAME_KEYS))),
            eog=[i for i in range(n_tokens) if llama_cpp.llama_vocab_is_eog(vocab, i)],
        )


def main() -> None:
    command, path = sys.argv[1], Path(sys.argv[2])
    _limit(path, seconds=CPU_SECONDS if command == "read" else None)
    try:
        model = Model(path)
        if command == "read":
            _read(model, Path(sys.argv[3]))
        else:
            _serve(model)
        return
    except ModelError as error:
        wrong = (error.problem, error.remedy)
    except MemoryError:
        wrong = ("reading its header takes more memory than a file of its size should", "")
    if command == "read":  # whoever is served waits for ids
        print(json.dumps(wrong))
    sys.exit(1)


def _read(model: Model, out: Path) -> None:
    vocabulary = model.vocabulary()
    if not model.encode(PROBE[0].content):
        raise ModelError("", "its vocabulary has no tokens for plain text")
    problem, between = _try_template(vocabulary)
    save(
        replace(
            vocabulary,
            template_problem=problem,
            between=between,
            tiktoken_exact=is_expressible(vocabulary)
            and _merges_follow_ids(model.header, vocabulary)
            and _agree(BpeTokenizer(vocabulary, model), model, vocabulary),
        ),
        out,
    )


def _serve(model: Model) -> None:
    for line in sys.stdin.buffer:
        text, special = json.loads(line)
        print(json.dumps(model.encode(text, special=special)), flush=True)


def _limit(path: Path, *, seconds: int | None) -> None:
    """Bound this process: what it may add to its memory, its time, and no core files.

    The memory limit is on private writable memory (RLIMIT_DATA): the address space also counts
    libraries and mapped files. A header is a small part of its file, and takes a few times its
    own size in memory.
    """
    room = GIB + 4 * min(path.stat().st_size, GIB // 2)
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_DATA, room)
    if seconds is not None:
        lower(resource.RLIMIT_CPU, seconds)


def _try_template(vocabulary: Vocabulary) -> tuple[str, str]:
    """Render the chat template under this process's limits.

    Returns what went wrong, and what stands between an answer and the next question.
    """
    if not vocabulary.template:
        return "", ""
    bos, eos = vocabulary.text(vocabulary.bos), vocabulary.text(vocabulary.eos)
    try:
        with bounded(TEMPLATE_SECONDS):
            template = ChatTemplate(JinjaRenderer(vocabulary.template, bos, eos))
            template.render(PROBE)
            return "", template.between()
    except ModelError as error:
        return error.problem, ""


def _merges_follow_ids(header: GgufHeader, vocabulary: Vocabulary) -> bool:
    """Tell whether the merges stand in the order of the tokens they make: tiktoken's order."""
    ids = {text: token for token, text in enumerate(vocabulary.tokens)}
    # No token holds a space itself.
    merges = (merge.partition(" ") for merge in header.texts("tokenizer.ggml.merges"))
    made = [ids.get(left + right, -1) for left, _, right in merges]
    return all(0 <= a <= b for a, b in pairwise(made))


def _agree(ours: Tokenizer, model: Model, vocabulary: Vocabulary) -> bool:
    """Tell whether tiktoken gives llama.cpp's ids on the probes, on every token by itself, and
    on random rows of tokens.
    """
    odd = vocabulary.attributes
    pieces = []
    for token, text in enumerate(vocabulary.tokens):
        if odd.get(token, NORMAL) == NORMAL:
            with suppress(KeyError, UnicodeDecodeError):
                pieces.append(token_bytes(text).decode())
    dice = random.Random(0)
    ingredients = pieces + list(vocabulary.special) * 10
    rows = ["".join(dice.choices(ingredients, k=30)) for _ in range(500)]
    # Without special tokens llama.cpp is five times faster on a text of one token.
    return all(ours.encode(text) == model.encode(text) for text in (*PROBES, *rows)) and all(
        ours.encode(text, special=False) == model.encode(text, special=False)
        for text in (*PROBES, "".join(vocabulary.special), *pieces)
    )


if __name__ == "__main__":
    main()
