"""Fine-tunes of the LLaMAs: what their prompts look like, what ends their answers, who says so.

Owns their part of the table; `tasks.models.families.table` says what the sources mean.
"""

from __future__ import annotations

from dataclasses import replace

from tasks.models.families.form import Family

_INSTRUCTION = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)
_VIGOGNE = (
    "Vous êtes Vigogne, un assistant IA créé par Zaion Lab. "
    "Vous suivez extrêmement bien les instructions. Aidez autant que vous le pouvez."
)
_BUDDY = """\
Consider a conversation between User (a human) and Assistant (named Buddy).
Buddy is an INTP-T, a friendly, intelligent and multilingual AI assistant, by OpenBuddy team. \
GitHub: https://github.com/OpenBuddy/OpenBuddy
Buddy cannot access the Internet.
Buddy can fluently speak the user's language (e.g. English, Chinese).
Buddy can generate poems, stories, code, essays, songs, parodies, and more.
Buddy possesses vast knowledge about the world, history, and culture.
Buddy's responses are always safe, creative, high-quality, human-like, and interesting.
Buddy strictly refuses to discuss political, NSFW, or other unsafe topics.

User: Hi.
Assistant: Hi, I'm Buddy, your AI assistant. How can I help you today?"""
_ROLE_PLAY = (
    "Enter RP mode. You shall reply to the user while staying \n"
    "        in character. Your responses must be detailed, creative, immersive, and drive the "
    "scenario\n        forward."
)

_VICUNA = Family(
    name="vicuna",
    source="FastChat, vicuna_v1.1",
    system="{} ",
    default_system=(
        "A chat between a curious user and an artificial intelligence assistant. The assistant "
        "gives helpful, detailed, and polite answers to the user's questions."
    ),
    user="USER: {} ",
    answer="ASSISTANT: {}{eos}",
    opening="ASSISTANT:",
    aliases=("vicuna_v1.1",),
)
# Its first weights were taught in another form than all later ones.
_VICUNA_V0 = Family(
    name="vicuna-v0",
    source="FastChat, zero_shot (docs/vicuna_weights_version.md: weights v0)",
    system="{}\n### ",
    default_system=(
        "A chat between a curious human and an artificial intelligence assistant. The assistant "
        "gives helpful, detailed, and polite answers to the human's questions."
    ),
    user="Human: {}\n### ",
    answer="Assistant: {}\n### ",
    opening="Assistant:",
    ends=("###",),
)
_LLAMA_2 = Family(
    name="llama-2",
    source="FastChat, llama-2",
    begin="[INST] ",
    system="<<SYS>>\n{}\n<</SYS>>\n\n",
    user="{} [/INST]",
    answer=" {} {eos}{bos}[INST] ",
    opening="",
)
FINETUNES = (
    Family(
        name="alpaca",
        source="FastChat, alpaca",
        system="{}\n\n",
        default_system=_INSTRUCTION,
        user="### Instruction: {}\n\n",
        answer="### Response: {}{eos}",
        opening="### Response:",
    ),
    # The instruction goes on the next line in the code that runs it.
    Family(
        name="wizardcoder",
        source="nlpxucan/WizardLM, WizardCoder/src/inference_wizardcoder.py",
        system="{}\n\n",
        default_system=_INSTRUCTION,
        user="### Instruction:\n{}\n\n",
        answer="### Response:{}{eos}\n\n",
        opening="### Response:",
    ),
    Family(
        name="chinese-alpaca",
        source="ymcui/Chinese-LLaMA-Alpaca, scripts/inference/inference_hf.py",
        system="{}\n\n",
        default_system=_INSTRUCTION,
        user="### Instruction:\n\n{}\n\n",
        answer="### Response:\n\n{}{eos}\n\n",
        opening="### Response:\n\n",
        aliases=("chinese-alpaca-1",),
    ),
    replace(
        _LLAMA_2,
        name="chinese-alpaca-2",
        source="FastChat, chinese-alpaca2",
        default_system=(
            "You are a helpful assistant. 你是一个乐于助人的助手。"
            "请你提供专业、有逻辑、内容真实、有价值的详细回复。"
        ),
    ),
    _LLAMA_2,
    _VICUNA,
    _VICUNA_V0,
    # Made from Vicuna's first weights.
    Family(
        name="stable-vicuna",
        source="FastChat, stable-vicuna; its end: Vicuna v0's",
        system="{}\n",
        default_system=(
            "### Assistant: I am StableVicuna, a large language model created by CarperAI. "
            "I am here to chat!\n"
        ),
        user="### Human: {}\n",
        answer="### Assistant: {}\n\n",
        opening="### Assistant:",
        ends=("###",),
    ),
    # Trained from Vicuna's data format on: its own code renders this very prompt.
    replace(
        _VICUNA,
        name="wizardlm",
        source="nlpxucan/WizardLM, WizardLM/src/infer_wizardlm13b.py: Vicuna's form",
        aliases=("wizardlm-13b", "wizardlm-30b", "wizardlm-70b", "wizardlm-2"),
    ),
    # The first, 7B, has Alpaca's answer line behind the bare question.
    Family(
        name="wizardlm-7b",
        source="nlpxucan/WizardLM, WizardLM/src/inference_wizardlm.py: Alpaca's second half",
        system="{}\n\n",
        user="{}\n\n",
        answer="### Response:\n{}{eos}\n\n",
        opening="### Response:\n",
    ),
    replace(
        _VICUNA,
        name="koala",
        source="FastChat, koala_v1: Vicuna's form with other words",
        default_system="BEGINNING OF CONVERSATION:",
        answer="GPT: {}{eos}",
        opening="GPT:",
        aliases=("koala_v1",),
    ),
    Family(
        name="gpt4all",
        source="FastChat, snoozy",
        begin="### Instruction:\n",
        system="{}\n",
        default_system=(
            "The prompt below is a question to answer, a task to complete, or a conversation "
            "to respond to; decide which and write an appropriate response."
        ),
        user="### Prompt: {}\n",
        answer="### Response: {}\n",
        opening="### Response:",
        ends=("###",),
        aliases=("snoozy", "gpt4all-snoozy"),
    ),
    Family(
        name="openbuddy",
        source="FastChat, openbuddy",
        system="{}\n",
        default_system=_BUDDY,
        user="User: {}\n",
        answer="Assistant: {}\n",
        opening="Assistant:",
    ),
    Family(
        name="vigogne-instruct",
        source="FastChat, vigogne_instruct",
        begin="### System:\n",
        system="{}\n\n",
        default_system=(
            "Ci-dessous se trouve une instruction qui décrit une tâche à accomplir. "
            "Rédigez une réponse qui répond de manière précise à la demande."
        ),
        user="### Instruction:\n{}\n\n",
        answer="### Response:\n{}{eos}\n\n",
        opening="### Response:\n",
        aliases=("vigogne",),
    ),
    Family(
        name="vigogne-chat-v2",
        source="FastChat, vigogne_chat_v2",
        system="<|system|>: {}\n",
        default_system=_VIGOGNE,
        user="<|user|>: {}\n",
        answer="<|assistant|>: {}{eos}\n",
        opening="<|assistant|>:",
        ends=("<|user|>",),
        aliases=("vigogne-chat",),
    ),
    replace(
        _LLAMA_2,
        name="vigogne-chat-v3",
        source="FastChat, vigogne_chat_v3",
        default_system=_VIGOGNE,
        answer=" {} {eos}[INST] ",
        aliases=("vigostral-chat",),
    ),
    Family(
        name="metharme",
        source="FastChat, metharme",
        system="<|system|>{}",
        default_system=_ROLE_PLAY,
        user="<|user|>{}",
        answer="<|model|>{}",
        opening="<|model|>",
        ends=("<|user|>",),
        aliases=("pygmalion", "pygmalion-2"),
    ),
    # Its training code has no place for a system text.
    Family(
        name="belle",
        source="LianjiaTech/BELLE, train/src/sample_generator.py",
        user="Human: \n{}\n\nAssistant: \n",
        answer="{}{eos}",
        opening="",
    ),
)
