"""Who is served next: interactive requests before others, and every run in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from tasks.pool.sequences import Sequence


class WaitingLine:
    """Interactive before batch; within each, one request of every run in turn."""

    def __init__(self) -> None:
        self._turns: tuple[deque[str], deque[str]] = (deque(), deque())
        self._lines: dict[tuple[bool, str], deque[Sequence]] = {}

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def __iter__(self) -> Iterator[Sequence]:
        for line in self._lines.values():
            yield from line

    def push(self, sequence: Sequence) -> None:
        kind = (sequence.interactive, sequence.run)
        if kind not in self._lines:
            self._lines[kind] = deque()
            self._turns[not sequence.interactive].append(sequence.run)
        self._lines[kind].append(sequence)

    def peek(self) -> Sequence | None:
        for turns, interactive in zip(self._turns, (True, False), strict=True):
            if turns:
                return self._lines[interactive, turns[0]][0]
        return None

    def remove(self, sequence: Sequence) -> None:
        """Take it out; if it was its run's turn, the next run's turn comes."""
        kind = (sequence.interactive, sequence.run)
        line, turns = self._lines[kind], self._turns[not sequence.interactive]
        had_turn = turns[0] == sequence.run and line[0] is sequence
        line.remove(sequence)
        if not line:
            del self._lines[kind]
            turns.remove(sequence.run)
        elif had_turn:
            turns.rotate(-1)
