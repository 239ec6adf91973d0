"""The real vocabularies of the outside material, each with a chat template that fits it."""

from __future__ import annotations

import html
import re
from pathlib import Path

from support.gguf_edit import write_vocabulary

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
PLAIN = (
    "{{ bos_token }}{% for m in messages %}### {{ m.role }}:\n{{ m.content }}\n\n{% endfor %}"
    "### assistant:\n"
)
# Vocabulary to the name of a template in material/gguf/templates, or to a template's text.
TEMPLATES = {
    "qwen2": "Qwen-Qwen2.5-7B-Instruct",
    "qwen35": "Qwen3.5-4B",
    "llama-bpe": "meta-llama-Llama-3.1-8B-Instruct",
    "phi-3": "microsoft-Phi-3.5-mini-instruct",
    "llama-spm": PLAIN,
    "baichuan": PLAIN,
    "aquila": PLAIN,
    "gpt-2": CHATML,
    "deepseek-llm": "deepseek-ai-DeepSeek-V3.1",
}


def template_of(name: str, material: Path) -> str:
    """Return the chat template that goes with a vocabulary."""
    file = material / "gguf" / "templates" / f"{TEMPLATES[name]}.jinja"
    return TEMPLATES[name] if "{" in TEMPLATES[name] else file.read_text(encoding="utf-8")


def vocabulary_file(name: str, material: Path, folder: Path, **texts: str) -> Path:
    """Write a vocabulary with its chat template (and other header values) into folder."""
    source = material / "gguf" / f"ggml-vocab-{name}.gguf"
    values = {"tokenizer__chat_template": template_of(name, material), **texts}
    return write_vocabulary(source, folder / f"{name}.gguf", **values)


def parallel_text(material: Path) -> str:
    """Return the articles of the Declaration, an English one and a Chinese one by turns."""
    english, chinese = (
        _paragraphs(material / "parallel" / name) for name in ("eng.html", "cmn_hans.html")
    )
    return "\n\n".join(f"{en}\n{zh}" for en, zh in zip(english, chinese, strict=False))


def _paragraphs(path: Path) -> list[str]:
    found = re.findall(r"<(?:p|h\d)[^>]*>(.*?)</(?:p|h\d)>", path.read_text(encoding="utf-8"), re.S)
    return [html.unescape(re.sub(r"<[^>]+>", "", text)).strip() for text in found]
