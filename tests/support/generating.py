"""What tests of chunks, plans and answers share: a model without a file, and documents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from tasks.generate.prompts import PromptLibrary
from tasks.models.spec import ModelSpec
from tasks.models.template import ChatTemplate, JinjaRenderer
from tasks.records import Line, Message, PromptRef, Request, Sampling, Segment, Source
from tasks.settings import PROJECT_ROOT, Settings

_TOKEN = re.compile(r"\w{1,4}|[^\w\s]|\s")


class CharacterTokenizer:
    """Four letters, a mark or a space are a token: about as fine as a small vocabulary."""

    special_tokens = frozenset({"<|end|>"})

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        return [hash(piece) for piece in _TOKEN.findall(text)]

    def count(self, text: str) -> int:
        return len(_TOKEN.findall(text))


@dataclass(frozen=True)
class FakeSpec:
    """The part of a ModelSpec that planning needs."""

    name: str = "fake"
    identity: str = "f" * 64
    quantization: str = "Q8_0"
    n_ctx_max: int = 0
    max_prompt_tokens: int | None = None
    max_lines: int | None = None
    max_line_tokens: int | None = None
    tokenizer: CharacterTokenizer = field(default_factory=CharacterTokenizer)
    template: ChatTemplate = field(
        default_factory=lambda: ChatTemplate(
            JinjaRenderer("{{ messages }}"), special_tokens=["<|end|>"]
        )
    )

    @property
    def answers_by(self) -> str:
        return self.identity

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        turns = "".join(f"<|{m.role}|>\n{m.content}<|end|>\n" for m in messages)
        return self.tokenizer.encode(turns + "<|assistant|>\n")

    def count(self, messages: Sequence[Message]) -> int:
        return len(self.prompt(messages))


def fake_spec(
    *,
    max_prompt_tokens: int | None = None,
    max_lines: int | None = None,
    max_line_tokens: int | None = None,
    identity: str = "f" * 64,
) -> ModelSpec:
    """Return a model that has limits and a tokenizer, and no file."""
    spec = FakeSpec(
        identity=identity,
        max_prompt_tokens=max_prompt_tokens,
        max_lines=max_lines,
        max_line_tokens=max_line_tokens,
    )
    return cast(ModelSpec, spec)


def library(*folders: Path) -> PromptLibrary:
    """Return the project's prompts, and those of further folders."""
    return PromptLibrary([PROJECT_ROOT / "prompts", *folders])


def budget_settings(max_prompt_tokens: int = 2500, n_ctx: int = 4096) -> Settings:
    return Settings(max_prompt_tokens=max_prompt_tokens, pool_n_ctx=n_ctx)


def document(
    sections: Sequence[tuple[tuple[str, ...], Sequence[Sequence[str]]]],
    *,
    language: str = "en",
    title: str = "A Book",
) -> tuple[Source, list[Segment]]:
    """Return a source and its segments: for each section its heading path and paragraphs.

    A section takes a heading segment, if it has a path, and a page of its own.
    """
    segments: list[Segment] = []
    paragraph = 0
    for page, (path, paragraphs) in enumerate(sections, start=1):
        for kind, texts in [("heading", [path[-1]] if path else [])] + [
            ("sentence", texts) for texts in paragraphs
        ]:
            paragraph += 1
            segments += [
                Segment(
                    source_id="s1",
                    n=len(segments) + 1 + i,
                    text=text,
                    kind="heading" if kind == "heading" else "sentence",
                    page=page,
                    page_label=f"p{page}",
                    paragraph=paragraph,
                    heading_path=path,
                )
                for i, text in enumerate(texts)
            ]
    source = Source(
        source_id="s1",
        uri="/books/a.pdf",
        title=title,
        language=language,
        n_pages=len(sections),
        n_segments=len(segments),
    )
    return source, segments


def sentences(count: int, topic: str = "lathe") -> list[str]:
    """Return sentences that differ, of about ten words."""
    return [
        f"The {topic} number {i} stands in room {i * 7 % 50} of the house." for i in range(count)
    ]


def request_of(
    texts: Sequence[str],
    *,
    language: str = "en",
    source_language: str = "en",
    instructions: str = "Summarise the numbered lines inside the source in English, please.",
) -> Request:
    """Return a request about these lines, one paragraph each."""
    lines = tuple(Line(100 + i, text, i) for i, text in enumerate(texts, start=1))
    shown = "\n\n".join(f"[{i}] {text}" for i, text in enumerate(texts, start=1))
    user = f"{instructions}\n<source>\n{shown}\n</source>\nWrite the summary now."
    return Request(
        key="k" * 64,
        task="summarize",
        source_id="s1",
        level=0,
        messages=(Message("system", "You summarise."), Message("user", user)),
        sampling=Sampling(max_tokens=300),
        prompt=PromptRef(name="summarize", version=1, language="en", hash="h"),
        prompt_tokens=100,
        lines=lines,
        language=language,
        source_language=source_language,
    )
