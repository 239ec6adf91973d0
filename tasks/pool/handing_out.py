"""Which worker of a model gets which request: policy only.

Knows neither how workers come and go nor what they answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.pool.model_lines import ModelLines
from tasks.pool.tickets import PoolModel, Ticket
from tasks.pool.worker_handle import Worker


def hand_out(
    waiting: ModelLines, model: PoolModel, workers: Sequence[Worker], *, more_come: bool
) -> None:
    """Give workers what they take: suspects first, then as the model's line has it.

    Args:
        more_come: a further worker will soon be ready.
    """
    line = waiting.of(model)
    while line.suspects and (worker := _taker(workers, line.suspects[0])):
        _hand_over(waiting, line.suspects[0], worker)
    if line.suspects and not more_come:
        # One has to become empty for them: that which has done soonest.
        emptied = min(workers, key=lambda worker: len(worker.in_flight), default=None)
        workers = [worker for worker in workers if worker is not emptied]
    while (ticket := line.peek()) and (worker := _taker(workers, ticket)):
        _hand_over(waiting, ticket, worker)


def _taker(workers: Sequence[Worker], ticket: Ticket) -> Worker | None:
    """Return the worker with the least to do; among equals one that knows the run's prompts, else
    the one that was asked longest ago."""
    return min(
        (worker for worker in workers if worker.takes(ticket)),
        key=lambda worker: (len(worker.in_flight), ticket.run not in worker.runs, worker.asked_at),
        default=None,
    )


def _hand_over(waiting: ModelLines, ticket: Ticket, worker: Worker) -> None:
    waiting.remove(ticket)
    worker.take(ticket)
