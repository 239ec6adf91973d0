"""Chapters of what is played: its maker's own, else the model's, else parts by time.

Owns which lines the model is shown, and where each source of chapters counts. The model names lines
and never a time; the times are the segments'. What of an answer can stand is judged in
`tasks.generate.chapter_titles`, distances in `tasks.generate.chapter_cuts`. Does not know what the
chapters are for.

Where an answer is not fit, the stretch that it was about is cut into parts whose title is their
time alone (`tasks.naming.is_span`): better no title than one that nobody meant.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from tasks.chunk import chunk_segments
from tasks.chunk.text import line_text, shorten
from tasks.errors import PromptError
from tasks.generate.chapter_cuts import (
    Cut,
    by_time,
    end_of,
    from_the_start,
    length_of,
    spaced,
    start_of,
    thinned,
)
from tasks.generate.chapter_titles import fit_titles
from tasks.generate.lines import numbered
from tasks.generate.requests import Rendered, RequestMaker
from tasks.naming import span
from tasks.records import Chapter, Chunk, Generation, Request, Sampling, Segment, Source

Done = Mapping[str, Generation]

_LEAST_LECTURE_S = 240.0  # below that it is one piece
_CHAPTER_S = 240.0  # on average, of as many as the model may name at most
_LEAST_BETWEEN_S, _MOST_BETWEEN_S = 30.0, 60.0  # lines shown
_CALLS_AN_HOUR = 3  # of a model that holds few lines
_LINE_TOKENS, _LEAST_LINE_TOKENS = 48, 16
_TITLE_TOKENS, _LEAST_ANSWER = 40, 160


def own_chapters(source: Source, segments: Sequence[Segment]) -> tuple[Chapter, ...]:
    """Return the chapters that a source's maker gave it, those in which something is said; none
    if it is one alone, or none has a title.

    Args:
        segments: in their order.
    """
    found = [each for each in source.chapters if each.n is not None]
    if not found:  # they were not looked up
        starts = [start_of(segment) for segment in segments]
        firsts = {bisect_left(starts, each.start_s): each for each in source.chapters}
        found = [replace(each, n=segments[i].n) for i, each in firsts.items() if i < len(starts)]
    return tuple(found) if len(found) > 1 and any(each.title for each in found) else ()


class Chapters:
    """The chapters of one lecture, as far as the model's answers are there.

    Args:
        segments: all of them, in their order.
    """

    def __init__(self, maker: RequestMaker, source: Source, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._places = {segment.n: i for i, segment in enumerate(segments)}
        self._maker = maker
        self._answers: dict[tuple[str, int], tuple[str, list[tuple[int, str]]]] = {}
        self._chunks = self._packed(source) if length_of(segments) >= _LEAST_LECTURE_S else []
        self.requests = [self._request(chunk) for chunk in self._chunks]

    def missing(self, done: Done) -> list[Request]:
        """Return the requests without an answer; none: chapters() is settled."""
        # What is said twice, word for word, makes the same request: it is asked once.
        missing = {each.key: each for each in self.requests if each.key not in done}
        return list(missing.values())

    def chapters(self, done: Done) -> tuple[Chapter, ...]:
        """Return the chapters, each with its first segment; none where it is one piece.

        What is not answered, or not in a way that is fit, is parted by time.
        """
        if length_of(self._segments) < _LEAST_LECTURE_S:
            return ()
        end_s = end_of(self._segments)
        cuts = thinned(spaced(list(self._cuts(done)), end_s), end_s)
        ends = [*(cut.at_s for cut in cuts[1:]), end_s]
        found = tuple(
            Chapter(start_s=cut.at_s, title=cut.title or span(cut.at_s, end), n=cut.segment.n)
            for cut, end in zip(cuts, ends, strict=True)
        )
        return found if len(found) > 1 else ()

    def _cuts(self, done: Done) -> Iterator[Cut]:
        """Yield where each stretch that a call was about is to be cut; those without chapters that
        follow one another are one."""
        untitled: list[Segment] = []
        for stretch, titles in self._stretches(done):
            named = [Cut(self._segments[self._places[n]], title) for n, title in titles]
            if not named:
                untitled += stretch
                continue
            if untitled:
                yield from by_time(untitled)
                untitled = []
            if stretch and stretch[0] is self._segments[0]:
                named = list(from_the_start(named, stretch))
            yield from named  # until the first of them, the chapter before goes on
        if untitled:
            yield from by_time(untitled)

    def _stretches(
        self, done: Done
    ) -> Iterator[tuple[Sequence[Segment], Sequence[tuple[int, str]]]]:
        """Yield what each call was about, with the segments and titles of its answer."""
        if not self.requests:
            yield self._segments, ()
            return
        borders = [self._places[request.first_n] for request in self.requests]
        borders.append(len(self._segments))
        for request, (first, end) in zip(self.requests, pairwise(borders), strict=True):
            yield self._segments[first:end], self._titles(request, done)

    def _titles(self, request: Request, done: Done) -> list[tuple[int, str]]:
        row = done.get(request.key)
        if row is None or row.status != "ok":
            return []
        place = (request.key, request.first_n)
        known = self._answers.get(place)
        if known is None or known[0] != row.text:
            known = self._answers[place] = (row.text, fit_titles(request, row))
        return known[1]

    def _packed(self, source: Source) -> list[Chunk]:
        budget = self._maker.budget
        try:
            return chunk_segments(
                source,
                list(_shown(self._segments, self._maker)),
                lambda chunk: self._maker.count(self._rendered(chunk)),
                max_prompt_tokens=budget.max_prompt_tokens,
                max_lines=budget.max_lines,
                line_tokens=self._maker.tokens,
                max_line_tokens=budget.max_line_tokens,
            )
        except PromptError:  # no room for the instructions: a summary needs no chapters
            return []

    def _rendered(self, chunk: Chunk) -> Rendered:
        return self._maker.render(
            "chapters",
            {
                "language": self._maker.language,
                "title": self._maker.title,
                "context": chunk.context,
                "source": numbered(chunk.lines),
                "max_chapters": self._most(chunk),
            },
        )

    def _most(self, chunk: Chunk) -> int:
        first, last = (self._places.get(line.n) for line in (chunk.lines[0], chunk.lines[-1]))
        if first is None or last is None:  # the frame, whose size is taken before any line
            return 2
        length = start_of(self._segments[last]) - start_of(self._segments[first])
        return max(2, round(length / _CHAPTER_S))

    def _request(self, chunk: Chunk) -> Request:
        room = self._maker.budget.n_ctx - chunk.prompt_tokens
        wanted = max(_LEAST_ANSWER, _TITLE_TOKENS * (self._most(chunk) + 2))
        return self._maker.request(
            "chapters",
            self._rendered(chunk),
            chunk.lines,
            Sampling(max_tokens=min(wanted, room)),
            chunk.prompt_tokens,
            level=0,
        )


def _shown(segments: Sequence[Segment], maker: RequestMaker) -> Iterator[Segment]:
    """Yield what the model is shown: about twice a minute what is said then, at the beginning of a
    paragraph if there is one."""
    least = _LEAST_BETWEEN_S
    if maker.budget.max_lines:
        least = max(least, 3600 / (_CALLS_AN_HOUR * maker.budget.max_lines))
    most = max(_MOST_BETWEEN_S, least)
    last: Segment | None = None
    for i, segment in enumerate(segments):
        since = start_of(segment) - start_of(last) if last else most
        is_first = i == 0 or segment.paragraph != segments[i - 1].paragraph
        if since >= most or (is_first and since >= least):
            yield replace(
                segment, text=_beginning(segments, i, maker), heading_path=(), paragraph=1
            )
            last = segment


def _beginning(segments: Sequence[Segment], first: int, maker: RequestMaker) -> str:
    """Return a sentence, with those after it where it is as short as "Okay."."""
    text = ""
    for segment in segments[first:]:
        text = f"{text} {line_text(segment.text)}".strip()
        if maker.tokens(text) >= _LEAST_LINE_TOKENS:
            break
    return shorten(text, _LINE_TOKENS, maker.tokens)
