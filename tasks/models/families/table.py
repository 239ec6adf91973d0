"""The families by their names.

Owns looking them up. Sources, as the entries name them: "FastChat" is lm-sys/FastChat at 0e6d3e4b
(fastchat/conversation.py), "llama.cpp" src/llama-chat.cpp as llama-cpp-python 0.3.36 has it; else
a repository and the path in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tasks.errors import ModelError
from tasks.models.families.finetunes import FINETUNES
from tasks.models.families.form import Family
from tasks.models.families.originals import ORIGINALS
from tasks.models.nearest import close, listed, nearest

_FAMILIES = (*FINETUNES, *ORIGINALS)
FAMILIES: Mapping[str, Family] = {family.name: family for family in _FAMILIES}

# What old converters wrote into `tokenizer.chat_template` instead of a template: a name of one
# of llama.cpp's own (LLM_CHAT_TEMPLATES). Those whose form is that of a family here.
BUILT_IN: Mapping[str, str] = {
    "chatml": "chatml",
    **dict.fromkeys(("llama2", "llama2-sys", "llama2-sys-bos", "llama2-sys-strip"), "llama-2"),
    "mistral-v1": "mistral",
    "phi3": "phi-3",
    "gemma": "gemma",
    "deepseek2": "deepseek",
    "command-r": "command-r",
    "llama3": "llama-3",
    "chatglm3": "chatglm3",
    "chatglm4": "glm-4",
    "rwkv-world": "rwkv-world",
}


def family(name: str, model: str) -> Family:
    """Return the family of that name; case and separators don't matter.

    Raises:
        ModelError: there is none; it names the nearest.
    """
    names = {_plain(each): one for one in _FAMILIES for each in (one.name, *one.aliases)}
    found = names.get(_plain(name))
    if found:
        return found
    near = list(dict.fromkeys(names[each].name for each in close(_plain(name), names)))
    remedy = f"There is {listed(near or nearest(name, FAMILIES))}; all stand in docs/models.md"
    raise ModelError(model, f"there is no chat format {name!r}", remedy)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
