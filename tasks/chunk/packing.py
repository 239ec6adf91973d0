"""Pack a source's sentences into chunks: section by section, never over the budget.

Owns where chunks begin and end and what context they carry. Knows neither the prompt nor the
model: it is given functions that count. Each section is packed by itself and takes its context
from itself, so that an edit changes the chunks of one section only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tasks.chunk.text import CountTokens, line_text, shorten, split_text
from tasks.errors import PromptError
from tasks.records import Chunk, Line, Segment, Source

_LINE_OVERHEAD = 6  # about what "[12] " and the line break take; the exact count has the last word
_CONTEXT_SENTENCES, _CONTEXT_TOKENS = 3, 100
_LEAST_ROOM = 24  # tokens for text; below that a budget is not worth asking with


@dataclass(frozen=True)
class Limits:
    """What a prompt may hold, in tokens and lines, and what counts it."""

    max_prompt_tokens: int
    max_lines: int | None
    max_line_tokens: int | None
    count: Callable[[Chunk], int]
    line_tokens: CountTokens
    context_times: int


def chunk_segments(
    source: Source,
    segments: Sequence[Segment],
    count: Callable[[Chunk], int],
    *,
    max_prompt_tokens: int,
    max_lines: int | None = None,
    line_tokens: CountTokens,
    max_line_tokens: int | None = None,
    context_times: int = 1,
) -> list[Chunk]:
    """Return the chunks of these segments of a source, in order.

    Each is shown by exactly one chunk, or, where it alone is too long, in parts by consecutive
    lines.

    Args:
        count: the exact size of the prompt that shows a chunk, chat template included.
        line_tokens: the size of a piece of text.
        context_times: how often the prompt has room for the context's tokens.

    Raises:
        PromptError: the budget leaves no room for text beside the instructions.
    """
    limits = Limits(
        max_prompt_tokens, max_lines, max_line_tokens, count, line_tokens, context_times
    )
    frame = Chunk(
        source_id=source.source_id,
        index=0,
        title=shorten(line_text(source.title), max(16, max_prompt_tokens // 16), line_tokens),
        heading_path=(),
        lines=(),
        context="",
    )
    shown = [segment for segment in segments if line_text(segment.text)]
    packed = [
        chunk
        for path, section in groupby(shown, key=lambda segment: segment.heading_path)
        for chunk in _Section(frame, path, limits).pack(list(section))
    ]
    return [replace(chunk, index=index) for index, chunk in enumerate(packed)]


class _Section:
    """The packing of the sentences under one heading."""

    def __init__(self, frame: Chunk, path: tuple[str, ...], limits: Limits) -> None:
        self._limits = limits
        self._frame = replace(frame, heading_path=self._shown_path(path))
        self._frame_tokens = limits.count(replace(self._frame, lines=(Line(1, "", 1),)))
        room = limits.max_prompt_tokens - self._frame_tokens
        if room < _LEAST_ROOM:
            raise PromptError(
                frame.title or frame.source_id,
                f"the instructions take {self._frame_tokens} of {limits.max_prompt_tokens} tokens",
                "Raise LECTERN_MAX_PROMPT_TOKENS or LECTERN_POOL_N_CTX",
            )
        self._line_limit = min(limits.max_line_tokens or room, room - _LINE_OVERHEAD)

    def pack(self, segments: Sequence[Segment]) -> Iterator[Chunk]:
        """Yield the section's chunks."""
        lines = [line for segment in segments for line in self._lines(segment)]
        costs = [self._limits.line_tokens(line.text) + _LINE_OVERHEAD for line in lines]
        start = 0
        while start < len(lines):
            context = self._context(lines, costs, start)
            end = self._end(lines, costs, start, context)
            chunk = self._exact(lines[start:end], context)
            if chunk is None:
                self._halve(lines, costs, start)
                continue
            yield chunk
            start += len(chunk.lines)

    def _shown_path(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return the innermost headings that take no more than an eighth of the budget."""
        left = max(16, self._limits.max_prompt_tokens // 8)
        shown: list[str] = []
        for heading in map(line_text, reversed(path)):
            if shown and self._limits.line_tokens(heading) > left:
                break
            shown.insert(0, shorten(heading, left, self._limits.line_tokens))
            left -= self._limits.line_tokens(shown[0]) + 2
        return tuple(shown)

    def _lines(self, segment: Segment) -> list[Line]:
        parts = split_text(line_text(segment.text), self._line_limit, self._limits.line_tokens)
        return [Line(segment.n, part, segment.paragraph) for part in parts]

    def _context(self, lines: Sequence[Line], costs: Sequence[int], start: int) -> str:
        """Return the last sentences before `start`, as many as the context may hold."""
        left = min(_CONTEXT_TOKENS, self._limits.max_prompt_tokens // 10)
        first = start
        while first > max(0, start - _CONTEXT_SENTENCES) and costs[first - 1] <= left:
            first -= 1
            left -= costs[first]
        return "\n".join(line.text for line in lines[first:start])

    def _end(self, lines: Sequence[Line], costs: Sequence[int], start: int, context: str) -> int:
        """Return where the chunk that begins at `start` should end, by estimate.

        At the end of a paragraph if one lies in the last third, else of a sentence. What fits
        two chunks is spread over both, so that the last one is not a crumb.
        """
        room = self._limits.max_prompt_tokens - self._frame_tokens
        if context:
            tokens = self._limits.line_tokens(context) + 2 * _LINE_OVERHEAD
            room -= self._limits.context_times * tokens
        n_room, n_left = self._limits.max_lines or len(lines), len(lines) - start
        left = sum(costs[start:])
        if left <= room and n_left <= n_room:
            return len(lines)
        if left <= 2 * room and n_left <= 2 * n_room:
            room, n_room = min(room, 3 * left // 5), min(n_room, -(-3 * n_left // 5))
        end, used = start, 0
        while end < len(lines) and end - start < n_room and used + costs[end] <= room:
            used += costs[end]
            end += 1
        end = max(end, start + 1)
        for cut in range(end, start + 2 * (end - start) // 3, -1):
            if cut < len(lines) and lines[cut].paragraph != lines[cut - 1].paragraph:
                return cut
        for cut in range(end, start, -1):
            if cut < len(lines) and lines[cut].n != lines[cut - 1].n:
                return cut
        return end

    def _exact(self, lines: Sequence[Line], context: str) -> Chunk | None:
        """Return the chunk of these lines, or of the first of them, that keeps the budget.

        None: the first line alone does not.
        """
        budget = self._limits.max_prompt_tokens
        shown = tuple(lines)
        while shown:
            chunk = replace(self._frame, lines=shown, context=context)
            tokens = self._limits.count(chunk)
            if tokens <= budget:
                return replace(chunk, prompt_tokens=tokens)
            if context:
                context = ""
            else:
                excess = (tokens - budget) * len(shown) // tokens
                shown = shown[: len(shown) - max(1, excess)]
        return None

    def _halve(self, lines: list[Line], costs: list[int], at: int) -> None:
        """Cut a line that the prompt makes longer than it is by itself."""
        parts = split_text(lines[at].text, costs[at] // 2, self._limits.line_tokens)
        if len(parts) == 1:
            raise PromptError(
                f"{self._frame.title or self._frame.source_id}, segment {lines[at].n}",
                f"it does not fit a prompt of {self._limits.max_prompt_tokens} tokens",
                "Raise LECTERN_MAX_PROMPT_TOKENS or LECTERN_POOL_N_CTX",
            )
        lines[at : at + 1] = [replace(lines[at], text=part) for part in parts]
        costs[at : at + 1] = [self._limits.line_tokens(part) + _LINE_OVERHEAD for part in parts]
