"""Requests that wait for a worker: a line for each model, in the order of the models' turns.

Owns this order, and that a model whose turn is over goes to its end. Who is next within a line is
tasks.pool.waiting_line's business, but for those that may have killed a worker: they come first.
Knows no workers and no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from tasks.pool.tickets import PoolModel, Ticket
from tasks.pool.waiting_line import WaitingLine


class ModelLine:
    """What waits for one model."""

    def __init__(self, model: PoolModel) -> None:
        self.model = model
        self.suspects: deque[Ticket] = deque()
        self._others: WaitingLine[Ticket] = WaitingLine()

    def __len__(self) -> int:
        return len(self.suspects) + len(self._others)

    def __iter__(self) -> Iterator[Ticket]:
        yield from self.suspects
        yield from self._others

    def push(self, ticket: Ticket, *, first: bool = False) -> None:
        if not ticket.crashes:
            self._others.push(ticket, first=first)
        elif first:
            self.suspects.appendleft(ticket)
        else:
            self.suspects.append(ticket)

    def peek(self) -> Ticket | None:
        """Return who is next beside the suspects."""
        return self._others.peek()

    def remove(self, ticket: Ticket) -> None:
        if ticket.crashes:
            self.suspects.remove(ticket)
        else:
            self._others.remove(ticket)


class ModelLines:
    """The lines of all models for which something waits."""

    def __init__(self) -> None:
        self._lines: list[ModelLine] = []

    def __len__(self) -> int:
        return sum(map(len, self._lines))

    def __iter__(self) -> Iterator[Ticket]:
        for line in self._lines:
            yield from line

    @property
    def next_model(self) -> PoolModel | None:
        """Whose turn it is."""
        return self._lines[0].model if self._lines else None

    def of(self, model: PoolModel) -> ModelLine:
        """Return a model's line, empty if nothing waits for it."""
        return next((line for line in self._lines if line.model == model), ModelLine(model))

    def others_wait(self, model: PoolModel) -> bool:
        """Tell whether something waits for another model."""
        return any(line.model != model for line in self._lines)

    def push(self, ticket: Ticket, *, first: bool = False) -> None:
        """Let a request wait; `first`: before the others of its run."""
        line = self.of(ticket.model)
        if not line:
            self._lines.append(line)
        line.push(ticket, first=first)

    def remove(self, ticket: Ticket) -> None:
        line = self.of(ticket.model)
        line.remove(ticket)
        if not line:
            self._lines.remove(line)

    def end_turn(self, model: PoolModel) -> None:
        """Let what is left of a model's line wait behind the other models'."""
        self._lines.sort(key=lambda line: line.model == model)
