"""Speech of known words at known times, from espeak-ng's library. Owns synthesis and its clock.

Samples are 16 kHz, mono, int16. espeak-ng tells where each word begins; a word ends with its last
audible sample. The same text sounds a little different each time, by what espeak-ng keeps from one
call to the next.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

RATE = 16000
AUDIBLE = 200
HELD_OUT_VOICE, HELD_OUT_SPEED = "en-us+f5", 165
"""The voice and the speed in words a minute that the model was not trained on."""

_LIBRARY = "libespeak-ng.so.1"
_SYNCHRONOUS, _UTF8 = 2, 1
_WORD_EVENT, _END_OF_EVENTS = 1, 0
_SPEED, _VOLUME, _PITCH = 1, 2, 3

Samples = NDArray[np.int16]


class Word(NamedTuple):
    """A word as it is written, without the full stop, and its time in seconds."""

    word: str
    start: float
    end: float


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Espeak:
    """The library, opened once in a process: it has one voice and one callback at a time."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(_LIBRARY)
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        if self.rate <= 0:
            raise OSError(f"{_LIBRARY} does not start")
        self._parts: list[Samples] = []
        self._begins: list[tuple[int, int, int]] = []
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: object, count: int, events: object) -> int:
        if samples and count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())  # type: ignore[call-overload]
        index = 0
        while events[index].type != _END_OF_EVENTS:  # type: ignore[index]
            event = events[index]  # type: ignore[index]
            if event.type == _WORD_EVENT:
                self._begins.append((event.text_position - 1, event.length, event.sample))
            index += 1
        return 0

    def say(
        self, text: str, voice: str, speed: int, pitch: int
    ) -> tuple[Samples, list[tuple[int, int, int]]]:
        """The samples, and of each word its place and length in the text and its first sample."""
        self._parts, self._begins = [], []
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"espeak-ng has no voice {voice}")
        for parameter, value in ((_SPEED, speed), (_VOLUME, 90), (_PITCH, pitch)):
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate([*self._parts, np.zeros(0, np.int16)]), self._begins


def available() -> bool:
    """Whether espeak-ng's library is installed."""
    try:
        _espeak()
    except OSError:
        return False
    return True


@functools.cache
def _espeak() -> _Espeak:
    return _Espeak()


def speak(
    text: str, voice: str = HELD_OUT_VOICE, speed: int = HELD_OUT_SPEED, pitch: int = 50
) -> tuple[Samples, list[Word]]:
    """The text spoken, without silence around it, and when each of its words is."""
    native, begins = _espeak().say(text, voice, speed, pitch)
    starts = _starts(text, begins, _espeak().rate)
    samples = _resample(native, _espeak().rate)
    ends = [*starts[1:], len(samples) / RATE]
    words = []
    for word, start, end in zip(text.split(), starts, ends, strict=True):
        words.append(Word(word.rstrip(".,?!"), *_trim(samples, start, end)))
    return samples, words


def speak_sentences(
    sentences: Sequence[str],
    voice: str = HELD_OUT_VOICE,
    speed: int = HELD_OUT_SPEED,
    pauses: Iterable[float] = (),
    lead: float = 0.5,
) -> tuple[Samples, list[list[Word]]]:
    """The sentences one after the other, and the words of each with their times in the whole.

    `lead` seconds of silence come first. `pauses` are seconds of silence after each sentence,
    besides espeak-ng's own; 0.5 after those that it does not reach.
    """
    parts, spoken = [np.zeros(round(lead * RATE), np.int16)], []
    position = len(parts[0])
    wanted = iter(pauses)
    for sentence in sentences:
        samples, words = speak(sentence, voice, speed)
        moved = position / RATE
        spoken.append([Word(w.word, w.start + moved, w.end + moved) for w in words])
        silence = np.zeros(round(next(wanted, 0.5) * RATE), np.int16)
        parts += [samples, silence]
        position += len(samples) + len(silence)
    return np.concatenate(parts), spoken


def _starts(text: str, begins: Sequence[tuple[int, int, int]], rate: int) -> list[float]:
    """When each word of the text begins; what was spoken in one go is divided by its letters."""
    places, position = [], 0
    for word in text.split():
        position = text.index(word, position)
        places.append(position)
        position += len(word)
    known = {place: sample / rate for place, _, sample in begins}
    last = max(known.values(), default=0.0)
    starts: list[float] = []
    for place in places:
        if place in known:
            starts.append(known[place])
            continue
        before = max((p for p in known if p < place), default=places[0])
        after = min((p for p in known if p > place), default=None)
        begin = known.get(before, 0.0)
        end = known[after] if after is not None else last + 0.3
        share = (place - before) / ((after if after is not None else len(text)) - before)
        starts.append(begin + share * (end - begin))
    return starts


def _trim(samples: Samples, start: float, end: float) -> tuple[float, float]:
    """The interval without what is not audible at its ends."""
    first = round(start * RATE)
    loud = np.flatnonzero(np.abs(samples[first : round(end * RATE)].astype(np.int32)) > AUDIBLE)
    if not loud.size:
        return start, end
    return (first + int(loud[0])) / RATE, (first + int(loud[-1]) + 1) / RATE


def _resample(samples: Samples, rate: int) -> Samples:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = rate
    parts = [f.to_ndarray()[0] for f in (*resampler.resample(frame), *resampler.resample(None))]
    return np.concatenate(parts).astype(np.int16)
