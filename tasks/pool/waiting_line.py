"""Who is served next: interactive requests before others, and every run in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Waits(Protocol):
    """What can stand in a line."""

    @property
    def run(self) -> str: ...

    @property
    def interactive(self) -> bool: ...


Waiter = TypeVar("Waiter", bound=Waits)


class WaitingLine(Generic[Waiter]):
    """Interactive before batch; within each, one request of every run in turn."""

    def __init__(self) -> None:
        self._turns: tuple[deque[str], deque[str]] = (deque(), deque())
        self._lines: dict[tuple[bool, str], deque[Waiter]] = {}

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def __iter__(self) -> Iterator[Waiter]:
        for line in self._lines.values():
            yield from line

    def push(self, waiter: Waiter, *, first: bool = False) -> None:
        """Let it wait behind those of its run, or before them."""
        kind = (waiter.interactive, waiter.run)
        if kind not in self._lines:
            self._lines[kind] = deque()
            self._turns[not waiter.interactive].append(waiter.run)
        if first:
            self._lines[kind].appendleft(waiter)
        else:
            self._lines[kind].append(waiter)

    def peek(self) -> Waiter | None:
        for turns, interactive in zip(self._turns, (True, False), strict=True):
            if turns:
                return self._lines[interactive, turns[0]][0]
        return None

    def remove(self, waiter: Waiter) -> None:
        """Take it out; if it was its run's turn, the next run's turn comes."""
        kind = (waiter.interactive, waiter.run)
        line, turns = self._lines[kind], self._turns[not waiter.interactive]
        had_turn = turns[0] == waiter.run and line[0] is waiter
        line.remove(waiter)
        if not line:
            del self._lines[kind]
            turns.remove(waiter.run)
        elif had_turn:
            turns.rotate(-1)
