"""Text to token ids, exactly as llama.cpp does it for the model in use.

Owns two tokenizers of one shape: byte-pair encoding in this process by tiktoken, for the
vocabularies where it is proven equal (4 to 5 times faster than llama.cpp's), and llama.cpp's
own in a child process for all others. Knows nothing of chat templates, and does not add a BOS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Protocol

import tiktoken

from tasks.errors import ModelError
from tasks.models.line_child import LineChild
from tasks.models.vocabulary import NORMAL, STRIPS, Vocabulary

_CONTRACTION = r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])"
_GPT2_WORDS = r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?[^\s\p{L}\p{N}]+"
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT2 = rf"{_GPT2_WORDS}| ?\p{{N}}+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_TAIL}"
_QWEN2 = rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_TAIL}"
_QWEN35 = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# llama.cpp cuts at each digit first, then by GPT-2's rule; as one pattern, a digit ends a run.
_DIGITS_THEN_GPT2 = rf"\p{{N}}|{_GPT2_WORDS}|\s+(?![^\s\p{{N}}])|\s+"

# `tokenizer.ggml.pre` to the pattern that cuts words, for those rules of llama.cpp's that one
# pattern says exactly (llm_tokenizer_bpe in llama-vocab.cpp, llama.cpp of 0.3.36).
PATTERNS: Mapping[str, str] = {
    **dict.fromkeys(("gpt-2", "phi-2", "gigachat", "a.x-4.0", "mellum", "exaone4"), _GPT2),
    **dict.fromkeys(("mpt", "olmo", "jais", "trillion", "granite-docling"), _GPT2),
    **dict.fromkeys(("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1"), _LLAMA3),
    **dict.fromkeys(("pixtral", "midm-2.0", "lfm2", "dbrx", "smaug-bpe"), _LLAMA3),
    **dict.fromkeys(("chatglm-bpe", "glm4", "glm5"), _LLAMA3),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"), _QWEN2),
    **dict.fromkeys(("stablelm2", "hunyuan", "solar-open", "grok-2"), _QWEN2),
    "qwen35": _QWEN35,
    **dict.fromkeys(("starcoder", "refact", "command-r", "smollm"), _DIGITS_THEN_GPT2),
    **dict.fromkeys(("codeshell", "exaone", "minerva-7b", "mellum2"), _DIGITS_THEN_GPT2),
}
# Texts left to llama.cpp: runs of white space that would overflow tiktoken's stack, and digits
# that Unicode has since version 16, which tiktoken knows and llama.cpp does not.
_NEW_DIGITS = (
    "\U00010d40-\U00010d49\U000116d0-\U000116e3\U00011bf0-\U00011bf9\U00016130-\U00016139"
    "\U00016d70-\U00016d79\U0001ccf0-\U0001ccf9\U0001e5f1-\U0001e5fa"
)
_FOR_LLAMA = re.compile(rf"\s{{1000}}|[{_NEW_DIGITS}]")


class Tokenizer(Protocol):
    """Turns text into token ids. Safe to call from several threads."""

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Return the ids; special: literals of control tokens in the text become them."""
        ...


def make_tokenizer(
    vocabulary: Vocabulary, path: Path, marks: Mapping[str, int] | None = None
) -> Tokenizer:
    """Return the fastest tokenizer that is exact for a vocabulary (of the model at path).

    Args:
        marks: as MarkTokenizer has them.
    """
    tokenizer: Tokenizer = LlamaTokenizer(path)
    if vocabulary.tiktoken_exact:
        tokenizer = BpeTokenizer(vocabulary, tokenizer)
    return MarkTokenizer(tokenizer, marks) if marks else tokenizer


def is_expressible(vocabulary: Vocabulary) -> bool:
    """Tell whether BpeTokenizer can be built; whether it is equal remains to be checked."""
    if vocabulary.kind != "bpe" or vocabulary.pre not in PATTERNS:
        return False
    odd = vocabulary.attributes
    strips = any(bits & STRIPS for bits in odd.values())
    normal = {text for token, text in enumerate(vocabulary.tokens) if _is_normal(odd, token)}
    return not strips and not _overlap(vocabulary.special) and normal >= _byte_alphabet().keys()


class BpeTokenizer:
    """A byte-level BPE vocabulary in tiktoken; token ids are the ranks.

    Args:
        llama: takes the few texts on which the two would differ.
    """

    def __init__(self, vocabulary: Vocabulary, llama: Tokenizer) -> None:
        self._llama = llama
        self._encoding = tiktoken.Encoding(
            name=vocabulary.pre,
            pat_str=PATTERNS[vocabulary.pre],
            mergeable_ranks=_ranks(vocabulary),
            special_tokens={},  # found here instead: tiktoken does not take the longest first
        )
        self._ids = vocabulary.special
        self._special = _any_of(vocabulary.special)
        self._user_defined = _any_of(vocabulary.user_defined)

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        if _FOR_LLAMA.search(text):
            return self._llama.encode(text, special=special)
        pattern = self._special if special else self._user_defined
        ids: list[int] = []
        for fragment, is_special in _fragments(pattern, valid_unicode(text)):
            if is_special:
                ids.append(self._ids[fragment])
            else:
                ids += self._encoding.encode_ordinary(fragment)
        return ids


class MarkTokenizer:
    """Finds the marks of a chat that its vocabulary takes for ordinary text.

    Baichuan's are such: llama.cpp would cut `<reserved_106>` into pieces.

    Args:
        tokenizer: takes what stands between them.
        marks: literals and their tokens, found where special tokens are.
    """

    def __init__(self, tokenizer: Tokenizer, marks: Mapping[str, int]) -> None:
        self._tokenizer = tokenizer
        self._marks = marks
        self._pattern = _any_of(marks)

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        if not special:
            return self._tokenizer.encode(text, special=False)
        ids: list[int] = []
        for fragment, is_mark in _fragments(self._pattern, text):
            ids += [self._marks[fragment]] if is_mark else self._tokenizer.encode(fragment)
        return ids


class LlamaTokenizer:
    """llama.cpp's own tokenizer, in a child process that holds the vocabulary alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._child = LineChild("tasks.models.vocabulary_child", "serve", str(path))

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        answer = self._child.ask(json.dumps([valid_unicode(text), special]).encode() + b"\n")
        if not answer:
            raise ModelError(
                str(self._path), "llama.cpp's tokenizer ended unexpectedly", "Try again"
            )
        ids: list[int] = json.loads(answer)
        return ids


def valid_unicode(text: str) -> str:
    """Replace lone surrogates, which no tokenizer can take, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def token_bytes(text: str) -> bytes:
    """Return the bytes that a BPE token's text stands for.

    Raises:
        KeyError: a character is not in GPT-2's byte alphabet.
    """
    alphabet = _byte_alphabet()
    return bytes([alphabet[character] for character in text])


@cache
def _byte_alphabet() -> dict[str, int]:
    """Return GPT-2's byte alphabet (bytes_to_unicode in openai/gpt-2, src/encoder.py)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    shifted = {chr(256 + n): byte for n, byte in enumerate(others)}
    return {chr(byte): byte for byte in printable} | shifted


def _ranks(vocabulary: Vocabulary) -> dict[bytes, int]:
    """Return the ordinary tokens; one outside the byte alphabet can't come out of a text."""
    odd = vocabulary.attributes
    alphabet = set(_byte_alphabet())
    return {
        token_bytes(text): token
        for token, text in enumerate(vocabulary.tokens)
        if _is_normal(odd, token) and alphabet.issuperset(text)
    }


def _is_normal(odd: Mapping[int, int], token: int) -> bool:
    return odd.get(token, NORMAL) == NORMAL


def _any_of(literals: Iterable[str]) -> re.Pattern[str] | None:
    """Return what finds the literals, the longest first, as llama.cpp does."""
    longest_first = sorted(literals, key=lambda literal: (-len(literal.encode()), literal))
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _fragments(pattern: re.Pattern[str] | None, text: str) -> Iterator[tuple[str, bool]]:
    """Cut a text at its special tokens; yield each piece and whether it is one."""
    end = 0
    for match in pattern.finditer(text) if pattern else ():
        if match.start() > end:
            yield text[end : match.start()], False
        yield match.group(), True
        end = match.end()
    if end < len(text):
        yield text[end:], False


def _overlap(literals: Iterable[str]) -> bool:
    """Tell whether one literal can begin inside another and end behind it.

    llama.cpp looks for the longest literal in the whole text first, a pattern for the
    leftmost: only where literals overlap do the two differ.
    """
    texts = list(literals)
    heads = {text[:n] for text in texts for n in range(1, len(text))}
    return any(text[n:] in heads for text in texts for n in range(1, len(text)))
