"""Requests of a translation: chunks, and those of their lines that are asked for again.

Owns what stands in each variable of the prompt, and how each rung of the ladder samples. Does not
know which requests there are to be; the plan does (`tasks.generate.translate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.chunk.text import line_text
from tasks.generate.lines import numbered
from tasks.generate.occurring import occurring
from tasks.generate.requests import Rendered, RequestMaker
from tasks.records import Chunk, Line, Request, Sampling, Term, TranslationMode

_CONTEXT_LINES = 3  # of the chunk, before lines that are asked for again
# By rung: greedy; against loops; as at first, with fewer lines; and something else.
_SAMPLINGS: tuple[dict[str, Any], ...] = (
    {},
    {"frequency_penalty": 0.4, "seed": 1},
    {"seed": 2},
    {"temperature": 0.4, "top_p": 0.95, "seed": 3},
)


@dataclass(frozen=True)
class Preceding:
    """A line before a chunk, and its translation."""

    source: str
    target: str


class TranslationRequests:
    """Makes them for one document.

    Args:
        glossary: all entries; those that occur in a chunk enter its prompt.
        mode: sequential leaves room for the translation of the lines before a chunk.
    """

    def __init__(
        self,
        maker: RequestMaker,
        glossary: Sequence[Term] = (),
        mode: TranslationMode = "parallel",
    ) -> None:
        self._maker, self._mode = maker, mode
        self._glossary = glossary
        self.tokens = maker.tokens

    @property
    def context_times(self) -> int:
        """How often a prompt has room for the lines before a chunk: with their translations, which
        will hardly take twice their tokens, or without."""
        return 1 if self._mode == "parallel" else 3

    def chunk_tokens(self, chunk: Chunk) -> int:
        """Return the exact size of the prompt that asks for a whole chunk."""
        if self._mode == "parallel" or not chunk.context:
            return self._maker.count(self._rendered(chunk, chunk.lines, chunk.context, ()))
        # No translation is there yet.
        pairs = [Preceding(row, f"{row} {row}") for row in chunk.context.splitlines()]
        return self._maker.count(self._rendered(chunk, chunk.lines, "", pairs))

    def ask(
        self,
        chunk: Chunk,
        rung: int,
        positions: Sequence[int],
        pairs: Sequence[Preceding] = (),
    ) -> Request:
        """Return the request for some lines of a chunk.

        Args:
            positions: of the lines in the chunk, ascending.
            pairs: what comes before the chunk; the last of them take the place of its context.
        """
        lines = tuple(chunk.lines[position] for position in positions)
        first = positions[0]
        n_before = len(chunk.context.splitlines())
        pairs = pairs[len(pairs) - n_before :] if n_before <= len(pairs) else ()
        context = "" if pairs else chunk.context
        if first:
            before = chunk.lines[max(0, first - _CONTEXT_LINES) : first]
            context, pairs = "\n".join(line.text for line in before), ()
        rendered = self._rendered(chunk, lines, context, pairs)
        while pairs and self._maker.count(rendered) > self._maker.budget.max_prompt_tokens:
            pairs = pairs[1:]
            context = "" if pairs else chunk.context
            rendered = self._rendered(chunk, lines, context, pairs)
        is_counted = len(lines) == len(chunk.lines) and (self._mode == "parallel" or not context)
        known = chunk.prompt_tokens if is_counted and not pairs else 0
        prompt_tokens = known or self._maker.count(rendered)
        source_tokens = sum(self.tokens(line.text) for line in lines)
        most = self._maker.budget.translation_tokens(
            prompt_tokens, source_tokens, len(lines), is_last=rung == len(_SAMPLINGS) - 1
        )
        return self._maker.request(
            "translate",
            rendered,
            lines,
            replace(Sampling(max_tokens=most), **_SAMPLINGS[rung]),
            prompt_tokens,
            level=rung,
            glossary=self._occurring(lines),
        )

    def _rendered(
        self, chunk: Chunk, lines: Sequence[Line], context: str, pairs: Sequence[Preceding]
    ) -> Rendered:
        variables = {
            "language": self._maker.language,
            "title": self._maker.title,
            "section": " > ".join(chunk.heading_path),
            "context": context,
            "pairs": "\n".join(f"{each.source}\n→ {line_text(each.target)}" for each in pairs),
            "glossary": "\n".join(
                f"{line_text(term.source)} = {line_text(term.target)}"
                for term in self._occurring(lines)
            ),
            "source": numbered(lines),
        }
        return self._maker.render("translate", variables)

    def _occurring(self, lines: Sequence[Line]) -> tuple[Term, ...]:
        return occurring(self._glossary, "\n".join(line.text for line in lines))
