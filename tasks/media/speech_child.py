"""The child process that recognises speech: `python -m tasks.media.speech_child`, asked on stdin.

The only place where a stranger's media file is decoded for its words, and where Whisper's weights
are: both go with it. While one piece is recognised, the next is decoded and searched for speech.
Each is on the disk as soon as it is finished. It ends when its parent does.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tasks.errors import ModelError, PipelineError, SourceError
from tasks.extract.child import REPORT, end_with_parent
from tasks.extract.copying import FULL
from tasks.media.pieces import Piece, cut, find_speech
from tasks.media.speech_request import RATE, Failure, SpeechRequest, refuse_changed
from tasks.media.speech_store import HeardPiece, read_pieces, write_piece

if TYPE_CHECKING:
    from tasks.media.audio import Audio
    from tasks.media.pieces import Samples
    from tasks.media.speech_recogniser import Recogniser, Started
    from tasks.media.speech_request import Stamp


def main() -> None:
    request = SpeechRequest(**json.loads(sys.stdin.readline()))
    threading.Thread(target=end_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code, failure = 0, None
    try:
        _transcribe(request)
    except PipelineError as error:
        failure = Failure(type(error).__name__, error.subject, error.problem, error.remedy)
    except MemoryError:
        problem = "the memory does not suffice to recognise speech"
        remedy = "Close other programs, or set LECTERN_SPEECH_MODEL to a smaller model"
        failure = Failure(ModelError.__name__, request.model_name, problem, remedy)
    except Exception as error:  # what no one foresaw ends this recording, and tells itself
        code = getattr(error, "errno", None) or 0
        if code not in FULL:  # which the parent tells by it
            code, failure = 0, _unforeseen(request.uri, error)
    if failure is not None:
        os.pwrite(request.result, json.dumps(asdict(failure)).encode(), 0)
    os._exit(code)  # the watching thread would not end


def _unforeseen(uri: str, error: Exception) -> Failure:
    import traceback

    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    problem = f"stops its recogniser by an unforeseen error ({type(error).__name__} in {where})"
    return Failure(SourceError.__name__, uri, problem, REPORT)


def _transcribe(request: SpeechRequest) -> None:
    from tasks.media.audio import Audio

    _refuse_changed(request)
    folder = Path(request.folder)
    done = read_pieces(folder)
    if done and done[-1].is_last:
        return
    with (
        Audio(Path(request.media), request.uri) as audio,
        ThreadPoolExecutor(1, "preparing") as ahead,
    ):
        _Work(request, audio, ahead, done).go_on()


def _refuse_changed(request: SpeechRequest) -> None:
    stamp = cast("Stamp", tuple(request.stamp)) if request.stamp else None  # JSON has lists
    refuse_changed(Path(request.media), request.uri, stamp)


class _Work:
    """One recording, from the pieces that are done to its end."""

    def __init__(
        self,
        request: SpeechRequest,
        audio: Audio,
        ahead: ThreadPoolExecutor,
        done: list[HeardPiece],
    ) -> None:
        self._request, self._audio, self._ahead = request, audio, ahead
        self._number = len(done) + 1
        self._language = done[-1].language if done else request.language
        self._probability = done[-1].language_probability if done else 1.0
        start = done[-1].end if done else 0
        find = find_speech(request.window_s)
        self._pieces = cut(self._sound(), start, request.limits, find)
        self._at_s = start / RATE

    def go_on(self) -> None:
        from tasks.media.speech_recogniser import Recogniser

        first: Future[Piece] = self._ahead.submit(next, self._pieces)
        self._tell(self._at_s)
        recogniser = Recogniser(self._request, self._tell)
        started = recogniser.begin(first.result(), self._language, self._probability)
        while not started.piece.is_last:
            following = self._ahead.submit(self._start_next, recogniser, started)
            self._finish(recogniser, started)
            started = following.result()
        self._finish(recogniser, started)

    def _start_next(self, recogniser: Recogniser, before: Started) -> Started:
        piece = next(self._pieces)
        return recogniser.begin(piece, before.language, before.language_probability)

    def _finish(self, recogniser: Recogniser, started: Started) -> None:
        piece, windows = started.piece, recogniser.finish(started, self._number)
        heard = HeardPiece(
            number=self._number,
            start=piece.start,
            end=piece.end,
            language=started.language,
            language_probability=started.language_probability,
            windows=windows,
        )
        if piece.is_last:
            heard = self._ended(heard)
        _refuse_changed(self._request)  # what was decoded until now is of the file as it was
        write_piece(Path(self._request.folder), heard)
        self._number += 1
        self._tell(piece.end / RATE)

    def _ended(self, heard: HeardPiece) -> HeardPiece:
        if heard.end == 0:
            raise SourceError(self._request.uri, "has no sound", "Get a fresh copy of it")
        duration_s = max(heard.end / RATE, self._audio.seen_s)
        return replace(heard, is_last=True, duration_s=duration_s, lost=self._audio.lost())

    def _sound(self) -> Iterator[Samples]:
        """Yield the sound, unless there is more of it than may be."""
        most, n = self._request.max_hours * 3600 * RATE, 0
        for block in self._audio.blocks():
            n += len(block)
            if n > most:
                problem = f"is longer than {self._request.max_hours:g} hours"
                raise SourceError(self._request.uri, problem, "Raise LECTERN_MEDIA_MAX_HOURS")
            yield block

    def _tell(self, at_s: float) -> None:
        line = f"{at_s:.1f} {self._audio.total_s:.1f}\n"
        with suppress(OSError):  # the temporary folder is full, and nothing is lost by it
            os.pwrite(self._request.progress, line.ljust(64).encode(), 0)


if __name__ == "__main__":
    main()
