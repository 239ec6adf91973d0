"""Whisper at work on pieces: the only file that calls faster-whisper's models.

Owns loading, finding the language, and the call of the batched pipeline. That one takes windows
as clips of a sound without silence; its words' times are put back window by window, since a word
that it places after a window's end (its alignment reaches up to a second into the padding) would
otherwise be taken for one of the next window, which may be minutes later. A window for seconds of
which there are no words, or the same ones again and again, is heard again in parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import ctranslate2
from faster_whisper import BatchedInferencePipeline, WhisperModel

from tasks.errors import ModelError
from tasks.media.guards import HeardWindow, looped_s
from tasks.media.pieces import Piece, Window
from tasks.media.speech_request import RATE, SpeechRequest
from tasks.media.speech_words import RawWord, gaps_s, placed

if TYPE_CHECKING:
    from faster_whisper.transcribe import Segment

    from tasks.media.pieces import Samples


_MOST_VOTES = 6  # windows asked for their language
_VOTES = 2  # that settle it
_SURE = 0.5
_FRAMES_A_SECOND = 100
_LEAST_GAP_S = 1.0  # of faults, that a window is heard again for
_PART = 8 * RATE  # samples of speech that are heard then at once, about


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
        found: list[HeardWindow] = []
        for at, window in _offsets(started.piece.windows):
            once = _heard(heard[_seek(at)], at, window, started.language)
            if once.faults_s < _LEAST_GAP_S:
                found += once.windows
                continue
            sound = started.piece.speech[at : at + window.length]
            again = self._in_parts(sound, window, started.language)
            found += again.windows if again.faults_s < once.faults_s else once.windows
        return tuple(found)

    def _in_parts(self, sound: Samples, window: Window, language: str) -> _Hearing:
        """Hear a window once more, in parts: Whisper skips less where there is less to skip to."""
        parts = list(window.parts(_PART))
        heard: dict[int, list[Segment]] = defaultdict(list)
        for segment in self._segments(sound, parts, language):
            heard[segment.seek].append(segment)
        hearings = [_heard(heard[_seek(at)], at, part, language) for at, part in _offsets(parts)]
        return _Hearing(
            [each for hearing in hearings for each in hearing.windows],
            sum(hearing.faults_s for hearing in hearings),
        )

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
class _Hearing:
    """What is heard in a window, or in its parts.

    Attributes:
        faults_s: seconds of speech for which nothing is heard, or the same again and again.
    """

    windows: list[HeardWindow]
    faults_s: float


def _heard(segments: list[Segment], at: int, window: Window, language: str) -> _Hearing:
    """Put together what is heard in a window that begins at a sample."""
    words: Iterator[Any] = (word for segment in segments for word in segment.words or ())
    offset_s = _seek(at) / _FRAMES_A_SECOND
    raw = [
        RawWord(
            word.word,
            float(word.start) - offset_s,
            float(word.end) - offset_s,
            float(word.probability),
        )
        for word in words
    ]
    missing = gaps_s(raw, window.length / RATE)
    if not segments:
        return _Hearing([], missing)
    first = segments[0]
    found = HeardWindow(
        words=tuple(placed(raw, window, language)),
        avg_logprob=round(float(first.avg_logprob), 4),
        no_speech_prob=round(float(first.no_speech_prob), 4),
        compression_ratio=round(float(first.compression_ratio), 4),
    )
    return _Hearing([found], missing + looped_s(found.words))
