"""A family's prompt, written down as its parts, and the Jinja template that they make.

Owns the small language of the parts. Knows no family.

In a part, {} is the message's text, {bos} and {eos} are those tokens of the vocabulary, {n} counts
the rounds from 0 and {n+1} from 1; all else stands for itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property

_PLACE = re.compile(r"(\{(?:bos|eos|n|n\+1)?\})")
_LITERAL = re.compile(r"<+[^<>\s{}]+>+|\[/?\w+\]")
_VALUES = {
    "{bos}": "bos_token",
    "{eos}": "eos_token",
    "{n}": "(loop.index0 // 2)",
    "{n+1}": "(loop.index0 // 2 + 1)",
}


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a family of models is talked to.

    Attributes:
        source: where the form is from.
        begin: what every prompt begins with.
        system: the system text; "": there is no place for one, and it goes into the first
            question.
        default_system: where the messages have none.
        after: what parts that from the turns.
        user, answer: a question and its answer.
        opening: what the model goes on from.
        content: Jinja filters on the texts.
        ends: what ends an answer beside the file's own EOS: single tokens, where the vocabulary
            has them, else text.
        marks: literals in the form that stand for single tokens, even where llama.cpp reads them
            as text.
        aliases: what else the family, or those who share its form, are called.
    """

    name: str
    source: str
    user: str
    answer: str
    opening: str
    system: str = ""
    default_system: str = ""
    begin: str = ""
    after: str = ""
    content: str = ""
    ends: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @cached_property
    def template(self) -> str:
        """The form as a chat template in Jinja, as GGUF files have them."""
        system = self._filled(self.system, "system")
        user, answer = (self._filled(part, "m.content") for part in (self.user, self.answer))
        whose = "messages[0].role == 'system'"
        first = f"messages[0].content if {whose} else {json.dumps(self.default_system)}"
        return (
            f"{{% set system = {first} %}}{self._filled(self.begin)}"
            f"{{% if system %}}{system}{{% endif %}}{self._filled(self.after)}"
            f"{{% for m in (messages[1:] if {whose} else messages) %}}"
            f"{{% if m.role == 'user' %}}{user}{{% elif m.role == 'assistant' %}}{answer}"
            "{% else %}{{ raise_exception('only the first message may be a system message') }}"
            f"{{% endif %}}{{% endfor %}}{self._filled(self.opening)}"
        )

    @property
    def literals(self) -> tuple[str, ...]:
        """What only the form may write: `<|user|>`, `[INST]`, …; whether token or text."""
        parts = self.begin + self.system + self.after + self.user + self.answer + self.opening
        return tuple(dict.fromkeys(_LITERAL.findall(parts)))

    def _filled(self, part: str, content: str = "") -> str:
        values = {**_VALUES, "{}": f"{content}{self.content}"}
        pieces = (values.get(text) or json.dumps(text) for text in _PLACE.split(part) if text)
        return "".join(f"{{{{ {piece} }}}}" for piece in pieces)
