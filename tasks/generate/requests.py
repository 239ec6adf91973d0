"""Requests about one document: rendered, counted, named by their key.

Owns what all kinds of requests have in common. What stands in each variable of a prompt is the
business of `tasks.generate.summary_requests` and `tasks.generate.translation_requests`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tasks.chunk.text import line_text, shorten
from tasks.generate.budget import Budget, request_key
from tasks.generate.languages import language_name
from tasks.generate.prompts import PromptLibrary
from tasks.models.spec import ModelSpec
from tasks.records import GenerationTask, Line, Message, PromptRef, Request, Sampling, Source

Rendered = tuple[tuple[Message, ...], PromptRef]


class RequestMaker:
    """Makes the requests about one source for one model.

    Args:
        language: of the answers; "und": whatever the document's is.
        identity: who answers; see tasks.generate.budget.model_identity.

    Attributes:
        language: its name, as prompts have it.
        tokens: returns the size of a text inside a message.
        title: the document's, cut to what a prompt has room for.
    """

    def __init__(
        self,
        source: Source,
        spec: ModelSpec,
        prompts: PromptLibrary,
        budget: Budget,
        language: str,
        title: str,
        identity: str,
    ) -> None:
        self._source, self._spec, self._prompts = source, spec, prompts
        self._language, self._identity = language, identity
        self.budget = budget
        self.language = language_name(language)
        # A line is looked at several times; llama.cpp's own tokenizer takes a millisecond each.
        self.tokens = lru_cache(maxsize=100_000)(self._tokens)
        self.title = self.heading(title)

    def _tokens(self, text: str) -> int:
        """Count without control tokens: none can stand in a message."""
        return len(self._spec.tokenizer.encode(text, special=False))

    def heading(self, text: str) -> str:
        return shorten(line_text(text), max(16, self.budget.max_prompt_tokens // 16), self.tokens)

    def render(self, name: str, variables: Mapping[str, str | int]) -> Rendered:
        """Return messages without the model's control tokens, for whichever server gets them."""
        messages, ref = self._prompts.render(name, self._language, variables)
        clean = self._spec.template.neutralise
        return tuple(replace(each, content=clean(each.content)) for each in messages), ref

    def count(self, rendered: Rendered) -> int:
        """Return the exact size of a prompt, chat template included."""
        return self._spec.count(rendered[0])

    def request(
        self,
        task: GenerationTask,
        rendered: Rendered,
        lines: tuple[Line, ...],
        sampling: Sampling,
        prompt_tokens: int,
        **more: Any,
    ) -> Request:
        """Return the request of a rendered prompt.

        Args:
            more: further fields of a Request.
        """
        messages, ref = rendered
        return Request(
            key=request_key(self._identity, task, messages, sampling),
            task=task,
            source_id=self._source.source_id,
            messages=messages,
            sampling=sampling,
            prompt=ref,
            prompt_tokens=prompt_tokens,
            lines=lines,
            language="" if self._language == "und" else self._language,
            source_language=self._source.language,
            **more,
        )
