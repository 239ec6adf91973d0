"""Models with a vocabulary of their own: their prompts, what ends their answers, who says so.

Owns their part of the table; `tasks.models.families.table` says what the sources mean.
"""

from __future__ import annotations

from dataclasses import replace

from tasks.models.families.form import Family

_NO_BLANK_LINES = "|trim" + "".join(
    f"|replace('{text}', '\\n')" for text in (r"\r\n", r"\n\n\n", r"\n\n")
)

_CHATML = Family(
    name="chatml",
    source="llama.cpp, chatml",
    system="<|im_start|>system\n{}<|im_end|>\n",
    user="<|im_start|>user\n{}<|im_end|>\n",
    answer="<|im_start|>assistant\n{}<|im_end|>\n",
    opening="<|im_start|>assistant\n",
    ends=("<|im_end|>", "<|endoftext|>"),
)
_BAICHUAN = Family(
    name="baichuan",
    source="FastChat, baichuan-chat",
    system="{}",
    user="<reserved_102>{}",
    answer="<reserved_103>{}",
    opening="<reserved_103>",
    ends=("<reserved_102>",),
    marks=("<reserved_102>", "<reserved_103>"),
    aliases=("baichuan-chat",),
)
_AQUILA = Family(
    name="aquila",
    source="FastChat, aquila",
    system="{}###",
    default_system=(
        "A chat between a curious human and an artificial intelligence assistant. The assistant "
        "gives helpful, detailed, and polite answers to the human's questions."
    ),
    user="Human: {}###",
    answer="Assistant: {}</s>",
    opening="Assistant:",
    ends=("</s>", "[UNK]"),
    aliases=("aquilachat2-16k",),
)
_CHATGLM = Family(
    name="chatglm",
    source="FastChat, chatglm",
    system="{}\n",
    user="[Round {n}]\n问：{}\n",
    answer="答：{}\n",
    opening="答：",
    aliases=("chatglm-6b",),
)

ORIGINALS = (
    _BAICHUAN,
    replace(
        _BAICHUAN,
        name="baichuan-2",
        source="FastChat, baichuan2-chat",
        user="<reserved_106>{}",
        answer="<reserved_107>{}",
        opening="<reserved_107>",
        ends=("<reserved_106>",),
        marks=("<reserved_106>", "<reserved_107>"),
        aliases=("baichuan2-chat",),
    ),
    replace(
        _AQUILA,
        name="aquila-chat",
        source="FastChat, aquila-chat",
        answer="Assistant: {}###",
        ends=("###", "</s>", "[UNK]"),
        aliases=("aquilachat",),
    ),
    _AQUILA,
    Family(
        name="aquila-v1",
        source="FastChat, aquila-v1",
        system="{}",
        user="<|startofpiece|>{}",
        answer="<|endofpiece|>{}</s>",
        opening="<|endofpiece|>",
        ends=("</s>", "<|endoftext|>"),
        aliases=("aquilachat2",),
    ),
    _CHATGLM,
    replace(
        _CHATGLM,
        name="chatglm2",
        source="FastChat, chatglm2; [gMASK]sop: llama.cpp, conversion/chatglm.py",
        begin="[gMASK]sop",
        system="{}\n\n",
        user="[Round {n+1}]\n\n问：{}\n\n",
        answer="答：{}\n\n",
        aliases=("chatglm2-6b",),
    ),
    # FastChat's has neither the first two tokens, which its tokenizer adds, nor the space, which
    # stands for the one that SentencePiece puts before each message.
    Family(
        name="chatglm3",
        source="llama.cpp, chatglm3",
        begin="[gMASK]sop",
        system="<|system|>\n {}",
        user="<|user|>\n {}",
        answer="<|assistant|>\n {}",
        opening="<|assistant|>",
        ends=("<|user|>", "<|observation|>", "<eos>"),
    ),
    Family(
        name="glm-4",
        source="llama.cpp, chatglm4",
        begin="[gMASK]<sop>",
        system="<|system|>\n{}",
        user="<|user|>\n{}",
        answer="<|assistant|>\n{}",
        opening="<|assistant|>\n",
        ends=("<|user|>", "<|observation|>", "<|endoftext|>"),
        aliases=("chatglm4",),
    ),
    # A blank line ends a turn, so there is none inside: the model cards' code does likewise.
    Family(
        name="rwkv-world",
        source="llama.cpp, rwkv-world",
        system="System: {}\n\n",
        user="User: {}\n\n",
        answer="Assistant: {}\n\n",
        opening="Assistant:",
        content=_NO_BLANK_LINES,
        ends=("\n\n",),
        aliases=("rwkv",),
    ),
    _CHATML,
    replace(
        _CHATML,
        name="qwen",
        source="FastChat, qwen-7b-chat",
        default_system="You are a helpful assistant.",
        ends=("<|im_end|>", "<|endoftext|>", "<|im_start|>"),
        aliases=("qwen-7b-chat", "qwen2", "qwen2.5"),
    ),
    # FastChat writes a system text without its <|im_start|>system: ChatML has it.
    replace(
        _CHATML,
        name="yi",
        source="FastChat, Yi-34b-chat; system text: llama.cpp, chatml",
        ends=("<|im_end|>", "<|endoftext|>", "<|im_start|>", "<|im_sep|>"),
        aliases=("yi-34b-chat", "yi-chat"),
    ),
    Family(
        name="mistral",
        source="FastChat, mistral",
        begin="[INST] ",
        system="{}\n",
        user="{} [/INST]",
        answer=" {}{eos}[INST] ",
        opening="",
        aliases=("mistral-instruct",),
    ),
    # FastChat leaves a system text out; llama.cpp puts it where Google's own template has room.
    Family(
        name="gemma",
        source="FastChat, gemma; system text: llama.cpp, gemma",
        begin="{bos}<start_of_turn>user\n",
        system="{}\n\n",
        user="{}<end_of_turn>\n",
        answer="<start_of_turn>model\n{}<end_of_turn>\n<start_of_turn>user\n",
        opening="<start_of_turn>model\n",
        content="|trim",
        ends=("<end_of_turn>",),
    ),
    # FastChat takes the BOS for a default system text.
    Family(
        name="deepseek",
        source="FastChat, deepseek-chat; system text: llama.cpp, deepseek2",
        begin="{bos}",
        system="{}\n\n",
        user="User: {}\n\n",
        answer="Assistant: {}<｜end▁of▁sentence｜>",
        opening="Assistant:",
        ends=("<｜end▁of▁sentence｜>",),
        aliases=("deepseek-chat", "deepseek2"),
    ),
    Family(
        name="llama-3",
        source="FastChat, llama-3",
        begin="{bos}",
        system="<|start_header_id|>system<|end_header_id|>\n\n{}<|eot_id|>",
        user="<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>",
        answer="<|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>",
        opening="<|start_header_id|>assistant<|end_header_id|>\n\n",
        content="|trim",
        ends=("<|eot_id|>", "<|end_of_text|>"),
    ),
    Family(
        name="zephyr",
        source="FastChat, zephyr",
        begin="<|system|>\n",
        system="{}",
        after="{eos}\n",
        user="<|user|>\n{}{eos}\n",
        answer="<|assistant|>\n{}{eos}\n",
        opening="<|assistant|>\n",
        ends=("</s>",),
    ),
    Family(
        name="phi-3",
        source="llama.cpp, phi3",
        system="<|system|>\n{}<|end|>\n",
        user="<|user|>\n{}<|end|>\n",
        answer="<|assistant|>\n{}<|end|>\n",
        opening="<|assistant|>\n",
        ends=("<|end|>", "<|endoftext|>"),
        aliases=("phi-3.5",),
    ),
    Family(
        name="command-r",
        source="llama.cpp, command-r",
        begin="{bos}",
        system="<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{}<|END_OF_TURN_TOKEN|>",
        user="<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{}<|END_OF_TURN_TOKEN|>",
        answer="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{}<|END_OF_TURN_TOKEN|>",
        opening="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        content="|trim",
        ends=("<|END_OF_TURN_TOKEN|>",),
        aliases=("aya",),
    ),
)
