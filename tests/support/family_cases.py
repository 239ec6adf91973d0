"""Every family: its tiny model, the prompts that must come out, and what must end an answer.

The golden prompts are FastChat's (material/gguf/prompts.json), llama.cpp's own (its C++ renders
them, a second implementation beside Jinja), or written here with their source beside them.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import llama_cpp

from tasks.records import Message

_SYSTEM = Message("system", "Translate what the user sends.")
_HELLO = Message("user", "Hello, how are you?")
_FINE, _AGAIN = Message("assistant", "I am fine."), Message("user", "你好吗？")
# As prompts.json names them; "talk" is two turns with a system text.
TALKS: Mapping[str, Sequence[Message]] = {
    "one_turn": [_HELLO],
    "with_system": [_SYSTEM, _HELLO],
    "two_turns": [_HELLO, _FINE, _AGAIN],
    "talk": [_SYSTEM, _HELLO, _FINE, _AGAIN],
}


@dataclass(frozen=True)
class Goldens:
    """Golden prompts by the names in TALKS, and who says so."""

    source: str
    prompts: Callable[[Path], Mapping[str, str]]

    def __or__(self, other: Goldens) -> Goldens:
        return Goldens(
            f"{self.source}; {other.source}",
            lambda material: {**self.prompts(material), **other.prompts(material)},
        )


@cache
def fastchat_families(material: Path) -> Mapping[str, Mapping[str, str]]:
    prompts = json.loads((material / "gguf" / "prompts.json").read_text(encoding="utf-8"))
    return {each["family"]: each for each in prompts}


def fastchat(
    family: str,
    only: Sequence[str] = ("one_turn", "with_system", "two_turns"),
    change: Callable[[str], str] = str,
    how: str = "",
) -> Goldens:
    """FastChat's rendering.

    Args:
        change: what is known to differ, told in how.
    """
    return Goldens(
        f"FastChat {family}{how}",
        lambda material: {talk: change(fastchat_families(material)[family][talk]) for talk in only},
    )


def builtin(
    name: str,
    only: Sequence[str] = tuple(TALKS),
    change: Callable[[str], str] = str,
    how: str = "",
) -> Goldens:
    """llama.cpp's rendering by its own code for that name (src/llama-chat.cpp)."""
    return Goldens(
        f"llama.cpp {name}{how}",
        lambda _: {talk: change(_builtin(name, TALKS[talk])) for talk in only},
    )


def written(source: str, **prompts: str) -> Goldens:
    return Goldens(source, lambda _: prompts)


def _builtin(name: str, messages: Sequence[Message]) -> str:
    chat = (llama_cpp.llama_chat_message * len(messages))(
        *((message.role.encode(), message.content.encode()) for message in messages)
    )
    room = ctypes.create_string_buffer(4096)
    size = llama_cpp.llama_chat_apply_template(
        name.encode(), chat, len(messages), True, room, len(room)
    )
    return room.raw[:size].decode()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A family, or a form of it.

    Attributes:
        family: as the documentation names it.
        name: of the tiny model's file, which has no template, so that it tells the form.
        form: the form that must be found; "" where the file has a template of its own.
        template: the file of the material that it has, or a text.
        vocabulary: of the material.
        special: of a stand-in; or those control tokens of the vocabulary that the prompt has.
        bos, eos: of a stand-in.
        stands_in: why the vocabulary is not the family's own; "": it is.
        ends: tokens and texts that must end an answer.
    """

    family: str
    goldens: Goldens
    name: str = "unknown"
    form: str = ""
    template: str = ""
    vocabulary: str = ""
    special: tuple[str, ...] = ()
    bos: str = ""
    eos: str = ""
    stands_in: str = ""
    ends: tuple[str, ...] = ("</s>",)


_BYTES = "stand-in: bytes and the family's special tokens"
_EXTENDED = "stand-in: Llama's; the family's own is larger"
_HEADERS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
_CHATML = ("<|im_start|>", "<|im_end|>")
_COMMAND = (
    *("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>"),
    *("<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"),
)
_DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")
_GLM = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "[gMASK]")
_INSTRUCTION = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)
_CURIOUS = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
_STABLE = (
    "### Assistant: I am StableVicuna, a large language model created by CarperAI. "
    "I am here to chat!"
)
_TURNS = ("<bos>", "<start_of_turn>", "<end_of_turn>")
_NO_THOUGHT = "<think>\n\n</think>\n\n"
_SAID = "Translate what the user sends."
_ASKED = "Hello, how are you?"
_DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"


def _end(suffix: str) -> Callable[[str], str]:
    return lambda prompt: prompt + suffix


def _begin(prefix: str) -> Callable[[str], str]:
    return lambda prompt: prefix + prompt


def _llama(
    family: str,
    name: str,
    form: str,
    goldens: Goldens,
    *,
    ends: tuple[str, ...] = ("</s>",),
    stands_in: str = "",
) -> Case:
    """A fine-tune of the first two LLaMAs, with their vocabulary."""
    return Case(
        family=family, name=name, form=form, goldens=goldens, vocabulary="llama-spm",
        ends=ends, stands_in=stands_in,
    )  # fmt: skip


def _bytes(
    family: str,
    goldens: Goldens,
    special: tuple[str, ...],
    ends: tuple[str, ...],
    *,
    form: str = "",
    name: str = "unknown",
    template: str = "",
    bos: str = "",
    stands_in: str = _BYTES,
) -> Case:
    """A family whose tokenizer is not at hand, or was checked with another of its forms."""
    return Case(
        family=family, name=name, form=form, template=template, goldens=goldens,
        special=special, bos=bos, eos=ends[0], ends=ends, stands_in=stands_in,
    )  # fmt: skip


def _real(
    family: str,
    vocabulary: str,
    goldens: Goldens,
    special: tuple[str, ...],
    ends: tuple[str, ...],
    *,
    form: str = "",
    name: str = "unknown",
    template: str = "",
    stands_in: str = "",
) -> Case:
    """A family whose tokenizer is at hand."""
    return Case(
        family=family, name=name, form=form, template=template, goldens=goldens,
        vocabulary=vocabulary, special=special, ends=ends, stands_in=stands_in,
    )  # fmt: skip


CASES = (
    _llama("Alpaca", "alpaca-7b", "alpaca", fastchat("alpaca")),
    _llama(
        "GPT4All (snoozy)",
        "GPT4All-13B-snoozy",
        "gpt4all",
        fastchat("snoozy"),
        ends=("</s>", "###"),
    ),
    _llama(
        "Chinese-Alpaca 1",
        "chinese-alpaca-plus-7b",
        "chinese-alpaca",
        written(
            "ymcui/Chinese-LLaMA-Alpaca, scripts/inference/inference_hf.py",
            one_turn=f"{_INSTRUCTION}\n\n### Instruction:\n\n{_ASKED}\n\n### Response:\n\n",
            with_system=f"{_SAID}\n\n### Instruction:\n\n{_ASKED}\n\n### Response:\n\n",
        ),
        stands_in=_EXTENDED,
    ),
    _llama(
        "Chinese-Alpaca 2",
        "chinese-alpaca-2-7b",
        "chinese-alpaca-2",
        fastchat("chinese-alpaca2"),
        stands_in=_EXTENDED,
    ),
    _llama("Llama 2", "Llama 2 7B Chat", "llama-2", fastchat("llama-2")),
    _llama("Vicuna", "vicuna-13b-v1.5", "vicuna", fastchat("vicuna_v1.1")),
    _llama(
        "Vicuna v0",
        "vicuna-13b-v0",
        "vicuna-v0",
        written(
            "lm-sys/FastChat, fastchat/conversation.py, zero_shot",
            one_turn=f"{_CURIOUS}\n### Human: {_ASKED}\n### Assistant:",
            with_system=f"{_SAID}\n### Human: {_ASKED}\n### Assistant:",
            two_turns=(
                f"{_CURIOUS}\n### Human: {_ASKED}\n### Assistant: I am fine."
                "\n### Human: 你好吗？\n### Assistant:"
            ),
        ),
        ends=("</s>", "###"),
    ),
    _llama(
        "StableVicuna",
        "stable-vicuna-13b",
        "stable-vicuna",
        written(
            "lm-sys/FastChat, fastchat/conversation.py, stable-vicuna",
            one_turn=f"{_STABLE}\n\n### Human: {_ASKED}\n### Assistant:",
            with_system=f"{_SAID}\n### Human: {_ASKED}\n### Assistant:",
            two_turns=(
                f"{_STABLE}\n\n### Human: {_ASKED}\n### Assistant: I am fine."
                "\n\n### Human: 你好吗？\n### Assistant:"
            ),
        ),
        ends=("</s>", "###"),
    ),
    _llama(
        "WizardLM (13B and up)",
        "WizardLM-13B-V1.2",
        "wizardlm",
        fastchat(
            "vicuna_v1.1", how=" (nlpxucan/WizardLM, WizardLM/src/infer_wizardlm13b.py has it)"
        ),
    ),
    _llama(
        "WizardLM 7B",
        "WizardLM-7B-V1.0",
        "wizardlm-7b",
        written(
            "nlpxucan/WizardLM, WizardLM/src/inference_wizardlm.py",
            one_turn=f"{_ASKED}\n\n### Response:\n",
        ),
    ),
    _llama(
        "WizardCoder",
        "WizardCoder-Python-13B",
        "wizardcoder",
        written(
            "nlpxucan/WizardLM, WizardCoder/src/inference_wizardcoder.py",
            one_turn=f"{_INSTRUCTION}\n\n### Instruction:\n{_ASKED}\n\n### Response:",
            with_system=f"{_SAID}\n\n### Instruction:\n{_ASKED}\n\n### Response:",
        ),
    ),
    _llama("Koala", "koala-13B", "koala", fastchat("koala_v1")),
    _llama(
        "OpenBuddy",
        "openbuddy-llama2-13b-v8.1",
        "openbuddy",
        fastchat("openbuddy"),
        stands_in=_EXTENDED,
    ),
    _llama(
        "Vigogne instruct", "vigogne-7b-instruct", "vigogne-instruct", fastchat("vigogne_instruct")
    ),
    _llama(
        "Vigogne chat 2",
        "vigogne-2-7b-chat",
        "vigogne-chat-v2",
        fastchat("vigogne_chat_v2"),
        ends=("</s>", "<|user|>"),
    ),
    _llama("Vigogne chat 3", "vigostral-7b-chat", "vigogne-chat-v3", fastchat("vigogne_chat_v3")),
    _llama(
        "Pygmalion/Metharme",
        "pygmalion-2-13b",
        "metharme",
        fastchat("metharme"),
        ends=("</s>", "<|user|>"),
    ),
    _llama(
        "BELLE",
        "BELLE-LLaMA-7B-2M",
        "belle",
        written(
            "LianjiaTech/BELLE, train/src/sample_generator.py",
            one_turn=f"Human: \n{_ASKED}\n\nAssistant: \n",
            two_turns=f"Human: \n{_ASKED}\n\nAssistant: \nI am fine.</s>"
            "Human: \n你好吗？\n\nAssistant: \n",
        )
        | written(
            "with a system text before the question: ours",
            with_system=f"Human: \n{_SAID}\n\n{_ASKED}\n\nAssistant: \n",
        ),
    ),
    _real(
        "Llama 3",
        "llama-bpe",
        fastchat("llama-3"),
        _HEADERS,
        ("<|eot_id|>", "<|end_of_text|>"),
        name="Meta Llama 3 8B Instruct",
        form="llama-3",
    ),
    _bytes(
        "Llama 3.1 to 3.3",
        fastchat(
            "llama-3",
            only=("with_system",),
            change=lambda prompt: prompt.replace(_SAID, _DATES + _SAID),
            how=", with the template's dates",
        ),
        _HEADERS,
        ("<|eot_id|>", "<|end_of_text|>"),
        template="meta-llama-Llama-3.1-8B-Instruct",
        bos=_HEADERS[0],
        stands_in=f"{_BYTES}; its own is Llama 3's",
    ),
    _real(
        "Baichuan 1",
        "baichuan",
        fastchat("baichuan-chat"),
        ("<reserved_102>", "<reserved_103>"),
        ("</s>", "<reserved_102>"),
        name="Baichuan-13B-Chat",
        form="baichuan",
    ),
    _real(
        "Baichuan 2",
        "baichuan",
        fastchat("baichuan2-chat"),
        ("<reserved_106>", "<reserved_107>"),
        ("</s>", "<reserved_106>"),
        name="Baichuan2-7B-Chat",
        form="baichuan-2",
        stands_in="stand-in: Baichuan 1's; the family's own is larger",
    ),
    _real(
        "AquilaChat",
        "aquila",
        fastchat("aquila-chat"),
        (),
        ("<|endoftext|>", "</s>", "###"),
        name="AquilaChat-7B",
        form="aquila-chat",
    ),
    _real(
        "AquilaChat2 16K",
        "aquila",
        fastchat("aquila"),
        ("</s>",),
        ("<|endoftext|>", "</s>"),
        name="AquilaChat2-7B-16K",
        form="aquila",
    ),
    _real(
        "AquilaChat2",
        "aquila",
        fastchat("aquila-v1"),
        ("<|startofpiece|>", "<|endofpiece|>"),
        ("<|endoftext|>", "</s>"),
        name="AquilaChat2-7B",
        form="aquila-v1",
    ),
    _bytes(
        "ChatGLM",
        fastchat("chatglm"),
        (),
        ("<eop>",),
        name="chatglm-6b",
        form="chatglm",
    ),
    _bytes(
        "ChatGLM2",
        fastchat("chatglm2", change=_begin("[gMASK]sop"), how=" behind its tokenizer's [gMASK]sop"),
        ("[gMASK]", "sop"),
        ("</s>",),
        name="chatglm2-6b",
        form="chatglm2",
    ),
    _bytes(
        "ChatGLM3",
        builtin("chatglm3"),
        (*_GLM, "sop"),
        ("<eos>", "<|user|>", "<|observation|>"),
        name="chatglm3-6b",
        form="chatglm3",
    ),
    _bytes(
        "GLM-4",
        builtin("chatglm4"),
        (*_GLM, "<sop>"),
        ("<|endoftext|>", "<|user|>", "<|observation|>"),
        name="glm-4-9b-chat",
        form="glm-4",
    ),
    _bytes(
        "GLM-4.6",
        written(
            "its template, read",
            one_turn=f"[gMASK]<sop><|user|>\n{_ASKED}/nothink<|assistant|>\n<think></think>",
            with_system=f"[gMASK]<sop><|system|>\n{_SAID}<|user|>\n{_ASKED}/nothink"
            "<|assistant|>\n<think></think>",
        ),
        (*_GLM, "<sop>", "<think>", "</think>"),
        ("<|endoftext|>", "<|user|>"),
        template="GLM-4.6",
    ),
    Case(
        family="RWKV World",
        goldens=builtin("rwkv-world"),
        template="rwkv-world",
        form="rwkv-world",
        stands_in="stand-in of its kind: bytes and some words",
        ends=("<s>", "\n\n"),
    ),
    Case(
        family="RWKV World (template)",
        goldens=builtin(
            "rwkv-world",
            change=lambda prompt: f"<s>{prompt} <think>\n</think>",
            how=", with the template's BOS and empty reasoning",
        ),
        template="llama-cpp-rwkv-world",
        special=("<s>",),
        stands_in="stand-in of its kind: bytes and some words",
        ends=("<s>", "\n\nUser:"),
    ),
    _real(
        "Qwen 1 and 2",
        "qwen2",
        fastchat("qwen-7b-chat"),
        _CHATML,
        ("<|im_end|>", "<|endoftext|>", "<|im_start|>"),
        name="Qwen2-7B-Instruct",
        form="qwen",
    ),
    _bytes(
        "Qwen2.5",
        fastchat("qwen-7b-chat", only=("with_system",)) | builtin("chatml", only=("talk",)),
        _CHATML,
        ("<|im_end|>", "<|endoftext|>"),
        template="Qwen-Qwen2.5-7B-Instruct",
        stands_in=f"{_BYTES}; its own is Qwen2's",
    ),
    _bytes(
        "Qwen3",
        builtin("chatml", change=_end(_NO_THOUGHT), how=", reasoning closed"),
        _CHATML,
        ("<|im_end|>", "<|endoftext|>"),
        template="Qwen-Qwen3-0.6B",
        stands_in=f"{_BYTES}; its own is Qwen2's",
    ),
    _real(
        "Qwen3.5",
        "qwen35",
        builtin("chatml", change=_end(_NO_THOUGHT), how=", reasoning closed"),
        _CHATML,
        ("<|im_end|>", "<|endoftext|>"),
        template="Qwen3.5-4B",
    ),
    _bytes(
        "ChatML (others)",
        builtin("chatml"),
        _CHATML,
        ("<|endoftext|>", "<|im_end|>"),
        name="InternLM2 Chat 7B",
        form="chatml",
    ),
    _real(
        "Phi-3",
        "phi-3",
        builtin("phi3"),
        ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        ("<|end|>", "<|endoftext|>"),
        form="phi-3",
    ),
    _real(
        "Phi-3.5",
        "phi-3",
        builtin("phi3"),
        ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        ("<|end|>", "<|endoftext|>"),
        template="microsoft-Phi-3.5-mini-instruct",
    ),
    _bytes(
        "Yi",
        fastchat("Yi-34b-chat", only=("one_turn", "two_turns"))
        | builtin("chatml", only=("with_system", "talk")),
        (*_CHATML, "<|im_sep|>", "<|endoftext|>"),
        ("<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|im_sep|>"),
        name="Yi-34B-Chat",
        form="yi",
    ),
    _bytes(
        "Command-R",
        builtin("command-r", change=_begin("<BOS_TOKEN>"), how=" behind the BOS"),
        ("<BOS_TOKEN>", *_COMMAND),
        ("<|END_OF_TURN_TOKEN|>",),
        form="command-r",
        bos="<BOS_TOKEN>",
    ),
    _real(
        "Mistral 7B, Mixtral",
        "llama-spm",
        fastchat("mistral"),
        (),
        ("</s>",),
        name="Mistral-7B-Instruct-v0.2",
        form="mistral",
        stands_in="stand-in: Llama's SentencePiece",
    ),
    _bytes(
        "Mistral Nemo",
        builtin(
            "mistral-v3-tekken",
            ("one_turn", "with_system", "two_turns"),
            _begin("<s>"),
            how=" behind the BOS",
        ),
        ("<s>", "[INST]", "[/INST]"),
        ("</s>",),
        template="mistralai-Mistral-Nemo-Instruct-2407",
        bos="<s>",
    ),
    _bytes(
        "Gemma 1 and 3",
        fastchat("gemma", only=("one_turn", "two_turns"))
        | builtin("gemma", ("with_system", "talk"), _begin("<bos>"), how=" behind the BOS"),
        _TURNS,
        ("<eos>", "<end_of_turn>"),
        name="gemma-1.1-7b-it",
        form="gemma",
        bos="<bos>",
    ),
    _bytes(
        "Gemma 2",
        builtin("gemma", change=_begin("<bos>"), how=" behind the BOS"),
        _TURNS,
        ("<eos>", "<end_of_turn>"),
        template="google-gemma-2-2b-it",
        bos="<bos>",
    ),
    _real(
        "DeepSeek LLM, V2",
        "deepseek-llm",
        fastchat("deepseek-chat", only=("one_turn", "two_turns"))
        | builtin(
            "deepseek2", ("with_system", "talk"), _begin(_DEEPSEEK[0]), how=" behind the BOS"
        ),
        _DEEPSEEK[:1],
        _DEEPSEEK[1:],
        name="deepseek-llm-7b-chat",
        form="deepseek",
    ),
    _bytes(
        "DeepSeek V3.1",
        builtin(
            "deepseek3",
            ("one_turn",),
            lambda prompt: f"{_DEEPSEEK[0]}{prompt}<think></think>",
            how=", BOS before, reasoning closed",
        )
        | written(
            "with a system text: its template, read",
            with_system=f"{_DEEPSEEK[0]}{_SAID}<｜User｜>{_ASKED}<｜Assistant｜><think></think>",
        ),
        (*_DEEPSEEK, "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
        _DEEPSEEK[1:],
        template="deepseek-ai-DeepSeek-V3.1",
        bos=_DEEPSEEK[0],
    ),
    _bytes(
        "DeepSeek R1 (distilled)",
        builtin(
            "deepseek3",
            ("one_turn", "two_turns"),
            lambda prompt: f"{_DEEPSEEK[0]}{prompt}{_NO_THOUGHT}",
            how=", BOS before, reasoning closed",
        ),
        (*_DEEPSEEK, "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
        _DEEPSEEK[1:],
        template="deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
        bos=_DEEPSEEK[0],
    ),
    _real(
        "Zephyr",
        "llama-spm",
        fastchat("zephyr"),
        ("</s>",),
        ("</s>",),
        name="zephyr-7b-beta",
        form="zephyr",
        stands_in="stand-in: Llama's SentencePiece",
    ),
)
