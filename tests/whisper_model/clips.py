"""What the network is trained on: spoken sentences, put together to clips of any length.

Owns the synthesis of the corpus, how clips are disturbed, and what is right for each: the tokens,
the word at each place, and the places that the decoder should look at.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray
from whisper_model import speech
from whisper_model.grammar import VOCABULARY, sentences
from whisper_model.vocabulary import (
    END,
    ENGLISH,
    NO_SPEECH,
    NO_TIMES,
    NUMBER,
    SPACE,
    START,
    STOP,
    TASK,
    TIMES,
)

BASES = (
    *("en-us", "en-us", "en-us", "en", "en", "en-gb-scotland", "en-gb-x-rp", "en-029"),
    *("en-us-nyc", "en-gb-x-gbclan"),
)
VARIANTS = (
    *("", "", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4"),
    *("+Andy", "+Annie", "+linda", "+klatt", "+steph", "+Alex", "+belinda", "+victor"),
)
SPEEDS = (*range(115, 156, 5), *range(175, 211, 5))
FLOOR, RANGE = -10.0, 8.0
CLASSES = {word: number for number, word in enumerate(sorted({w.lower() for w in VOCABULARY}), 1)}
IGNORED = -100
DISTANCES = (0, -1, 1, -2, -3)
"""Which words the encoder has to know at each place, besides which sentence it is in."""
SENTENCES_TOLD = 12
PLACE_SECONDS = 0.02

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Sentence:
    """A spoken sentence: its mel powers as base-10 logarithms, and its words' times in seconds."""

    mels: NDArray[np.float16]
    words: tuple[speech.Word, ...]


@dataclass
class Clip:
    """One sample. Places and spans count the encoder's 0.02 s; spans are ends exclusive."""

    features: Array
    tokens: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    own_spans: list[tuple[int, int]] = field(default_factory=list)
    classes: NDArray[np.int64] | None = None


def mel_powers(samples: speech.Samples) -> Array:
    """The features of faster-whisper before it cuts and scales them, of (bands, frames)."""
    extractor = _EXTRACTOR
    padded = np.pad(samples.astype(np.float32) / 32768, (0, 160))
    window = np.hanning(extractor.n_fft + 1)[:-1].astype(np.float32)
    spectrum = extractor.stft(padded, extractor.n_fft, 160, window=window, return_complex=True)
    power = np.abs(spectrum[..., :-1]).astype(np.float32) ** 2
    return np.log10(np.maximum(extractor.mel_filters @ power, 10**FLOOR))


_EXTRACTOR = FeatureExtractor()


def synthesize(count: int, seed: int) -> Iterator[Sentence]:
    """Sentences of the seed in random voices and speeds, none of them held out."""
    rng = random.Random(f"voices {seed}")
    for text in sentences(count, seed):
        voice = rng.choice(BASES) + rng.choice(VARIANTS)
        samples, words = speech.speak(text, voice, rng.choice(SPEEDS), rng.randint(30, 70))
        yield Sentence(mel_powers(samples).astype(np.float16), tuple(words))


def noises(count: int, seed: int) -> Iterator[Array]:
    """Mel powers of 30 s each that hold no speech: tones, chords, melodies, beats, hiss."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield mel_powers((_noise(rng) * 32767).astype(np.int16))


def _noise(rng: np.random.Generator, seconds: int = 30) -> Array:
    time = np.arange(seconds * speech.RATE, dtype=np.float32) / speech.RATE
    sound = np.zeros_like(time)
    kind = rng.integers(4)
    if kind == 0:
        for pitch in rng.uniform(60, 4000, rng.integers(1, 4)):
            sound += np.sin(2 * np.pi * pitch * time)
    elif kind in (1, 2):
        sound = _music(rng, time)
    else:
        sound = rng.standard_normal(len(time), dtype=np.float32)
        width = int(rng.integers(1, 40))
        sound = np.convolve(sound, np.ones(width, np.float32) / width, "same")
    sound *= rng.uniform(0.005, 0.7) / max(1e-6, float(np.abs(sound).max()))
    return sound.astype(np.float32)


def _music(rng: np.random.Generator, time: Array) -> Array:
    """Notes of a scale with overtones, one or three at a time, some with a beat."""
    sound = np.zeros_like(time)
    step = rng.uniform(0.15, 0.8)
    base, bright = rng.uniform(80, 500), rng.uniform(0.3, 1.2)
    chord = (0, 4, 7) if rng.random() < 0.5 else (0,)
    for start in np.arange(0, float(time[-1]), step):
        first, last = (round(t * speech.RATE) for t in (start, start + 1.5 * step))
        t = time[first:last] - time[first]
        fade = np.exp(-t * rng.uniform(1, 6)) * np.minimum(1, t * 100)
        root = rng.choice((0, 2, 4, 5, 7, 9, 11, 12))
        for interval in chord:
            pitch = base * 2 ** ((root + interval) / 12)
            for overtone in range(1, 7):
                part = np.sin(2 * np.pi * pitch * overtone * t) * fade / overtone**bright
                sound[first:last] += part.astype(np.float32)
        if rng.random() < 0.4:
            beat = rng.standard_normal(len(t), dtype=np.float32) * np.exp(-t * 40)
            sound[first:last] += 2 * beat
    return sound


class Composer:
    """Draws clips from a corpus."""

    def __init__(self, corpus: list[Sentence], quiet: list[Array], seed: int) -> None:
        self.corpus, self.quiet = corpus, quiet
        self.rng = random.Random(f"clips {seed}")
        self.numbers = np.random.default_rng(seed)
        shape = (20000, 80)
        self.hiss = np.log10(self.numbers.gamma(2.0, 0.5, shape)).astype(np.float32).T

    def clip(self, places: int, timed: float = 0.0) -> Clip:
        """A clip whose features fill the places; with timestamps at the chance of `timed`."""
        if self.rng.random() < 0.08:
            return self._silent(places)
        return self._spoken(places, self.rng.random() < timed)

    def _silent(self, places: int) -> Clip:
        frames = self.rng.randint(20, 2 * places)
        mels = np.full((80, frames), FLOOR, np.float32)
        if self.rng.random() < 0.6:
            sound = self.rng.choice(self.quiet)
            first = self.rng.randrange(sound.shape[1] - frames + 1) if frames < 3000 else 0
            mels = np.maximum(mels, sound[:, first : first + frames])
        mels = self._disturb(mels, self.rng.uniform(-6, 1))
        clip = Clip(_fill(mels, places))
        clip.tokens = [NUMBER[t] for t in (START, ENGLISH, TASK, NO_TIMES)]
        clip.targets = [NUMBER[NO_SPEECH], IGNORED, IGNORED, NUMBER[END]]
        clip.spans = clip.own_spans = [(0, 0)] * 4
        clip.classes = np.zeros((len(DISTANCES) + 1, places), np.int64)
        return clip

    def _spoken(self, places: int, timed: bool) -> Clip:
        rng, length = self.rng, 2 * places
        room = length if rng.random() < 0.6 else rng.randint(min(250, length), length)
        at = rng.randint(0, 45) if rng.random() < 0.85 else rng.randint(0, min(200, length // 3))
        mels = np.full((80, length), FLOOR, np.float32)
        pauses = rng.uniform(5, 40), rng.uniform(20, 100)
        gain, spoken = rng.uniform(-1.5, 0.3), list[_Spoken]()
        while True:
            sentence, complete = rng.choice(self.corpus), True
            words, part = sentence.words, sentence.mels
            if not spoken and not timed and rng.random() < 0.06:
                words, part = _without_beginning(words, part, rng.randint(1, 2))
            if part.shape[1] > room - at:
                if spoken and (timed or rng.random() < 0.9):
                    break
                words, part, complete = *_without_end(words, part, room - at), False
                if not words:
                    break
            mels[:, at : at + part.shape[1]] = part + np.float32(gain)
            spoken.append(_Spoken(_moved(words, at / 100), complete))
            at += part.shape[1] + round(rng.uniform(*pauses)) + (rng.random() < 0.02) * 120
            if not complete:
                break
        if not spoken:
            return self._silent(places)
        end = min(length, round(spoken[-1].words[-1].end * 100) + rng.randint(0, 60))
        end = rng.randint(end, length) if rng.random() < 0.2 else end
        mels = np.maximum(mels[:, :end], FLOOR)
        clip = Clip(_fill(self._disturb(mels, float(mels.max())), places))
        _label(clip, spoken, -(-end // 2), places, timed)
        return clip

    def _disturb(self, mels: Array, loudest: float) -> Array:
        """Another microphone, another codec, another room: hiss, colour, a cut of the treble."""
        rng, bands = self.rng, np.linspace(0, 1, 80, dtype=np.float32)[:, None]
        colour = rng.uniform(-0.8, 0.8) * (bands - 0.5)
        for _ in range(2):
            colour = colour + rng.uniform(-0.25, 0.25) * np.sin(
                2 * np.pi * (bands * rng.uniform(0.5, 3) + rng.random())
            )
        mels = np.maximum(mels + colour.astype(np.float32) * (mels > FLOOR), FLOOR)
        if rng.random() < 0.25:
            mels[rng.randint(62, 79) :] -= rng.uniform(1, 5)
        if rng.random() < 0.6:
            frames = mels.shape[1]
            first = rng.randrange(self.hiss.shape[1] - frames)
            tilt = rng.uniform(-2, 1) * bands + loudest - rng.uniform(2.5, 8)
            mels = np.logaddexp2(
                mels * _LOG2_10, (self.hiss[:, first : first + frames] + tilt) * _LOG2_10
            ) / np.float32(_LOG2_10)
        for _ in range(rng.choice((0, 0, 1, 2))):
            first, wide = rng.randrange(72), rng.randint(1, 8)
            mels[first : first + wide] = np.minimum(mels[first : first + wide], loudest - 5)
        for _ in range(rng.choice((0, 0, 1, 2)) * mels.shape[1] // 600):
            first = rng.randrange(mels.shape[1])
            mels[:, first : first + rng.randint(1, 5)] -= 3
        return np.maximum(mels, FLOOR)


_LOG2_10 = float(np.log2(10))


@dataclass(frozen=True)
class _Spoken:
    words: list[speech.Word]
    complete: bool


Words = tuple[speech.Word, ...]
Mels = NDArray[np.float16]


def _fill(mels: Array, places: int) -> Array:
    """Scaled as faster-whisper does, and filled up with zeros as it does."""
    scaled = (np.maximum(mels, mels.max() - RANGE) + 4) / 4
    return np.pad(scaled.astype(np.float32), ((0, 0), (0, 2 * places - mels.shape[1])))


def _moved(words: Words, seconds: float) -> list[speech.Word]:
    return [speech.Word(w.word, w.start + seconds, w.end + seconds) for w in words]


def _without_beginning(words: Words, part: Mels, count: int) -> tuple[Words, Mels]:
    frame = int(words[count].start * 100)
    return tuple(_moved(words[count:], -frame / 100)), part[:, frame:]


def _without_end(words: Words, part: Mels, room: int) -> tuple[Words, Mels]:
    kept = tuple(word for word in words if word.end * 100 <= room)
    return kept, part[:, : min(room, round(kept[-1].end * 100) + 1)] if kept else part


def _place(seconds: float, places: int) -> int:
    return max(0, min(places - 1, round(seconds / PLACE_SECONDS)))


def _label(clip: Clip, spoken: list[_Spoken], end: int, places: int, timed: bool) -> None:
    """Write what is right for the clip into it."""
    if timed and not spoken[-1].complete:
        timed = False
    _label_places(clip, spoken, places)
    said: list[tuple[str, tuple[int, int]]] = []
    for index, sentence in enumerate(spoken):
        spans = [(_place(w.start, places), _place(w.end, places)) for w in sentence.words]
        begin, stop = spans[0][0], spans[-1][1]
        last = index + 1 == len(spoken)
        until = (
            min(places, max(end, stop + 6))
            if last
            else _place(spoken[index + 1].words[0].start, places)
        )
        until = max(until, stop + 1)
        pause = (stop, min(until, stop + max(3, min(15, (until - stop) // 2))) if last else until)
        if timed:
            said.append((TIMES[begin], (max(0, begin - 2), begin + 2)))
        said += [(SPACE + w.word, s) for w, s in zip(sentence.words, spans, strict=True)]
        if sentence.complete:
            said.append((STOP, pause))
        if timed:
            said.append((TIMES[stop], (max(0, stop - 2), stop + 2)))
        if last:
            first = pause[1] if sentence.complete else stop
            said.append((END, (min(first, places - 1), max(first + 1, min(until + 10, places)))))
    start = [START, ENGLISH, TASK, *([] if timed else [NO_TIMES])]
    names = [*start, *(name for name, _ in said)]
    clip.tokens = [NUMBER[name] for name in names[:-1]]
    clip.targets = [NUMBER[name] for name in names[1:]]
    clip.targets[1 : len(start) - 1] = [IGNORED] * (len(start) - 2)
    nowhere = [(0, 0)]
    clip.spans = nowhere * (len(start) - 1) + [(a, max(b, a + 1)) for _, (a, b) in said]
    clip.own_spans = nowhere * len(start) + clip.spans[len(start) - 1 : -1]


def _label_places(clip: Clip, spoken: list[_Spoken], places: int) -> None:
    """Of each place: the word there, at other distances, and which sentence; 0 is none."""
    words = [word for sentence in spoken for word in sentence.words]
    numbers = [CLASSES[w.word.lower()] for w in words]
    order = [n + 1 for n, sentence in enumerate(spoken) for _ in sentence.words]
    classes = np.zeros((len(DISTANCES) + 1, places), np.int64)
    starts = [0, *(_place(w.start, places) for w in words[1:]), places]
    for index, word in enumerate(words):
        pause = slice(_place(word.end, places), starts[index + 1])
        for row, distance in enumerate(DISTANCES):
            for span, other in (
                (slice(starts[index], starts[index + 1]), index + distance),
                (pause, index + distance + (distance < 0)),
            ):
                classes[row, span] = numbers[other] if 0 <= other < len(words) else 0
        classes[-1, starts[index] : starts[index + 1]] = min(order[index], SENTENCES_TOLD - 1)
    classes[0] = 0
    for index, word in enumerate(words):
        classes[0, _place(word.start, places) : _place(word.end, places)] = numbers[index]
    clip.classes = classes
