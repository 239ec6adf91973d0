"""Requests made from chunks and from notes: rendered, counted, named by their key.

Owns what stands in each variable of a prompt. Does not know which requests there are to be; the
plan does (`tasks.generate.summarize`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from tasks.chunk.text import line_text, shorten
from tasks.generate.budget import Budget, request_key
from tasks.generate.languages import language_name, prompt_language
from tasks.generate.lines import Statement, bulleted, numbered
from tasks.generate.prompts import PromptLibrary
from tasks.pool.spec import ModelSpec
from tasks.records import Chunk, GenerationTask, Line, Message, PromptRef, Request, Source

_LINES_A_BULLET, _MOST_BULLETS = 4, 10


def note_bullets(n_lines: int) -> int:
    """Return how many bullets the notes on a chunk may have: in proportion to its lines.

    It does not depend on the length that is asked for, so that a summary of another length
    finds the notes in the ledger.
    """
    return max(1, min(_MOST_BULLETS, -(-n_lines // _LINES_A_BULLET)))


class RequestMaker:
    """Makes the requests about one source for one model.

    Args:
        identity: who answers; see tasks.generate.budget.model_identity.

    Attributes:
        tokens: returns the size of a text inside a message.
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
        self._budget, self._language, self._identity = budget, language, identity
        # A line is looked at several times; llama.cpp's own tokenizer takes a millisecond each.
        self.tokens = lru_cache(maxsize=100_000)(self._tokens)
        self._title = self._heading(title)

    def _tokens(self, text: str) -> int:
        """Count without control tokens: none can stand in a message."""
        return len(self._spec.tokenizer.encode(text, special=False))

    def _heading(self, text: str) -> str:
        return shorten(line_text(text), max(16, self._budget.max_prompt_tokens // 16), self.tokens)

    def chunk_tokens(self, chunk: Chunk) -> int:
        """Return the exact size of the prompt for notes on a chunk."""
        messages, _ = self._on_chunk(chunk, note_bullets(len(chunk.lines)))
        return self._spec.count(messages)

    def notes(self, chunk: Chunk, max_bullets: int | None = None) -> Request:
        """Return the request for notes on a chunk."""
        wanted = max_bullets or note_bullets(len(chunk.lines))
        messages, ref = self._on_chunk(chunk, wanted)
        known = chunk.prompt_tokens if max_bullets is None else 0
        return self._request("summarize", 0, messages, ref, chunk.lines, wanted, known)

    def merge(
        self,
        level: int,
        groups: Sequence[Sequence[Statement]],
        lines: Sequence[Line],
        section: str,
        max_bullets: int,
        marks: tuple[str, ...] = (),
    ) -> Request:
        """Return the request to merge notes.

        Args:
            groups: the statements of each note, with their numbers in `lines`.
            lines: the passages; each note's have a paragraph of their own.
        """
        variables = {
            **self._common(max_bullets),
            "section": self._heading(section),
            "notes": "\n\n".join(
                # A model's words are as foreign as the document's.
                bulleted(replace(each, text=line_text(each.text)) for each in group)
                for group in groups
            ),
            "source": numbered(lines),
        }
        messages, ref = self._render("merge", variables)
        return self._request("merge", level, messages, ref, tuple(lines), max_bullets, 0, marks)

    def _on_chunk(self, chunk: Chunk, max_bullets: int) -> tuple[tuple[Message, ...], PromptRef]:
        variables = {
            **self._common(max_bullets),
            "section": " > ".join(chunk.heading_path),
            "context": chunk.context,
            "source": numbered(chunk.lines),
        }
        return self._render("summarize", variables)

    def _common(self, max_bullets: int) -> dict[str, str | int]:
        name = language_name(self._language)
        return {"language": name, "max_bullets": max_bullets, "title": self._title}

    def _render(
        self, name: str, variables: dict[str, str | int]
    ) -> tuple[tuple[Message, ...], PromptRef]:
        """Return messages without the model's control tokens, for whichever server gets them."""
        messages, ref = self._prompts.render(name, prompt_language(self._language), variables)
        clean = self._spec.template.neutralise
        return tuple(replace(each, content=clean(each.content)) for each in messages), ref

    def _request(
        self,
        task: GenerationTask,
        level: int,
        messages: tuple[Message, ...],
        ref: PromptRef,
        lines: tuple[Line, ...],
        max_bullets: int,
        prompt_tokens: int,
        marks: tuple[str, ...] = (),
    ) -> Request:
        prompt_tokens = prompt_tokens or self._spec.count(messages)
        sampling = self._budget.sampling(prompt_tokens, max_bullets)
        return Request(
            key=request_key(self._identity, task, messages, sampling),
            task=task,
            source_id=self._source.source_id,
            level=level,
            messages=messages,
            sampling=sampling,
            prompt=ref,
            prompt_tokens=prompt_tokens,
            lines=lines,
            language="" if self._language == "und" else self._language,
            source_language=self._source.language,
            marks=marks,
        )
