"""Merge notes, level by level, until one is left.

Owns which notes meet in a merge and what of them its prompt shows. Two consecutive notes or
more always meet, so the levels end; no prompt is over the budget. Pure: what is planned
follows from the notes alone. Does not know where the notes come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from tasks.chunk.text import shorten
from tasks.errors import PromptError
from tasks.generate.budget import Budget
from tasks.generate.citations import Note
from tasks.generate.foresight import Foreseen, merges
from tasks.generate.lines import Statement
from tasks.generate.summary_requests import SummaryRequests, note_bullets
from tasks.records import Line, Request

Notes = tuple[Note, ...]  # of one part of the document, in order

_BULLETS_BETWEEN = 10  # of a merge that is not the last; the same for all lengths
_NOTES_A_MERGE = 4  # at least so many get a place where a model holds few lines
_LINE_OVERHEAD = 5  # numbers, brackets, line breaks; the exact count has the last word
_NOTES_TO_MEASURE = 32  # the mean of so many is near enough


@dataclass(frozen=True)
class Squeeze:
    """How much of each note a merge's prompt shows.

    Attributes:
        passages: cited lines a bullet.
        bullets: of a note; None: all of them.
        tokens: of a bullet's text and of a passage; None: all of them.
    """

    passages: int = 3
    bullets: int | None = None
    tokens: int | None = None


@dataclass(frozen=True)
class Merge:
    """A planned merge: the request, and how many consecutive notes it takes in."""

    request: Request
    n_notes: int


class Merger:
    """Plans the merges of one summary, or of one section of it."""

    def __init__(self, maker: SummaryRequests, budget: Budget, section: str, last: int) -> None:
        self._maker, self._budget = maker, budget
        self._section, self._last = section, last
        few = budget.max_lines and max(1, budget.max_lines // _NOTES_A_MERGE)
        self._first = Squeeze(passages=1, bullets=few) if few else Squeeze()

    def plan(self, level: int, notes: Sequence[Notes]) -> list[Merge]:
        """Return the merges of one level: a note at the end may find no partner."""
        merges: list[Merge] = []
        start, most = 0, self._most(len(notes))
        while len(notes) - start >= 2:
            merge = self._next(level, notes, start, most)
            merges.append(merge)
            start += merge.n_notes
        return merges

    def foreseen(
        self, n_notes: int, written: Sequence[Notes], chunks: Sequence[Request]
    ) -> Foreseen:
        """Return about what it takes to merge so many notes into one.

        Args:
            written: those of them that are there; they tell how large the others will be.
            chunks: what the notes are taken on, by which they are guessed while none is there.
        """
        if n_notes < 2:
            return Foreseen()
        frame = self._maker.merge(1, [], [], self._section, _BULLETS_BETWEEN).prompt_tokens
        sizes = [self._size(each) for each in written[-_NOTES_TO_MEASURE:]]
        sizes = sizes or [self._guess(each) for each in chunks[:_NOTES_TO_MEASURE]]
        size = max(1.0, sum(sizes) / len(sizes))
        most = self._budget.max_prompt_tokens
        return merges(
            n_notes,
            width=max(2, min(self._most(n_notes), int((most - frame) / size))),
            note_tokens=size,
            frame_tokens=frame,
            most_tokens=most,
        )

    def _size(self, notes: Notes) -> float:
        kept, lines = _shown(notes, self._first)
        return self._tokens(kept) + self._tokens(lines)

    def _guess(self, request: Request) -> float:
        """Return a note's size before it is there: a bullet is about as long as what it cites."""
        most = self._first.bullets or len(request.lines)
        n_bullets = min(note_bullets(len(request.lines)), most)
        return 2 * n_bullets * self._tokens(request.lines) / len(request.lines)

    def _tokens(self, shown: Sequence[Note] | Sequence[Line]) -> int:
        return sum(self._maker.tokens(each.text) + _LINE_OVERHEAD for each in shown)

    def _most(self, n_notes: int) -> int:
        """Return how many notes may meet in a merge.

        A model of few lines could take in so many that the last merge is left with two. Where
        as many levels do, they share the work evenly.
        """
        if not self._budget.max_lines or not self._first.bullets:
            return n_notes
        widest = max(2, self._budget.max_lines // self._first.bullets)
        n_levels = next(n for n in count(1) if widest**n >= n_notes)
        return next(width for width in range(2, widest + 1) if width**n_levels >= n_notes)

    def _next(self, level: int, notes: Sequence[Notes], start: int, most: int) -> Merge:
        """Return the merge of as many notes as fit whole; of two, squeezed, if no more do."""
        n = min(most, self._estimate(notes, start))
        while n >= 2:
            merge = self._merge(level, notes, start, n, self._first)
            if self._fits(merge.request):
                return merge
            n -= 1
        for squeeze in self._squeezes():
            merge = self._merge(level, notes, start, 2, squeeze)
            if self._fits(merge.request):
                return merge
        raise PromptError(
            self._section or "merge",
            f"two notes do not fit a prompt of {self._budget.max_prompt_tokens} tokens",
            "Raise LECTERN_MAX_PROMPT_TOKENS or LECTERN_POOL_N_CTX",
        )

    def _squeezes(self) -> Iterator[Squeeze]:
        most = self._first.bullets
        yield from (Squeeze(passages, most) for passages in (2, 1))
        yield from (Squeeze(1, bullets) for bullets in (8, 6, 4, 3, 2, 1) if bullets < (most or 9))
        yield from (Squeeze(1, 1, tokens) for tokens in (256, 128, 64, 32, 16, 8))

    def _estimate(self, notes: Sequence[Notes], start: int) -> int:
        """Return how many notes may fit: by the sum of their texts, without instructions."""
        tokens = n_lines = 0
        for n, each in enumerate(notes[start:]):
            kept, lines = _shown(each, self._first)
            tokens += self._tokens(kept) + self._tokens(lines)
            n_lines += len(lines)
            over = n_lines > (self._budget.max_lines or n_lines)
            if over or tokens > self._budget.max_prompt_tokens:
                return n
        return len(notes) - start

    def _fits(self, request: Request) -> bool:
        return request.prompt_tokens <= self._budget.max_prompt_tokens and (
            self._budget.max_lines is None or len(request.lines) <= self._budget.max_lines
        )

    def _merge(
        self, level: int, notes: Sequence[Notes], start: int, n: int, squeeze: Squeeze
    ) -> Merge:
        groups: list[list[Statement]] = []
        shown: list[Line] = []
        is_cut = False
        for paragraph, each in enumerate(notes[start : start + n], start=1):
            kept, lines = _shown(each, squeeze)
            numbers = {line: len(shown) + i for i, line in enumerate(lines, start=1)}
            groups.append(
                [
                    Statement(
                        self._cut(note.text, squeeze.tokens),
                        tuple(sorted(numbers[line] for line in note.lines if line in numbers)),
                    )
                    for note in kept
                ]
            )
            shown += [
                replace(line, text=self._cut(line.text, squeeze.tokens), paragraph=paragraph)
                for line in lines
            ]
            is_cut |= squeeze.tokens is not None or len(kept) < sum(bool(b.lines) for b in each)
        is_last = start == 0 and n == len(notes)
        request = self._maker.merge(
            level,
            groups,
            shown,
            self._section,
            self._last if is_last else _BULLETS_BETWEEN,
            ("notes_cut",) if is_cut else (),
        )
        return Merge(request, n)

    def _cut(self, text: str, tokens: int | None) -> str:
        return text if tokens is None else shorten(text, tokens, self._maker.tokens)


def _shown(notes: Notes, squeeze: Squeeze) -> tuple[list[Note], list[Line]]:
    """Return the bullets and the passages that a merge shows of a note.

    A bullet without a citation rests on nothing and goes no further. Of many, those spread
    evenly over the note are taken.
    """
    cited = [note for note in notes if note.lines]
    most = squeeze.bullets or len(cited)
    if len(cited) > most:
        cited = [cited[i * len(cited) // most] for i in range(most)]
    lines = dict.fromkeys(line for note in cited for line in note.lines[: squeeze.passages])
    return cited, sorted(lines, key=lambda line: line.n)
