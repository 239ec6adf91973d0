"""Whisper at work on pieces: the only file that calls faster-whisper's models.

Owns loading, finding the language, and the call of the batched pipeline. That one takes windows
as clips of a sound without silence; its words' times are put back window by window, since a word
that it places after a window's end (its alignment reaches up to a second into the padding) would
otherwise be taken for one of the next window, which may be minutes later. The part of a window in
which there are no words for seconds, or the same ones again and again, is heard again by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import ctranslate2
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel

from tasks.errors import ModelError
from tasks.media.guards import HeardWindow, looped
from tasks.media.pieces import Piece, Stretch, Window
from tasks.media.speech_request import RATE, SpeechRequest
from tasks.media.speech_words import RawWord, gaps, placed

if TYPE_CHECKING:
    from faster_whisper.transcribe import Segment

    from tasks.media.pieces import Samples


_MOST_VOTES = 6  # windows asked for their language
_VOTES = 2  # that settle it
_SURE = 0.5
_FRAMES_A_SECOND = 100
_LEAST_FAULTS_S = 0.5  # that a part of a window is heard again for


@dataclass(frozen=True)
class Started:
    """A piece whose windows are prepared, and which is recognised as its segments are taken.

    Attributes:
        language_probability: as of the piece's language.
    """

    piece: Piece
    language: str
    language_probability: float
    segments: Iterator[Segment]


class Recogniser:
    """A loaded model.

    Args:
        tell: called with the time up to which the recording is recognised.

    Raises:
        ModelError: it can't be loaded, or does not know the language.
    """

    def __init__(self, request: SpeechRequest, tell: Callable[[float], None]) -> None:
        self._request, self._tell, self._name = request, tell, request.model_name
        try:
            self._model = WhisperModel(
                request.model,
                device=request.device,
                compute_type=_compute_type(request),
                cpu_threads=request.n_threads,
            )
        except Exception as error:  # CTranslate2's and tokenizers' are of no common kind
            problem = f"it can't be loaded ({error})"
            raise ModelError(self._name, problem, "Fetch it again, or set another") from error
        self._pipeline = BatchedInferencePipeline(self._model)
        self._check_language()

    def _check_language(self) -> None:
        language = self._request.language
        if self._model.model.is_multilingual:
            known = self._model.hf_tokenizer.token_to_id(f"<|{language}|>") is not None
        else:
            known = language == "en"
        if language and not known:
            problem = f"it does not know the language {language}"
            raise ModelError(self._name, problem, "Set LECTERN_SPEECH_MODEL to another")

    def begin(self, piece: Piece, language: str, probability: float) -> Started:
        """Prepare a piece's windows; find the language if it is not known yet."""
        segments: Iterator[Segment] = iter(())
        if piece.windows and not language:
            language, probability = self._language_of(piece)
        if piece.windows:
            segments = iter(self._segments(piece.speech, piece.windows, language))
        return Started(piece, language, probability, segments)

    def finish(self, started: Started, number: int) -> tuple[HeardWindow, ...]:
        """Recognise a piece.

        Args:
            number: of the piece; also the seed, where anything is left to chance.

        Raises:
            ModelError: the GPU fails, for want of memory for one.
        """
        ctranslate2.set_random_seed(number)
        windows = {_seek(at): window for at, window in _offsets(started.piece.windows)}
        heard: dict[int, list[Segment]] = defaultdict(list)
        try:
            for segment in started.segments:
                heard[segment.seek].append(segment)
                self._tell(windows[segment.seek].stretches[-1].end / RATE)
        except RuntimeError as error:
            if self._request.device == "cpu":
                raise
            remedy = "Set LECTERN_SPEECH_DEVICE to cpu, or LECTERN_SPEECH_BATCH to less"
            raise ModelError(self._name, f"the GPU fails ({error})", remedy) from error
        hearings = [
            _heard(heard[_seek(at)], at, window, started.piece.speech[at : at + window.length])
            for at, window in _offsets(started.piece.windows)
        ]
        return tuple(
            HeardWindow(words=tuple(placed(each.words, each.window, started.language)), **each.told)
            for each in self._mended(hearings, started.language)
            if each.words
        )

    def _mended(self, hearings: Sequence[_Hearing], language: str) -> Iterator[_Hearing]:
        """Yield what is heard, where something is missing with what is heard of that part alone,
        if it is less then: Whisper skips and repeats less where there is less to confuse."""
        parts = {n: part for n, each in enumerate(hearings) if (part := each.doubtful_part())}
        heard: dict[int, list[Segment]] = defaultdict(list)
        if parts:
            sound = np.concatenate([each.sound for each in parts.values()])
            windows = [each.window for each in parts.values()]
            for segment in self._segments(sound, windows, language):
                heard[segment.seek].append(segment)
        at = 0
        for n, each in enumerate(hearings):
            if part := parts.get(n):
                mended = each.with_part(part, _raw(heard[_seek(at)], at))
                at += part.window.length
                yield min(each, mended, key=lambda hearing: hearing.faults_s)
            else:
                yield each

    def _segments(
        self, sound: Samples, windows: Sequence[Window], language: str
    ) -> Iterable[Segment]:
        segments, _ = self._pipeline.transcribe(
            sound,
            language=language,
            vad_filter=False,
            word_timestamps=True,
            clip_timestamps=list(_clips(windows)),
            batch_size=self._request.batch,
            hotwords=self._request.hotwords or None,
        )
        return cast("Iterable[Segment]", segments)

    def _language_of(self, piece: Piece) -> tuple[str, float]:
        """Return the language of a recording's first windows: of the first two that agree.

        A single one, as faster-whisper has it, may be a greeting, a jingle or a quotation.
        """
        if not self._model.model.is_multilingual:
            return "en", 1.0
        votes: dict[str, list[float]] = defaultdict(list)
        for at, window in list(_offsets(piece.windows))[:_MOST_VOTES]:
            sound = piece.speech[at : at + window.length]
            language, probability, _ = self._model.detect_language(sound)
            votes[language].append(probability)
            if len([each for each in votes[language] if each > _SURE]) >= _VOTES:
                break
        language = max(votes, key=lambda each: sum(votes[each]))
        return language, round(sum(votes[language]) / len(votes[language]), 4)


def _compute_type(request: SpeechRequest) -> str:
    """Return the type asked for, or what this processor can do instead."""
    supported = ctranslate2.get_supported_compute_types(request.device)
    return request.compute_type if request.compute_type in supported else "default"


def _offsets(windows: Iterable[Window]) -> Iterator[tuple[int, Window]]:
    """Yield each window with the sample at which it begins in the speech of all."""
    at = 0
    for window in windows:
        yield at, window
        at += window.length


def _clips(windows: Iterable[Window]) -> Iterator[dict[str, float]]:
    """Yield the windows in seconds; the half sample keeps faster-whisper's int() from the one
    before."""
    for at, window in _offsets(windows):
        yield {"start": (at + 0.5) / RATE, "end": (at + window.length + 0.5) / RATE}


def _seek(at: int) -> int:
    """Return what faster-whisper calls a window that begins at a sample: its frame."""
    return int(at / RATE * _FRAMES_A_SECOND)


@dataclass(frozen=True)
class _Part:
    """A part of a window, without silence in it.

    Attributes:
        start_s: in the window.
    """

    window: Window
    sound: Samples
    start_s: float

    @property
    def end_s(self) -> float:
        return self.start_s + self.window.length / RATE


@dataclass(frozen=True)
class _Hearing:
    """What is heard in a window.

    Attributes:
        sound: the window's.
        told: what Whisper says of it; see HeardWindow.
    """

    window: Window
    sound: Samples
    words: tuple[RawWord, ...]
    told: dict[str, float]

    @cached_property
    def doubts(self) -> list[tuple[float, float]]:
        """From when to when, in the window, there is speech without words, or with the same ones
        again and again."""
        return [*gaps(self.words, self.window.length / RATE), *looped(self.words)]

    @property
    def faults_s(self) -> float:
        return sum(end - start for start, end in self.doubts)

    def doubtful_part(self) -> _Part | None:
        """Return the stretches that hold all doubts; None: there is hardly any."""
        if self.faults_s < _LEAST_FAULTS_S:
            return None
        first = min(start for start, _ in self.doubts) * RATE
        last = max(end for _, end in self.doubts) * RATE
        held: list[Stretch] = []
        at = begin = 0
        for stretch in self.window.stretches:
            if at + stretch.length > first and at < last:
                begin = begin if held else at
                held.append(stretch)
            at += stretch.length
        part = Window(tuple(held))
        return _Part(part, self.sound[begin : begin + part.length], begin / RATE)

    def with_part(self, part: _Part, words: Iterable[RawWord]) -> _Hearing:
        """Return it with what is heard of a part in place of its own words there."""
        before = [each for each in self.words if each.middle_s < part.start_s]
        after = [each for each in self.words if each.middle_s >= part.end_s]
        moved = (
            replace(each, start_s=each.start_s + part.start_s, end_s=each.end_s + part.start_s)
            for each in words
        )
        return replace(self, words=(*before, *moved, *after))


def _raw(segments: Iterable[Segment], at: int) -> tuple[RawWord, ...]:
    """Return the words of a window that begins at a sample, with their times in it."""
    words: Iterator[Any] = (word for segment in segments for word in segment.words or ())
    offset_s = _seek(at) / _FRAMES_A_SECOND
    return tuple(
        RawWord(
            word.word,
            float(word.start) - offset_s,
            float(word.end) - offset_s,
            float(word.probability),
        )
        for word in words
    )


def _heard(segments: list[Segment], at: int, window: Window, sound: Samples) -> _Hearing:
    """Put together what is heard in a window that begins at a sample."""
    told = {
        name: round(float(getattr(segments[0], name)) if segments else 0.0, 4)
        for name in ("avg_logprob", "no_speech_prob", "compression_ratio")
    }
    return _Hearing(window, sound, _raw(segments, at), told)
