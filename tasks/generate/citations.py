"""From lines to pages or times: what a statement rests on, as code knows it.

The model names lines of its own prompt and never a page or a time; which segment a line shows,
and on which page that stands or when it is said, is looked up here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tasks.generate.lines import Statement
from tasks.records import Citation, Line, Segment


@dataclass(frozen=True, slots=True)
class Note:
    """A statement with the lines it rests on, free of the call it came from."""

    text: str
    lines: tuple[Line, ...]


def note(statement: Statement, lines: Sequence[Line]) -> Note:
    """Return a statement with its lines in place of their numbers."""
    return Note(statement.text, tuple(lines[number - 1] for number in statement.numbers))


def citations(lines: Iterable[Line], segments: Mapping[int, Segment]) -> tuple[Citation, ...]:
    """Return the segments that lines show, each once, with their pages or times."""
    cited = [segments[n] for n in dict.fromkeys(line.n for line in lines)]
    return tuple(
        Citation(n=s.n, page=s.page, page_label=s.page_label, start_s=s.start_s) for s in cited
    )
