"""Speech and the language model take turns."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager

import pytest

from flows.turns import Turns

PATIENCE_S = 20.0


class Worker:
    """Somebody in a thread who takes a turn, and keeps it until told."""

    def __init__(self, turn: AbstractContextManager[None]) -> None:
        self.begun, self.leave = threading.Event(), threading.Event()
        self._turn = turn
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with self._turn:
            self.begun.set()
            self.leave.wait(PATIENCE_S)

    def is_working(self) -> bool:
        return self.begun.wait(PATIENCE_S)

    def is_kept_waiting(self) -> bool:
        return not self.begun.wait(0.1)

    def stop(self) -> None:
        self.leave.set()
        self._thread.join(PATIENCE_S)


def test_many_ask_at_once() -> None:
    turns = Turns()
    workers = [Worker(turns.asking()) for _ in range(3)]

    assert all(each.is_working() for each in workers)
    for each in workers:
        each.stop()


def test_speech_waits_for_what_is_asked_and_goes_before_what_is_not() -> None:
    """So that it begins at all, while there is always something to ask."""
    turns = Turns()
    asking = Worker(turns.asking())
    assert asking.is_working()
    speech = Worker(turns.speech())
    assert speech.is_kept_waiting()
    later = Worker(turns.asking())
    assert later.is_kept_waiting()

    asking.stop()
    assert speech.is_working()
    assert later.is_kept_waiting()
    speech.stop()
    assert later.is_working()
    later.stop()


def test_what_waited_during_a_speech_is_asked_before_the_next_one() -> None:
    """So that documents are finished while there is more to hear."""
    turns = Turns()
    first = Worker(turns.speech())
    assert first.is_working()
    asking = [Worker(turns.asking()) for _ in range(2)]
    second = Worker(turns.speech())
    assert all(each.is_kept_waiting() for each in asking)
    assert second.is_kept_waiting()

    first.stop()
    assert all(each.is_working() for each in asking)
    later = Worker(turns.asking())
    assert second.is_kept_waiting()
    for each in asking:
        each.stop()
    assert second.is_working()
    assert later.is_kept_waiting()
    second.stop()
    assert later.is_working()
    later.stop()


def test_one_speech_at_a_time() -> None:
    turns = Turns()
    first = Worker(turns.speech())
    assert first.is_working()
    second = Worker(turns.speech())

    assert second.is_kept_waiting()
    first.stop()
    assert second.is_working()
    second.stop()


def test_room_is_made_when_nobody_asks_any_more() -> None:
    made: list[bool] = []
    turns = Turns()
    asking = Worker(turns.asking())
    assert asking.is_working()
    speech = Worker(turns.speech(lambda: made.append(True)))
    assert speech.is_kept_waiting()
    assert made == []

    asking.stop()
    assert speech.is_working()
    assert made == [True]
    speech.stop()


def test_who_waits_when_the_run_is_over_waits_no_longer() -> None:
    """And others are not kept waiting for it."""
    over = threading.Event()

    def go_on() -> None:
        if over.is_set():
            raise CancelledError

    turns = Turns(go_on)
    speech = Worker(turns.speech())
    assert speech.is_working()
    threading.Timer(0.2, over.set).start()
    with pytest.raises(CancelledError), turns.speech():
        pass
    with pytest.raises(CancelledError), turns.asking():
        pass
    over.clear()
    speech.stop()
    asking = Worker(turns.asking())
    assert asking.is_working()
    asking.stop()


def test_a_failure_to_make_room_gives_the_turn_back() -> None:
    def fail() -> None:
        raise MemoryError

    turns = Turns()
    with pytest.raises(MemoryError), turns.speech(fail):
        pass
    asking = Worker(turns.asking())
    assert asking.is_working()
    asking.stop()
