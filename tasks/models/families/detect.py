"""Which family a file without a chat template is of, by its header and its name.

Owns the signs. A vocabulary alone tells little: base models share it with those that were taught
to answer. So a name must say so too, but where a family has no base model of that vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.models.vocabulary import Vocabulary

_BASE = re.compile(r"\bbase\b")


@dataclass(frozen=True)
class _Sign:
    """All of it must hold.

    Attributes:
        says: found in one of the names (lower case, parted by hyphens); "" is in all.
        has: tokens of the vocabulary.
        kind: of the tokenizer.
    """

    family: str
    says: str = ""
    has: tuple[str, ...] = ()
    kind: str = ""


_GLM = ("[gMASK]", "<|user|>", "<|assistant|>")
_SIGNS = (
    # Fine-tunes, by name alone. The longer name first.
    _Sign("chinese-alpaca-2", r"chinese-?alpaca-?2"),
    _Sign("chinese-alpaca", r"chinese-?alpaca"),
    # FastChat's order (fastchat/model/model_adapter.py).
    _Sign("vigogne-chat-v3", r"vigostral.*chat"),
    _Sign("vigogne-chat-v2", r"vigogne.*chat"),
    _Sign("vigogne-instruct", r"vigogne|vigostral"),
    _Sign("wizardcoder", r"wizardcoder"),
    _Sign("stable-vicuna", r"stable-?vicuna"),
    _Sign("vicuna-v0", r"vicuna.*\bv0\b(?!-\d\b)"),
    _Sign("vicuna", r"vicuna"),
    _Sign("wizardlm-7b", r"wizardlm-7b"),
    _Sign("wizardlm", r"wizardlm"),
    _Sign("koala", r"koala"),
    _Sign("gpt4all", r"snoozy"),
    _Sign("openbuddy", r"openbuddy"),
    _Sign("metharme", r"metharme|pygmalion-?2"),
    _Sign("belle", r"\bbelle\b"),
    _Sign("zephyr", r"zephyr"),
    _Sign("aquila", r"aquilachat-?2.*16k", ("<|startofpiece|>",)),
    _Sign("aquila-v1", r"aquilachat-?2(?!.*34b)", ("<|startofpiece|>",)),
    _Sign("aquila-chat", r"aquila-?chat(?!-?2)"),
    _Sign("alpaca", r"alpaca"),
    # Models of their own.
    _Sign("baichuan-2", r"baichuan-?2.*chat", ("<reserved_106>", "<reserved_107>")),
    _Sign("baichuan", r"baichuan.*chat", ("<reserved_102>", "<reserved_103>")),
    _Sign("llama-3", r"llama-?(v?)3.*(instruct|chat)", ("<|start_header_id|>", "<|eot_id|>")),
    _Sign("llama-2", r"llama-?(v?)2.*chat"),
    _Sign("mistral", r"mi[sx]tral.*instruct"),
    _Sign("deepseek", r"deepseek.*chat", ("<｜end▁of▁sentence｜>",)),
    _Sign("gemma", r"gemma.*\b(it|instruct|chat)\b", ("<start_of_turn>", "<end_of_turn>")),
    _Sign("glm-4", r"chat|0414", (*_GLM, "<sop>")),
    _Sign("chatglm3", "", (*_GLM, "sop")),
    _Sign("chatglm2", r"chatglm-?2", ("[gMASK]", "sop")),
    _Sign("chatglm", r"chatglm-6b"),
    _Sign("yi", r"\byi\b.*chat", ("<|im_start|>", "<|im_end|>")),
    _Sign("qwen", r"qwen.*(chat|instruct)", ("<|im_start|>", "<|im_end|>")),
    _Sign("chatml", r"chat|instruct", ("<|im_start|>", "<|im_end|>")),
    _Sign("phi-3", "", ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")),
    _Sign("command-r", "", ("<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>")),
    _Sign("rwkv-world", "", kind="rwkv"),
)


def detect(vocabulary: Vocabulary, file_name: str) -> str:
    """Return the family of a file; "" where nothing tells it.

    Args:
        file_name: it is heard where the header's own names say nothing.
    """
    header, file = [_spoken(name) for name in vocabulary.names], [_spoken(file_name)]
    if any(_BASE.search(name) for name in header + file):
        return ""
    signs = list(_fitting(vocabulary))
    for names in (header, file):
        for sign in signs:
            if any(re.search(sign.says, name) for name in names):
                return sign.family
    return ""


def _fitting(vocabulary: Vocabulary) -> Iterator[_Sign]:
    """Yield the signs that the vocabulary has."""
    tokens = set(vocabulary.tokens)
    for sign in _SIGNS:
        if tokens.issuperset(sign.has) and sign.kind in ("", vocabulary.kind):
            yield sign


def _spoken(name: str) -> str:
    return re.sub(r"[\s_.]+", "-", name.lower())
