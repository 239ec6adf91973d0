"""The words of a recording, with their times: recognised by Whisper in a child process, and kept.

Owns the child and its limits, what is kept for which recording, and going on where a run ended.
Knows nothing of sound and of Whisper itself; whose recording it is and what becomes of its words is
the caller's.

The child has the model's memory and gives all of it back when a recording is done: a GGUF model may
need it next. One child at a time is on a machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from tasks.errors import ModelError, PipelineError, SourceError, StorageError
from tasks.extract.child import REPORT
from tasks.extract.copying import FULL, disk_is_full
from tasks.extract.process import Child
from tasks.files import make_folder, remove_leftovers, write_private
from tasks.media.guards import marked
from tasks.media.speech_languages import whisper_code
from tasks.media.speech_request import VERSION, PieceLimits, SpeechRequest
from tasks.media.speech_store import HeardPiece, read_pieces, word_of, word_row
from tasks.media.speech_words import in_order
from tasks.media.transcript import TimedWord
from tasks.media.whisper_models import SpeechModel, identity, resolve, that_fits
from tasks.naming import short_name
from tasks.pool.cpus import physical_cores
from tasks.settings import Settings

Progress = Callable[[str, int, int], None]

_POLL_S = 0.25
_MAX_RESULT = 1 << 16  # bytes of JSON
_FINAL_VERSION = 1
_FINAL = "final.json"


@dataclass(frozen=True)
class SpeechOptions:
    """What the user says of a recording.

    Attributes:
        language: as they write it; "": to be found.
        hotwords: names and terms that are likely to be said in it.
    """

    language: str = ""
    hotwords: str = ""


@dataclass(frozen=True)
class Heard:
    """What was said in a recording.

    Attributes:
        language: an ISO 639-1 code (Whisper's own for some); "" where nothing was said.
        duration_s: of what is played, as far as it can be read.
        words: in the order of time; empty where no speech was found.
        model: the name of the model that recognised them.
        lost: what of the recording could not be read, each in a clause; empty where nothing.
        identity: what the words depend on besides the recording; see speech_identity.
    """

    language: str
    language_probability: float
    duration_s: float
    words: tuple[TimedWord, ...]
    model: str
    lost: tuple[str, ...] = ()
    identity: str = ""


def speech_identity(
    settings: Settings, options: SpeechOptions, progress: Progress | None = None
) -> str:
    """Return what determines the words besides the recording: the model's files, the language and
    the hotwords given, and how recordings are cut.

    The model is fetched if it is not here. Where `auto` has to take a smaller one for want of
    memory, Heard.identity differs from this.

    Raises:
        ModelError: there is no such model, or it can't be had.
        SourceError: there is no such language.
    """
    return _identity(resolve(settings, progress), settings, options, progress)


def transcribe(
    media: Path,
    content: str,
    uri: str,
    settings: Settings,
    options: SpeechOptions,
    *,
    again: bool = False,
    progress: Progress | None = None,
    limits: PieceLimits | None = None,
) -> Heard:
    """Return the words of a recording: those kept, or those recognised now.

    A run that ended early, however it did, is continued at the end of its last finished piece, with
    the words that it would have come to.

    Args:
        content: hex sha256 of the file.
        uri: its name in messages.
        again: recognise it anew.
        progress: told what is done, the seconds done and those in all; may raise, which ends the
            child.
        limits: of the pieces, for tests; the batch is the settings'.

    Raises:
        SourceError: it can't be read, or has no sound; or its recogniser died.
        ModelError: the model can't be had or loaded, or there is no memory for it.
        StorageError: what was heard can't be kept.
    """
    chosen = resolve(settings, progress)
    whole = _identity(chosen, settings, options, progress)
    kept = None if again else _read_final(_place(content, whole, settings))
    if kept is not None:
        return kept
    with _alone(settings, uri, progress):
        model = that_fits(chosen, settings)
        if model.name != chosen.name:
            whole = _identity(model, settings, options, progress)
        folder = make_folder(_place(content, whole, settings))
        if again:
            _forget(folder)
        if kept := _read_final(folder):  # by the run that was waited for
            return kept
        remove_leftovers(folder.iterdir())
        request = _request(media, uri, folder, model, settings, options, limits)
        _run(request, progress)
        heard = _put_together(read_pieces(folder), model, whole, uri)
        write_private(folder / _FINAL, _final_text(heard))
    return heard


def _identity(
    model: SpeechModel, settings: Settings, options: SpeechOptions, progress: Progress | None
) -> str:
    language = whisper_code(options.language) if options.language else ""
    parts = [identity(model, settings, progress), str(VERSION), language, options.hotwords.strip()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _place(content: str, whole: str, settings: Settings) -> Path:
    key = hashlib.sha256(f"{content} {whole}".encode()).hexdigest()
    return settings.home / "speech" / key


def _forget(folder: Path) -> None:
    for path in folder.glob("*.json"):
        path.unlink()


@contextmanager
def _alone(settings: Settings, uri: str, progress: Progress | None) -> Iterator[None]:
    """Hold the machine's one place for recognising speech."""
    from filelock import FileLock, Timeout

    lock = FileLock(make_folder(settings.home) / "speech.lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_POLL_S)
        except Timeout:
            if progress:
                progress(f"transcribing {short_name(uri)}: waiting for another recording", 0, 0)
    try:
        yield
    finally:
        lock.release()


def _request(
    media: Path,
    uri: str,
    folder: Path,
    model: SpeechModel,
    settings: Settings,
    options: SpeechOptions,
    limits: PieceLimits | None,
) -> SpeechRequest:
    limits = limits or PieceLimits()
    return SpeechRequest(
        media=str(media),
        uri=uri,
        folder=str(folder),
        progress=-1,
        result=-1,
        model=str(model.folder),
        device=model.device,
        compute_type=model.compute_type,
        n_threads=physical_cores(),
        batch=settings.speech_batch,
        language=whisper_code(options.language) if options.language else "",
        hotwords=options.hotwords.strip(),
        max_hours=settings.media_max_hours,
        window_s=limits.window_s,
        speech_s=limits.speech_s,
        section_s=limits.section_s,
    )


def _run(request: SpeechRequest, progress: Progress | None) -> None:
    """Run the child to its end.

    Raises:
        PipelineError: as the child has it, or for its death.
    """
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as result:
        request = replace(request, progress=told.fileno(), result=result.fileno())
        environment = {"OMP_NUM_THREADS": str(request.n_threads), "HF_HUB_OFFLINE": "1"}
        descriptors = (request.progress, request.result)
        with Child("tasks.media.speech_child", request, descriptors, environment) as child:
            while (code := child.wait(_POLL_S)) is None:
                if progress:
                    progress(f"transcribing {short_name(request.uri)}", *_how_far(told))
        failure = os.pread(result.fileno(), _MAX_RESULT, 0)
    if code in FULL:
        raise disk_is_full()
    if failure:
        raise _failure(json.loads(failure))
    if code:
        raise SourceError(request.uri, *_end_of(code))


def _how_far(told: IO[bytes]) -> tuple[int, int]:
    """Return the seconds that the child is through with, and those in all; 0: nobody knows."""
    text = os.pread(told.fileno(), 64, 0).split()
    return (int(float(text[0])), int(float(text[1]))) if len(text) > 1 else (0, 0)


def _failure(content: dict[str, str]) -> PipelineError:
    kinds = {kind.__name__: kind for kind in (SourceError, ModelError, StorageError)}
    kind = kinds.get(content["kind"], PipelineError)
    return kind(content["subject"], content["problem"], content["remedy"])


def _end_of(code: int) -> tuple[str, str]:
    """Say what ended a child that gave no reason, and what one can do."""
    if code == -signal.SIGKILL:  # not by us
        problem = "the recogniser of its speech was killed, as the system does when memory runs out"
        remedy = (
            "Close other programs, or set LECTERN_SPEECH_MODEL to a smaller model, and run again: "
            "it goes on where it was"
        )
        return problem, remedy
    if code > 0:
        return f"the recogniser of its speech ended without an answer (status {code})", REPORT
    name = signal.strsignal(-code)
    return f"crashes the recogniser of its speech ({name})", "Get a fresh copy, or convert it"


def _put_together(pieces: Sequence[HeardPiece], model: SpeechModel, whole: str, uri: str) -> Heard:
    if not pieces or not pieces[-1].is_last:
        problem = "what was heard in it is gone from the disk"
        raise StorageError(uri, problem, "Run again, and leave LECTERN_HOME alone meanwhile")
    last = next((piece for piece in pieces if piece.language), pieces[-1])
    return Heard(
        language=last.language,
        language_probability=last.language_probability,
        duration_s=round(pieces[-1].duration_s, 3),
        words=in_order(marked([window for piece in pieces for window in piece.windows])),
        model=model.name,
        lost=pieces[-1].lost,
        identity=whole,
    )


def _final_text(heard: Heard) -> str:
    words = [word_row(word) for word in heard.words]
    content = {"version": _FINAL_VERSION, **vars(heard), "words": words}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _read_final(folder: Path) -> Heard | None:
    """Return what is kept, None where there is nothing, or it is of another version or damaged."""
    try:
        content: dict[str, Any] = json.loads((folder / _FINAL).read_bytes())
        if content.pop("version") != _FINAL_VERSION:
            return None
        words = tuple(word_of(row) for row in content.pop("words"))
        return Heard(**{**content, "words": words, "lost": tuple(content["lost"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
