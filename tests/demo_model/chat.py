"""Render the project's prompts as the model sees them: jinja templates inside ChatML turns.

Owns the chat template that goes into the GGUF file. Knows nothing of tokens or training.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LANGUAGES = ("en", "zh")
MODES = ("summarize", "merge", "translate")
PROMPTS = Path(__file__).parents[2] / "prompts"


@dataclass(frozen=True)
class Prompt:
    """The two messages of one call."""

    system: str
    user: str

    def chat(self) -> str:
        """Write the messages as ChatML, up to where the model's answer begins."""
        turns = [("system", self.system)] if self.system else []
        turns.append(("user", self.user))
        text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)
        return text + "<|im_start|>assistant\n"


class PromptBook:
    """The project's templates, by mode and language."""

    def __init__(self, folder: Path = PROMPTS) -> None:
        environment = jinja2.Environment(
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
            undefined=jinja2.StrictUndefined,
            autoescape=False,
        )
        self._templates: dict[tuple[str, str, str], jinja2.Template] = {}
        for mode in MODES:
            texts = tomllib.loads((folder / f"{mode}.toml").read_text(encoding="utf-8"))
            for language in LANGUAGES:
                for role in ("system", "user"):
                    template = environment.from_string(texts[language][role])
                    self._templates[mode, language, role] = template

    def render(self, mode: str, language: str, variables: Mapping[str, object]) -> Prompt:
        """Fill in one prompt; every variable that the template names must be given, but for those
        of translations that the model is not trained on."""
        given = {"glossary": "", "pairs": "", **variables}
        system, user = (
            self._templates[mode, language, role].render(given).strip()
            for role in ("system", "user")
        )
        return Prompt(system, user)
