"""Pieces of a recording: whole batches, ends in silence, the same ones wherever a run goes on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.media.pieces import Piece, Samples, Stretch, Window, cut
from tasks.media.speech_request import RATE, PieceLimits
from tasks.media.speech_words import RawWord, gaps, placed

LIMITS = PieceLimits(batch=2, window_s=3.0, speech_s=11.0, section_s=10.0)


def sound(*parts: tuple[float, float]) -> Samples:
    """Return speech (ones) and silence (zeros): seconds of each, in turns."""
    return np.concatenate(
        [
            np.concatenate([np.ones(round(a * RATE)), np.zeros(round(b * RATE))]).astype(np.float32)
            for a, b in parts
        ]
    )


def blocks(samples: Samples, size: int = 7_777) -> Iterator[Samples]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def find(samples: Samples) -> list[Stretch]:
    """Find speech as Silero is asked to: no stretch is longer than a window."""
    edges = np.flatnonzero(np.diff(samples, prepend=0, append=0))
    most = LIMITS.window
    return [
        Stretch(start, min(start + most, end))
        for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        for start in range(first, end, most)
    ]


def pieces(samples: Samples, start: int = 0) -> list[Piece]:
    return list(cut(blocks(samples), start, LIMITS, find))


def test_pieces_hold_whole_batches_and_all_speech() -> None:
    """All but the last have a multiple of the batch; no speech is lost or heard twice."""
    samples = sound(*[(1.3, 0.4), (0.8, 2.0)] * 20)
    found = pieces(samples)

    assert [len(piece.windows) for piece in found][:3] == [2, 4, 4]
    assert all(len(piece.windows) % 2 == 0 for piece in found[:-1])
    assert sum(len(piece.speech) for piece in found) == samples.sum()
    assert all((piece.speech == 1).all() for piece in found)
    assert [piece.is_last for piece in found] == [False] * (len(found) - 1) + [True]


def test_pieces_follow_one_another_and_end_in_silence() -> None:
    samples = sound(*[(1.3, 0.4), (0.8, 2.0)] * 20)
    found = pieces(samples)

    assert [piece.start for piece in found] == [0, *(piece.end for piece in found[:-1])]
    assert found[-1].end == len(samples)
    assert not any(samples[piece.end] for piece in found[:-1])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0.1, 9), st.floats(0.2, 25)), min_size=1, max_size=30))
def test_going_on_at_any_piece_comes_to_the_same_ones(parts: list[tuple[float, float]]) -> None:
    samples = sound(*parts)
    whole = pieces(samples)
    number = len(whole) // 2
    rest = pieces(samples, whole[number].start)

    assert [(p.start, p.end, p.windows) for p in rest] == [
        (p.start, p.end, p.windows) for p in whole[number:]
    ]
    assert sum(len(piece.speech) for piece in whole) == samples.sum()


@pytest.mark.parametrize("samples", [np.zeros(45 * RATE, np.float32), np.zeros(0, np.float32)])
def test_a_recording_without_speech_is_one_piece_without_windows(samples: Samples) -> None:
    (piece,) = pieces(samples)

    assert (piece.windows, piece.end, piece.is_last) == ((), len(samples), True)


def test_talk_without_a_pause_is_cut_at_windows() -> None:
    found = pieces(np.ones(60 * RATE, np.float32))

    assert all(window.length <= LIMITS.window for piece in found for window in piece.windows)
    assert sum(len(piece.speech) for piece in found) == 60 * RATE


def test_what_is_held_does_not_grow_with_the_recording() -> None:
    """Hours of music in which nobody speaks are read section by section."""
    read = 0

    def music() -> Iterator[Samples]:
        nonlocal read
        for _ in range(3600):
            read += RATE
            yield np.zeros(RATE, np.float32)

    most = 0

    def search(samples: Samples) -> list[Stretch]:
        nonlocal most
        most = max(most, len(samples))
        return []

    found = list(cut(music(), 0, LIMITS, search))

    assert (len(found), found[0].end, read) == (1, 3600 * RATE, 3600 * RATE)
    assert most == LIMITS.section


def test_a_time_in_a_window_is_one_of_the_recording() -> None:
    window = Window((Stretch(10 * RATE, 12 * RATE), Stretch(20 * RATE, 21 * RATE)))

    assert window.place(0.5, 1.0) == (10.5, 11.0)
    assert window.place(2.5, 2.75) == (20.5, 20.75)


def test_a_word_keeps_to_the_stretch_that_holds_its_middle() -> None:
    """What an alignment places over the edge must not become minutes of silence."""
    window = Window((Stretch(10 * RATE, 12 * RATE), Stretch(20 * RATE, 21 * RATE)))

    assert window.place(1.5, 2.25) == (11.5, 12.0)
    assert window.place(1.9, 2.5) == (20.0, 20.5)
    assert window.place(2.9, 3.9) == (20.9, 21.0)
    assert window.place(3.2, 3.4) == (21.0, 21.0)


def test_the_windows_are_those_of_the_batched_pipeline() -> None:
    """With one section and one piece, they are what faster-whisper makes of the same speech."""
    vad = pytest.importorskip("faster_whisper.vad")
    samples = sound(*itertools.chain(*[[(2.0, 0.4), (1.3, 2.0), (0.2, 0.3)] for _ in range(7)]))
    limits = PieceLimits(batch=64, window_s=3.0, section_s=1000.0)
    speech = [{"start": each.start, "end": each.end} for each in find(samples)]
    _, theirs = vad.collect_chunks(samples, speech, max_duration=3.0)
    (piece,) = cut(blocks(samples), 0, limits, find)

    assert [w.length / RATE for w in piece.windows] == [each["duration"] for each in theirs]


def raw(*times: tuple[float, float]) -> list[RawWord]:
    return [RawWord(" word", start_s, end_s, 0.9) for start_s, end_s in times]


def test_speech_without_words_is_a_gap() -> None:
    """Between words, within one that lasts too long, and at both ends; hesitating is none."""

    def found(length_s: float, *times: tuple[float, float]) -> list[tuple[float, float]]:
        return list(gaps(raw(*times), length_s))

    assert found(8.0, (0.5, 1.0), (3.0, 3.5), (5.5, 6.0)) == []
    assert found(10.0, (0.5, 1.0), (9.0, 9.5)) == [(3.0, 9.0)]
    assert found(6.0, (0.5, 6.0)) == [(0.5, 4.0)]
    assert found(12.0, (4.5, 5.0)) == [(2.0, 4.5), (7.0, 12.0)]
    assert found(30.0) == [(2.0, 30.0)]


def test_a_word_beside_a_gap_says_so() -> None:
    window = Window((Stretch(0, 20 * RATE),))
    words = placed(raw((0.5, 1.0), (9.0, 9.5), (10.0, 15.0)), window, "en")

    assert [word.marks for word in words] == [(), ("gap",), ("gap",)]
