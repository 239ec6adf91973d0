"""A recording cut into pieces at its silences, each recognised and kept for itself.

Owns where pieces begin and end, and the windows in them: as many stretches of speech as fit half a
minute, put together without the silence between them, as faster-whisper's BatchedInferencePipeline
does with a whole file. What a piece is depends on the sound from its start on and on nothing before
it: so a run that goes on at a piece's start comes to the same pieces as one that was never stopped.
Holds a piece's speech and two minutes of sound, however long the recording. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.media.speech_request import RATE, PieceLimits

Samples = NDArray[np.float32]
FindSpeech = Callable[[Samples], list["Stretch"]]

_BEFORE_S = 1.0  # kept before speech that is yet to come: it may begin softly


@dataclass(frozen=True, slots=True)
class Stretch:
    """Speech without a pause, in samples."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start

    def after(self, samples: int) -> Stretch:
        return Stretch(self.start + samples, self.end + samples)


@dataclass(frozen=True, slots=True)
class Window:
    """Stretches of a recording that a model hears as one, without the silence between them."""

    stretches: tuple[Stretch, ...]

    @property
    def length(self) -> int:
        return sum(stretch.length for stretch in self.stretches)

    def place(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Return when in the recording something is that is heard then in the window.

        It is in the stretch that holds its middle, and does not reach over that one's ends.
        """
        middle, before = (start_s + end_s) / 2 * RATE, 0
        for stretch in self.stretches:
            if middle < before + stretch.length or stretch is self.stretches[-1]:
                break
            before += stretch.length
        shift_s = (stretch.start - before) / RATE
        first_s, last_s = stretch.start / RATE, stretch.end / RATE
        return (
            min(max(start_s + shift_s, first_s), last_s),
            min(max(end_s + shift_s, first_s), last_s),
        )


@dataclass(frozen=True)
class Piece:
    """A part of a recording, in samples from its beginning.

    Attributes:
        speech: its windows' sound, one after the other.
        is_last: the recording ends with it.
    """

    start: int
    end: int
    windows: tuple[Window, ...]
    speech: Samples
    is_last: bool


def find_speech(window_s: float) -> FindSpeech:
    """Return faster-whisper's own search for speech, as its batched pipeline sets it."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(max_speech_duration_s=window_s, min_silence_duration_ms=160)

    def find(sound: Samples) -> list[Stretch]:
        found = get_speech_timestamps(sound, options)
        return [Stretch(each["start"], each["end"]) for each in found]

    return find


def cut(
    blocks: Iterator[Samples], start: int, limits: PieceLimits, find: FindSpeech
) -> Iterator[Piece]:
    """Yield a recording's pieces from one's start on; the last may be without speech.

    Args:
        blocks: the sound from the recording's beginning.
    """
    ahead = _Ahead(blocks)
    ahead.drop(start)
    building = _Building(start, limits)
    while True:
        section = ahead.look(limits.section)
        is_last = ahead.is_short(limits.section)
        settled, n_used = _settled(find(section), len(section), is_last)
        for stretch in settled:
            here = stretch.after(ahead.at)
            if building.is_full_with(here):
                piece = building.piece(max(building.end_before(here), ahead.at))
                ahead.drop(piece.end - ahead.at)
                building = _Building(piece.end, limits)
                yield piece
                break
            building.add(here, section[stretch.start : stretch.end])
        else:
            ahead.drop(n_used)
            if is_last:
                yield building.piece(ahead.at, is_last=True)
                return


def _settled(found: Sequence[Stretch], n: int, is_last: bool) -> tuple[list[Stretch], int]:
    """Return the stretches that more sound would not change, and up to where all is said."""
    whole = list(found)
    if is_last:
        return whole, n
    before = round(_BEFORE_S * RATE)
    if whole and whole[-1].end >= n:  # it goes on
        open_one = whole.pop()
        end = whole[-1].end if whole else max(0, open_one.start - 2 * before)
        used = end + (open_one.start - end) // 2
        return (whole, used) if used else (list(found), n)
    end = whole[-1].end if whole else 0
    return whole, max(end, n - before)


class _Ahead:
    """Sound yet to be cut, read as it is needed.

    Attributes:
        at: the sample that comes first.
    """

    def __init__(self, blocks: Iterator[Samples]) -> None:
        self._blocks = blocks
        self._held = np.zeros(0, np.float32)
        self._ended = False
        self.at = 0

    def look(self, n: int) -> Samples:
        """Return the next n samples, or all that are left."""
        self._fill(n + 1)
        return self._held[:n]

    def is_short(self, n: int) -> bool:
        """Whether no more than n samples are left; to be asked after looking."""
        return self._ended and len(self._held) <= n

    def drop(self, n: int) -> None:
        while len(self._held) < n and not self._ended:  # not all at once: it may be hours
            n -= len(self._held)
            self.at += len(self._held)
            self._held = self._held[:0]
            self._fill(1)
        dropped = min(n, len(self._held))
        self.at += dropped
        self._held = self._held[dropped:].copy()

    def _fill(self, n: int) -> None:
        parts, length = [self._held], len(self._held)
        while length < n and not self._ended:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
            else:
                parts.append(block)
                length += len(block)
        self._held = np.concatenate(parts) if len(parts) > 1 else self._held


class _Building:
    """A piece as its stretches are found."""

    def __init__(self, start: int, limits: PieceLimits) -> None:
        self._start = start
        self._window = limits.window
        self._n_windows = limits.n_windows(start)
        self._windows: list[list[Stretch]] = []
        self._sound: list[Samples] = []

    def add(self, stretch: Stretch, sound: Samples) -> None:
        if not self._windows or not self._fits(stretch):
            self._windows.append([])
        self._windows[-1].append(stretch)
        self._sound.append(sound.copy())

    def is_full_with(self, stretch: Stretch) -> bool:
        return len(self._windows) == self._n_windows and not self._fits(stretch)

    def _fits(self, stretch: Stretch) -> bool:
        length = sum(each.length for each in self._windows[-1])
        return length + stretch.length <= self._window

    def end_before(self, stretch: Stretch) -> int:
        """Return the middle of the silence before a stretch."""
        end = self._windows[-1][-1].end
        return end + (stretch.start - end) // 2

    def piece(self, end: int, *, is_last: bool = False) -> Piece:
        windows = tuple(Window(tuple(each)) for each in self._windows)
        sound = np.concatenate(self._sound) if self._sound else np.zeros(0, np.float32)
        return Piece(self._start, end, windows, sound, is_last)
