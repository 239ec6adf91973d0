"""A model's chat template: messages in, the prompt's text out.

Owns rendering the GGUF's own Jinja template in a sandbox, as Hugging Face renders it, with
reasoning switched off. Knows neither tokens' numbers nor files. A template is a program from
a stranger: the sandbox keeps it from the machine, a cap bounds its output, and whoever uses a
stranger's lets it run in a child process with limits (`RenderingChild`), every time: it may be
harmless until it sees a certain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tasks.errors import ModelError
from tasks.models.line_child import LineChild
from tasks.records import Message

MAX_TEMPLATE_CHARS = 256 * 1024  # the longest known is under 20 kB
MAX_OVERHEAD_CHARS = 1024 * 1024  # what a template may add to its messages
REASONING_OFF: Mapping[str, object] = {
    # What the families call it; a template ignores names that it does not know.
    "enable_thinking": False,
    "thinking": False,
    "thinking_mode": "disabled",
    "thinking_budget": 0,
    "reasoning_effort": "low",
}
# Templates that print today's date would change every prompt, and with it every key of the
# ledger, at midnight. So today is always the date that Llama 3.1's template falls back to.
TODAY = datetime(2024, 7, 26)

TOO_MUCH = "its chat template comes to no end, or needs more memory than it may have"

PROBE = (Message("system", "lectern-probe-system"), Message("user", "lectern-probe-user"))
_ANSWER, _NEXT = Message("assistant", "lectern-probe-answer"), Message("user", "lectern-probe-next")


@dataclass(frozen=True)
class _Way:
    """How a template wants to be asked.

    Attributes:
        folds_system: it refuses a system message, or leaves it out without a word; so its text
            goes to the head of the first user message.
        tools: None by custom; templates made for tools alone iterate over it.
    """

    folds_system: bool
    tools: Sequence[object] | None = None


Turns = Sequence[Mapping[str, str]]


class Renderer(Protocol):
    """A template at work."""

    def __call__(self, turns: Turns, tools: Sequence[object] | None, room: int) -> str:
        """Return the prompt's text, of at most `room` characters.

        Raises:
            ModelError: the template fails on these turns, or takes too much.
        """
        ...


class JinjaRenderer:
    """The template in this process.

    Raises:
        ModelError: it is none.
    """

    def __init__(self, source: str, bos_token: str = "", eos_token: str = "") -> None:
        self._variables: dict[str, object] = {
            **REASONING_OFF,
            "bos_token": bos_token,
            "eos_token": eos_token,
            "documents": None,
            "add_generation_prompt": True,
        }
        if len(source) > MAX_TEMPLATE_CHARS:
            raise ModelError("", f"its chat template is {len(source):,} characters long")
        try:
            self._template = _environment().from_string(source)
        except Exception as error:
            # A foreign program at the border: its constants are computed here.
            raise ModelError("", f"its chat template can't be read ({_reason(error)})") from error

    def __call__(self, turns: Turns, tools: Sequence[object] | None, room: int) -> str:
        variables = {**self._variables, "messages": turns, "tools": tools}
        pieces = []
        try:
            for piece in self._template.generate(variables):
                room -= len(piece)
                if room < 0:
                    raise ModelError("", "its chat template writes without end")
                pieces.append(piece)
        except ModelError:
            raise
        except Exception as error:
            # As above: any exception may come out of it.
            raise ModelError("", f"its chat template fails ({_reason(error)})") from error
        return "".join(pieces)


class RenderingChild:
    """The template in a child process with limits; see `tasks.models.template_child`."""

    def __init__(self, source: str, bos_token: str = "", eos_token: str = "") -> None:
        greeting = {"source": source, "bos_token": bos_token, "eos_token": eos_token}
        self._child = LineChild(
            "tasks.models.template_child", greeting=json.dumps(greeting).encode() + b"\n"
        )

    def __call__(self, turns: Turns, tools: Sequence[object] | None, room: int) -> str:
        question = json.dumps({"turns": turns, "tools": tools, "room": room}).encode() + b"\n"
        answer = self._child.ask(question)
        if not answer:
            raise ModelError("", TOO_MUCH)
        said: dict[str, str] = json.loads(answer)
        if "problem" in said:
            raise ModelError("", said["problem"])
        return said["text"]


_WAYS = (_Way(False), _Way(True), _Way(False, tools=()), _Way(True, tools=()))


class ChatTemplate:
    """Renders messages into one prompt that ends where the assistant's answer begins.

    Args:
        render: the template at work.
        special_tokens: literals that the tokenizer would take for control tokens; inside
            message contents they are broken by a space, so that a document can't end its turn.
        model: the model's name, for errors.
    """

    def __init__(
        self,
        render: Renderer,
        *,
        special_tokens: Collection[str] = (),
        model: str = "chat template",
    ) -> None:
        self._renderer = render
        self._model = model
        self._special = _literals(special_tokens)

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt's text.

        Raises:
            ModelError: the template refuses the messages or fails on them.
        """
        clean = [replace(m, content=self.neutralise(m.content)) for m in messages]
        return self._render(clean, self._way)

    def between(self) -> str:
        """Return what stands between an answer and the next question; "" if it takes no second.

        How a template ends a turn, the model ends its answer.
        """
        try:
            text = self._render((*PROBE, _ANSWER, _NEXT), self._way)
        except ModelError:
            return ""
        _, _, rest = text.partition(_ANSWER.content)
        between, found, _ = rest.partition(_NEXT.content)
        return between if found else ""

    @cached_property
    def _way(self) -> _Way:
        """The first way in which the template takes a system message and shows it."""
        system, user = (message.content for message in PROBE)
        refusals = []
        for way in _WAYS:
            try:
                text = self._render(PROBE, way)
            except ModelError as error:
                refusals.append(error)
                continue
            if system in text and user in text:
                return way
        if refusals:
            raise refusals[0]
        raise self._error("its chat template leaves the messages out of the prompt")

    def _render(self, messages: Sequence[Message], way: _Way) -> str:
        turns = [
            {"role": m.role, "content": m.content}
            for m in (_fold_system(messages) if way.folds_system else messages)
        ]
        room = MAX_OVERHEAD_CHARS + 4 * sum(len(m.content) for m in messages)
        try:
            return _close_reasoning(self._renderer(turns, way.tools, room))
        except ModelError as error:
            raise self._error(error.problem) from error

    def neutralise(self, content: str) -> str:
        """Break every special-token literal by a space behind its first character."""
        if self._special is None:
            return content
        while True:  # a break can join what stood around it into another literal
            content, n_found = self._special.subn(_broken, content)
            if n_found == 0:
                return content

    def _error(self, problem: str) -> ModelError:
        return ModelError(self._model, problem, "Choose another model, or report the template")


def _reason(error: Exception) -> str:
    return str(error)[:300] or type(error).__name__


def _broken(match: re.Match[str]) -> str:
    text = match.group()
    return f"{text[0]} {text[1:]}"


def _literals(special_tokens: Collection[str]) -> re.Pattern[str] | None:
    """Return what finds the tokens, longest first; one without an inside can't be broken."""
    breakable = {t for t in special_tokens if len(t) > 1 and not t.isspace() and t[1] != " "}
    longest_first = sorted(breakable, key=lambda token: (-len(token), token))
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _fold_system(messages: Sequence[Message]) -> list[Message]:
    """Move the system text to the head of the first user message."""
    system = [m.content for m in messages if m.role == "system"]
    rest = [m for m in messages if m.role != "system"]
    if not system or not rest:
        return list(messages)
    return [replace(rest[0], content="\n\n".join([*system, rest[0].content])), *rest[1:]]


# How prompts end behind which reasoning begins, and what they show before earlier answers: Command
# A, gpt-oss, Muse Glimmer, Apriel 1.6.
_OPENS_REASONING = (
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|end|><|start|>assistant", "<|channel|>final<|message|>"),
    ("<|eot|><|start|>assistant", " to=user<|message|>"),
    ("Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n"),
)


def _close_reasoning(prompt: str) -> str:
    """Close a reasoning block that the template opens for the answer, whatever it was told."""
    for opens, closes in _OPENS_REASONING:
        if prompt.endswith(opens):
            return f"{prompt}{closes}"
    opened = re.search(r"<([\w:]*think[\w:]*)>\s*\Z", prompt)
    return f"{prompt.rstrip()}\n\n</{opened[1]}>\n\n" if opened else prompt


class _Generation(Extension):
    """`{% generation %}` marks the answer for training; for rendering it is only its body."""

    tags = {"generation"}  # noqa: RUF012  (the base class declares it so)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def _environment() -> jinja2.Environment:
    """Return Hugging Face's environment for chat templates (transformers, chat_template_utils)."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = TODAY.strftime
    return environment


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise_exception(message: str) -> str:
    raise jinja2.TemplateError(message)
