"""Requests of a summary: notes on chunks, and merges of notes.

Owns what stands in each variable of their prompts. Does not know which requests there are to be;
the plan does (`tasks.generate.summarize`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.chunk.text import line_text
from tasks.generate.lines import Statement, bulleted, numbered
from tasks.generate.requests import Rendered, RequestMaker
from tasks.records import Chunk, GenerationTask, Line, Request

_LINES_A_BULLET, _MOST_BULLETS = 4, 10


def note_bullets(n_lines: int) -> int:
    """Return how many bullets the notes on a chunk may have: in proportion to its lines.

    It does not depend on the length that is asked for, so that a summary of another length
    finds the notes in the ledger.
    """
    return max(1, min(_MOST_BULLETS, -(-n_lines // _LINES_A_BULLET)))


class SummaryRequests:
    """Makes them for one document."""

    def __init__(self, maker: RequestMaker) -> None:
        self._maker = maker
        self.tokens = maker.tokens

    def chunk_tokens(self, chunk: Chunk) -> int:
        """Return the exact size of the prompt for notes on a chunk."""
        return self._maker.count(self._on_chunk(chunk, note_bullets(len(chunk.lines))))

    def notes(self, chunk: Chunk, max_bullets: int | None = None) -> Request:
        """Return the request for notes on a chunk."""
        wanted = max_bullets or note_bullets(len(chunk.lines))
        rendered = self._on_chunk(chunk, wanted)
        known = chunk.prompt_tokens if max_bullets is None else 0
        return self._request("summarize", 0, rendered, chunk.lines, wanted, known)

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
            "section": self._maker.heading(section),
            "notes": "\n\n".join(
                # A model's words are as foreign as the document's.
                bulleted(replace(each, text=line_text(each.text)) for each in group)
                for group in groups
            ),
            "source": numbered(lines),
        }
        rendered = self._maker.render("merge", variables)
        return self._request("merge", level, rendered, tuple(lines), max_bullets, 0, marks)

    def _on_chunk(self, chunk: Chunk, max_bullets: int) -> Rendered:
        variables = {
            **self._common(max_bullets),
            "section": " > ".join(chunk.heading_path),
            "context": chunk.context,
            "source": numbered(chunk.lines),
        }
        return self._maker.render("summarize", variables)

    def _common(self, max_bullets: int) -> dict[str, str | int]:
        maker = self._maker
        return {"language": maker.language, "max_bullets": max_bullets, "title": maker.title}

    def _request(
        self,
        task: GenerationTask,
        level: int,
        rendered: Rendered,
        lines: tuple[Line, ...],
        max_bullets: int,
        prompt_tokens: int,
        marks: tuple[str, ...] = (),
    ) -> Request:
        prompt_tokens = prompt_tokens or self._maker.count(rendered)
        sampling = self._maker.budget.sampling(prompt_tokens, max_bullets)
        return self._maker.request(
            task, rendered, lines, sampling, prompt_tokens, level=level, marks=marks
        )
